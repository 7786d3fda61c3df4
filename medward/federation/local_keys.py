"""Key epochs of a federation in one process: every member's real ceremony, over a log in memory."""

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from medward.federation.blobs import Blobs
from medward.federation.ceremony import Setup
from medward.federation.encrypted_sum import EncryptedSum, EpochMaterial
from medward.federation.interfaces import FederationError, MissingBlob
from medward.federation.journal import Journal
from medward.federation.key_ceremony import (
    Effect,
    FetchKeyBlob,
    KeyCeremony,
    KeysActive,
    KeysFailed,
    OrderKey,
    StoreKeyBlob,
)
from medward.federation.records import KeyRecord, KeyTick
from medward.federation.round import Keys, Terms
from medward.fhe.dealing import threshold
from medward.fhe.parameters import DECRYPTIONS


@dataclass(frozen=True)
class LocalEpoch:
    """The keys of one epoch.

    Args:
        epoch: its number.
        keys: who holds the joint key.
        materials: each holder's material, by name.
        left_out: who is not a holder, and why.
        seconds: what the ceremony took, all members one after another.
        bytes: what they stored for it.
    """

    epoch: int
    keys: Keys
    materials: Mapping[str, EpochMaterial]
    left_out: Mapping[str, str]
    seconds: float
    bytes: int


class LocalKeys:
    """Holds ceremonies, and says when the next one is due.

    Args:
        terms: the federation's terms.
        setup: what the keys are for.
        blobs: where the ceremony's blobs are kept.
        home: the folder of the members' journals.
        silent: members that never say anything.
    """

    def __init__(self, terms: Terms, setup: Setup, blobs: Blobs, home: Path, silent: frozenset[str]) -> None:
        self._terms, self._setup, self._blobs = terms, setup, blobs
        self._silent, self._epoch, self._spent = silent, 0, 0
        home.mkdir(parents=True, exist_ok=True)
        self._journals = {name: Journal(home / f"{name}.sqlite") for name in terms.members if name not in silent}
        self.current: LocalEpoch | None = None

    def close(self) -> None:
        """Close the journals."""
        for journal in self._journals.values():
            journal.close()

    def sums(self, member: str) -> EncryptedSum:
        """Return a member's part in the sums of the current epoch."""
        assert self.current is not None
        material = self.current.materials.get(member)
        if material is None:
            reason = self.current.left_out.get(member, "it has no keys")
            raise FederationError(f"{member} takes no part in key epoch {self.current.epoch}: it {reason}.")
        return EncryptedSum(material, member, self._journals[member], self._terms.least_cohort)

    def due(self, chunks: int) -> bool:
        """Say whether new keys are needed before a round of so many ciphertexts."""
        return self.current is None or DECRYPTIONS - self._spent < chunks * (2 + self._terms.faulty)

    def spend(self, chunks: int, *, opened: bool) -> None:
        """Count a round's answers; after an opening, the keys are not used again."""
        self._spent = DECRYPTIONS if opened else self._spent + chunks

    def hold(self) -> LocalEpoch:
        """Hold a ceremony among all members and return the new epoch.

        Raises:
            FederationError: too few members are left to hold keys.
        """
        began, stored = perf_counter(), self._blobs.bytes_in
        ceremony = _LocalCeremony(self._terms, self._setup, self._blobs, self._silent, self._epoch + 1)
        materials = ceremony.run()
        if not materials:
            raise FederationError("Too few hospitals took part in the key ceremony: nobody holds keys.")
        first = next(iter(materials.values()))
        self._epoch, self._spent = first.keys.epoch, 0
        names = {number: name for name, number in first.numbers.items()}
        holders = tuple(names[number] for number in first.keys.holders)
        keys = Keys(holders, len(holders) - threshold(len(holders)))
        used = self._blobs.bytes_in - stored
        seconds = perf_counter() - began
        self.current = LocalEpoch(self._epoch, keys, materials, ceremony.left_out, seconds, used)
        self._blobs.forget(_LABEL)
        return self.current


_LABEL = "keys/ceremony"


class _LocalCeremony:
    """Delivers records to every member's machine, one block each, until all are over."""

    def __init__(self, terms: Terms, setup: Setup, blobs: Blobs, silent: frozenset[str], epoch: int) -> None:
        self._blobs = blobs
        self._log: deque[KeyRecord] = deque()
        self._block, self._time = bytes(32), 0.0
        self._members = {n: KeyCeremony(n, terms, setup, epoch) for n in terms.members if n not in silent}
        self._materials: dict[str, EpochMaterial] = {}

    @property
    def left_out(self) -> dict[str, str]:
        """Who is out, and why."""
        return next(iter(self._members.values())).left_out

    def run(self) -> dict[str, EpochMaterial]:
        """Return the material of every member that holds a key."""
        for name, member in self._members.items():
            self._carry_out(name, member.begin(self._time))
        while not all(member.over for member in self._members.values()):
            if not self._log:
                member = next(m for m in self._members.values() if not m.over)
                self._time = max(self._time, member.due)
                self._log.append(KeyTick(member.state.epoch, next(iter(self._members))))
            record = self._log.popleft()
            self._block = hashlib.sha256(self._block + repr(record).encode()).digest()
            for name, member in self._members.items():
                self._carry_out(name, member.ordered(record, self._time, self._block))
        return self._materials

    def _carry_out(self, name: str, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case StoreKeyBlob():
                    self._blobs.put(effect.content, _LABEL)
                case OrderKey():
                    self._log.append(effect.record)
                case FetchKeyBlob():
                    self._carry_out(name, self._members[name].fetched(effect, self._fetched(effect.name)))
                case KeysActive():
                    self._materials[name] = effect.material
                case KeysFailed():
                    pass

    def _fetched(self, name: str) -> bytes | None:
        try:
            return self._blobs.get(name)
        except MissingBlob:
            return None
