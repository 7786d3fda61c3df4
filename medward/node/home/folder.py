"""A node's folder: what lies where, made once, and used by one process at a time.

node.toml          what the operator says
federation.json    what the members agreed on
card.json          this member's public card
token              what callers of the HTTP API must know, mode 0600
swarm.key          of the federation's private Kubo swarm, mode 0600; only where Kubo is used
ledger/            keys/ (mode 0600), journal/
store/             blocks/, pins.sqlite
gateway/           certificate and key of the store's gateway, made at each start
participant/       the participant's journal and secrets
model              the model of the last final training round, a link into model-versions/
data/              key (mode 0600) of sealed data, and unsent/; `rotate` leaves it
log/               node.jsonl
"""

import fcntl
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medward.ledger.errors import LedgerError
from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.pbft.runtime.engine import prepare_folder
from medward.node.errors import HomeInUse, NodeError, Retired
from medward.node.home.cards import Card, read_card, sign_card, write_card
from medward.node.home.configuration import Configuration, change_key, read_configuration, render
from medward.node.home.federation_file import FederationFile, read_federation, write_federation
from medward.node.home.private_files import (
    check_private,
    make_private_folder,
    read_token,
    tighten,
    write_private,
)
from medward.store.errors import StoreError
from medward.store.kubo.configuration import check_swarm_key

_LOG = logging.getLogger("medward.node")
_TOKEN_BYTES = 32


class Home:
    """One node's folder.

    Args:
        folder: made by `create`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration_file = folder / "node.toml"
        self.federation_file = folder / "federation.json"
        self.card_file = folder / "card.json"
        self.token_file = folder / "token"
        self.swarm_key_file = folder / "swarm.key"
        self.ledger = folder / "ledger"
        self.store = folder / "store"
        self.gateway = folder / "gateway"
        self.participant = folder / "participant"
        self.data = folder / "data"
        self.model = folder / "model"
        self.log_file = folder / "log" / "node.jsonl"

    @classmethod
    def create(cls, folder: Path, configuration: Configuration, incarnation: int = 0) -> "Home":
        """Make a home with new keys and a new token.

        Args:
            folder: empty, or not there yet.
            configuration: what node.toml will say.
            incarnation: 0, unless this member was in the federation before.

        Raises:
            NodeError: there is something in the folder already.
        """
        home = cls(folder)
        try:
            if folder.exists() and any(folder.iterdir()):
                raise NodeError(f"{folder} is not empty; choose another folder, so that no keys are lost")
        except OSError as error:
            raise NodeError(f"cannot make {folder}: {error.strerror}; choose another folder") from None
        make_private_folder(folder)
        write_private(home.configuration_file, render(configuration).encode())
        write_private(home.token_file, secrets.token_urlsafe(_TOKEN_BYTES).encode() + b"\n")
        home._make_keys(configuration, incarnation)
        return home

    def configuration(self) -> Configuration:
        """Return what node.toml says; InvalidConfiguration where it says something else than it should."""
        return read_configuration(self.configuration_file)

    def federation(self) -> FederationFile:
        """Return what federation.json says; InvalidConfiguration where it is missing or malformed."""
        return read_federation(self.federation_file)

    def card(self) -> Card:
        """Return this member's public card."""
        return read_card(self.card_file)

    def token(self) -> str:
        """Return the token of the HTTP API; ExposedSecret where others could have read it."""
        return read_token(self.token_file)

    def identity(self) -> NodeIdentity:
        """Return this member's private keys.

        Raises:
            ExposedSecret: others could have read them.
            Retired: they are not those of the card.
        """
        keys = self.ledger / "keys"
        for name in ("signing.key", "tls.key"):
            check_private(keys / name)
        identity = NodeIdentity(keys)
        member = self.card().member
        if (identity.signer.public_keys, identity.certificate) != (member.keys, member.certificate):
            raise Retired(
                f"the keys in {keys} are not those of {self.card_file}; make new ones with `medward federation rotate`"
            )
        return identity

    def install(self, federation: FederationFile) -> None:
        """Keep the federation file; the first one decides which federation this home belongs to.

        Raises:
            NodeError: the home belongs to another federation.
        """
        if self.federation_file.exists():
            present = self.federation()
            if present.fingerprint != federation.fingerprint:
                raise NodeError(
                    f"{self.folder} belongs to the federation {present.name} ({present.fingerprint}), "
                    f"not to {federation.name} ({federation.fingerprint}); use another home"
                )
        write_federation(federation, self.federation_file)

    def take_swarm_key(self, file: Path) -> None:
        """Keep the federation's swarm key, and have node.toml name Kubo as the store's engine.

        Raises:
            NodeError: the file cannot be read or is no swarm key, or node.toml cannot be changed here.
        """
        try:
            key = check_swarm_key(file.read_text(encoding="ascii"))
        except (OSError, ValueError, StoreError) as error:
            raise NodeError(f"cannot use {file} as the swarm key: {error}; get it again from a member") from None
        change_key(self.configuration_file, "store", "engine", "kubo")
        write_private(self.swarm_key_file, key.encode())

    def renew(self, incarnation: int) -> Card:
        """Destroy this member's keys and secrets, make new ones, and return the new card.

        The store, the configuration and the federation file stay. The ledger's old journal is removed with its keys:
        nothing that they signed may ever be continued.

        Raises:
            HomeInUse: the node runs.
        """
        with self.locked():
            for folder in (self.ledger, self.participant, self.gateway):
                shutil.rmtree(folder, ignore_errors=True)
            return self._make_keys(self.configuration(), incarnation)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process off this home, and every other user out of it.

        Raises:
            HomeInUse: one is on it.
            NodeError: there is no home, or it belongs to somebody else, or cannot be written to.
        """
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise NodeError(
                f"cannot use the home {self.folder}: {error.strerror}; run this as the user who owns it, on a disk "
                "that can be written to"
            ) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "another process"
                raise HomeInUse(
                    f"a node runs on {self.folder} already (process {holder}); two would contradict each other"
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            self._tighten()
            yield
        finally:
            os.close(descriptor)

    def _tighten(self) -> None:
        """Make the folder private, and what in it tells of secrets; what is one itself is refused where it is read."""
        make_private_folder(self.folder)
        if self.store.is_dir():
            make_private_folder(self.store)  # which keeps others from its blocks
        for folder in (self.participant, self.gateway, self.ledger / "journal", self.log_file.parent):
            secret = self.participant / "secret"
            for path in tighten(folder, but=(secret,)) if folder.is_dir() else ():
                _LOG.warning("others could read %s; it is its owner's alone now", path)

    def _make_keys(self, configuration: Configuration, incarnation: int) -> Card:
        try:
            identity = prepare_folder(self.ledger)
        except (OSError, LedgerError) as error:
            raise NodeError(f"cannot make keys in {self.ledger}: {error}") from None
        make_private_folder(self.participant)
        address, gateway = configuration.ledger.address, configuration.store.address
        card = sign_card(identity, configuration.name, incarnation, address, gateway)
        write_card(card, self.card_file)
        return card
