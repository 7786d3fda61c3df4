"""A member's computing key with its journal, in a folder of its own.

    seed            32 secret bytes, and `set` with the parameter set that they are for
    opened.sqlite   the journal of what the key has opened, made together with it

No backup holds it (medward.node.home.backup): a journal that was set back would let the key open too much.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from medward.federation.computing.journal import OpeningJournal
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.parameters import ComputingParameters
from medward.node.errors import NodeError
from medward.node.home.private_files import make_private_folder, write_private
from medward.store.errors import StoreFull
from medward.whole_file import write_made

#: tau, how many outputs a key opens in its life.
OUTPUTS = 1024


class ComputingKey:
    """The folder of a member's key.

    Args:
        folder: is made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_private_folder(folder)

    @property
    def made(self) -> bool:
        """Whether this member has made a key."""
        return (self._folder / "seed").exists()

    def secret(self, owner: str, parameters: ComputingParameters, label: bytes) -> SecretKey:
        """Return the member's key, which is made with its journal at the first call.

        Raises:
            NodeError: the key is for other parameters.
        """
        seed, kept = self._folder / "seed", self._folder / "set"
        named = json.dumps({"set": parameters.digest.hex(), "label": label.hex()})
        if not seed.exists():
            # The journal comes first: a key that is there without one opens nothing.
            secret = SecretKey(owner, parameters, label, os.urandom(32))
            (self._folder / "opened.sqlite").unlink(missing_ok=True)
            OpeningJournal.create(self._folder / "opened.sqlite", secret.fingerprint, OUTPUTS).close()
            write_private(kept, named.encode())
            write_private(seed, secret.seed)
            return secret
        if not kept.exists() or kept.read_bytes() != named.encode():
            raise NodeError(
                f"the key in {self._folder} is for networks of another shape; a member has one key for its life, so "
                "offer or use models of the shape that it began with"
            )
        return SecretKey(owner, parameters, label, seed.read_bytes())

    def journal(self) -> OpeningJournal:
        """Return the key's journal.

        Raises:
            BudgetSpent: it is not there, or damaged.
        """
        return OpeningJournal(self._folder / "opened.sqlite")


def keep_opened(file: Path, most: int, make: Callable[[], bytes]) -> None:
    """Open outputs and keep what comes of it; where there is no room for it, none is opened and counted.

    Args:
        file: where it is kept.
        most: how many bytes it has at most.
        make: opens them.

    Raises:
        StoreFull: the disk is full.
    """
    try:
        write_made(file, most, make)
    except OSError as error:
        raise StoreFull(f"{file} cannot be written: {error.strerror}; make room on the disk") from None
