"""`protect = "aggregate"`: contributions encrypted under the members' joint key, by medward.fhe.member.

A contribution is cut into chunks of one ciphertext each, which hold the more values the narrower they are. What travels
is the chunks' bytes one after another, whose sizes follow from the parameter set, so that a blob has one reading. The
rules that protect an update (one answer for a chunk, a share only for a sum that was re-added from examined
ciphertexts) are kept by `SumMember`; here bytes are cut, names become numbers, and errors name hospitals.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from medward.federation.interfaces import IntVector, Slot, WrongSum
from medward.fhe import dealing
from medward.fhe.encoding import HEADER_BYTES, Kind, element_bytes
from medward.fhe.epoch import EpochKeys
from medward.fhe.errors import FheError, MemberFault
from medward.fhe.keys import SecretKey
from medward.fhe.lanes import BlockLayout
from medward.fhe.member import AnswerJournal, CheckedSum, Submission, SumMember
from medward.fhe.proofs import proof_bytes
from medward.fhe.ring import Element


@dataclass(frozen=True, repr=False)
class EpochMaterial:
    """What a member keeps of a key epoch.

    Args:
        keys: the accepted public keys.
        numbers: every member's number; holders are numbered as in `keys`.
        secret: this member's secret, or None where it holds no key.
        dealt: dealer -> the share that it dealt to this member.
        digests: dealer -> holder -> the published hash of that share.
        beacon: the value that challenged the dealings.
        responses: dealer -> its answer to the challenge.
    """

    keys: EpochKeys
    numbers: Mapping[str, int]
    secret: SecretKey | None = None
    dealt: Mapping[int, bytes] = field(default_factory=dict)
    digests: Mapping[int, Mapping[int, bytes]] = field(default_factory=dict)
    beacon: bytes = b""
    responses: Mapping[int, bytes] = field(default_factory=dict)


class EncryptedSum:
    """One member's part in encrypted sums during a key epoch; a `SecureSum`.

    Args:
        material: the epoch's keys.
        member: this member's name.
        journal: where its answers are kept.
        least_cohort: the fewest contributions in a sum that it helps to open.
    """

    name = "aggregate"

    def __init__(self, material: EpochMaterial, member: str, journal: AnswerJournal, least_cohort: int) -> None:
        self._material = material
        self._numbers = dict(material.numbers)
        self._names = {number: name for name, number in self._numbers.items()}
        self._number, self._journal, self._least_cohort = self._numbers[member], journal, least_cohort
        self._members: dict[int, SumMember] = {}
        self._checked: dict[tuple[int, bytes], list[CheckedSum]] = {}

    def __repr__(self) -> str:
        return f"EncryptedSum(member={self._number}, epoch={self._keys.epoch})"

    def chunks(self, slot: Slot) -> int:
        """Return how many ciphertexts one contribution takes; a sum costs each holder so many answers."""
        return self._layout(slot).blocks

    def seal(self, slot: Slot, values: IntVector) -> bytes:
        """Encrypt this member's contribution and prove it."""
        if values.shape != (slot.counts + slot.values,):
            raise WrongSum(
                f"A contribution to round {slot.round} holds {values.size} numbers, not {slot.counts + slot.values}."
            )
        with self._named(slot):
            blocks = self._layout(slot).split(values[: slot.counts], values[slot.counts :])
            sealed = [self._part(slot).seal(slot.round, chunk, block) for chunk, block in enumerate(blocks)]
        return b"".join(submission.ciphertext + submission.proof for submission in sealed)

    def sealed(self, slot: Slot) -> bytes | None:
        """Return what the journal has of this member's contribution, once all of it was sealed."""
        parts = [self._part(slot).sealed(slot.round, chunk) for chunk in range(self._layout(slot).blocks)]
        return None if None in parts else b"".join(part for part in parts if part is not None)

    def examine(self, slot: Slot, member: str, contribution: bytes) -> None:
        """Verify every chunk's encoding and proof."""
        with self._named(slot):
            for chunk, submission in enumerate(self._submissions(slot, member, contribution)):
                self._part(slot).verify_submission(slot.round, chunk, self._numbers[member], submission)

    def add(self, slot: Slot, contributions: Mapping[str, bytes]) -> bytes:
        """Return the sum of the ciphertexts, chunk by chunk."""
        with self._named(slot):
            return b"".join(self._part(slot).add(parts) for parts in self._by_chunk(slot, contributions))

    def check(self, slot: Slot, contributions: Mapping[str, bytes], aggregate: bytes) -> None:
        """Re-add everything; what was checked can be shared and opened."""
        size = HEADER_BYTES + 2 * element_bytes(self._keys.parameters)
        claimed = self._cut(slot, aggregate, size, "The aggregate")
        part, checked = self._part(slot), []
        with self._named(slot):
            for chunk, parts in enumerate(self._by_chunk(slot, contributions)):
                # The log bound every member to the name, hence to the bytes, of its contribution before any was shown.
                commitments = {m: s.commitment(part.keys, slot.round, chunk, m) for m, s in parts.items()}
                checked.append(part.check(slot.round, chunk, commitments, parts, claimed[chunk]))
        self._checked = {place: sums for place, sums in self._checked.items() if place[0] == slot.round}
        self._checked[self._place(slot, aggregate)] = checked

    def share(self, slot: Slot, aggregate: bytes) -> bytes:
        """Return this holder's decryption shares with their proofs, chunk by chunk."""
        sums = self._sums(slot, aggregate)
        with self._named(slot):
            return b"".join(self._part(slot).share(checked) for checked in sums)

    def examine_share(self, slot: Slot, aggregate: bytes, holder: str, share: bytes) -> None:
        """Verify a holder's decryption shares."""
        answers = self._cut(slot, share, self._answer_bytes, f"The share of {holder}")
        with self._named(slot):
            for checked, answer in zip(self._sums(slot, aggregate), answers, strict=True):
                self._part(slot).verify(checked, self._numbers[holder], answer)

    def reveal(self, slot: Slot, holder: str) -> bytes:
        """Return, in the open, the share of its secret that the silent holder dealt to this member."""
        number = self._numbers[holder]
        if number not in self._material.dealt:
            raise WrongSum(f"{holder} dealt nothing to this member that could be revealed in round {slot.round}.")
        with self._named(slot):
            return self._part(slot).reveal(number, self._material.dealt[number])

    def examine_reveal(self, slot: Slot, holder: str, member: str, revealed: bytes) -> None:
        """Check a dealt share against what the dealer published."""
        with self._named(slot):
            self._dealt_share(holder, member, revealed)

    def open(
        self,
        slot: Slot,
        aggregate: bytes,
        shares: Mapping[str, bytes],
        revealed: Mapping[str, Mapping[str, bytes]],
    ) -> IntVector:
        """Return the exact sum."""
        answers = {
            self._numbers[h]: self._cut(slot, share, self._answer_bytes, f"The share of {h}")
            for h, share in shares.items()
        }
        with self._named(slot):
            secrets = {self._numbers[holder]: self._opened(holder, parts) for holder, parts in revealed.items()}
            blocks = [
                self._part(slot).open(checked, {holder: parts[chunk] for holder, parts in answers.items()}, secrets)
                for chunk, checked in enumerate(self._sums(slot, aggregate))
            ]
        return np.concatenate(self._layout(slot).join(np.stack(blocks)))

    @property
    def _keys(self) -> EpochKeys:
        return self._material.keys

    def _part(self, slot: Slot) -> SumMember:
        """Return this member's part in sums of the slot's width; all widths share one key, one journal, one budget."""
        if slot.bits not in self._members:
            keys = self._keys.of_width(slot.bits)
            self._members[slot.bits] = SumMember(
                keys, self._number, self._journal, self._material.secret, least_cohort=self._least_cohort
            )
        return self._members[slot.bits]

    @property
    def _proof_bytes(self) -> tuple[int, int]:
        """Sizes of the proofs of a ciphertext and of a share."""
        parameters = self._keys.parameters
        if not parameters.malicious:
            return 0, 0
        return proof_bytes(parameters, Kind.CIPHERTEXT_PROOF), proof_bytes(parameters, Kind.SHARE_PROOF)

    @property
    def _answer_bytes(self) -> int:
        return HEADER_BYTES + element_bytes(self._keys.parameters) + self._proof_bytes[1]

    def _layout(self, slot: Slot) -> BlockLayout:
        return BlockLayout(self._part(slot).keys.parameters, slot.counts, slot.values)

    def _cut(self, slot: Slot, content: bytes, size: int, what: str) -> list[bytes]:
        """Cut a blob into its chunks' parts."""
        chunks = self._layout(slot).blocks
        if len(content) != chunks * size:
            raise WrongSum(f"{what} in round {slot.round} has {len(content)} bytes, not {chunks * size}.")
        return [content[k * size : (k + 1) * size] for k in range(chunks)]

    def _submissions(self, slot: Slot, member: str, contribution: bytes) -> list[Submission]:
        ciphertext = HEADER_BYTES + 2 * element_bytes(self._keys.parameters)
        parts = self._cut(slot, contribution, ciphertext + self._proof_bytes[0], f"The contribution of {member}")
        return [Submission(part[:ciphertext], part[ciphertext:]) for part in parts]

    def _by_chunk(self, slot: Slot, contributions: Mapping[str, bytes]) -> list[dict[int, Submission]]:
        cut = {self._numbers[m]: self._submissions(slot, m, content) for m, content in contributions.items()}
        return [{m: parts[chunk] for m, parts in cut.items()} for chunk in range(self._layout(slot).blocks)]

    def _place(self, slot: Slot, aggregate: bytes) -> tuple[int, bytes]:
        return slot.round, sha256(aggregate).digest()

    def _sums(self, slot: Slot, aggregate: bytes) -> list[CheckedSum]:
        try:
            return self._checked[self._place(slot, aggregate)]
        except KeyError:
            raise WrongSum(f"This aggregate of round {slot.round} was not checked by this member.") from None

    def _dealt_share(self, holder: str, member: str, revealed: bytes) -> dealing.DealtShare:
        material, dealer, receiver = self._material, self._numbers[holder], self._numbers[member]
        return dealing.check_dealt_share(
            self._keys.parameters, self._dealing(dealer), receiver, revealed,
            digest=material.digests[dealer][receiver], beacon=material.beacon, response=material.responses[dealer],
        )  # fmt: skip

    def _dealing(self, dealer: int) -> dealing.DealingContext:
        keys = self._keys
        return dealing.DealingContext(keys.federation, keys.epoch, dealer, keys.holders, keys.threshold)

    def _opened(self, holder: str, revealed: Mapping[str, bytes]) -> Element:
        """Return a silent holder's secret from what it dealt."""
        shares = {self._numbers[m]: self._dealt_share(holder, m, content) for m, content in revealed.items()}
        keys, dealer = self._keys, self._numbers[holder]
        return dealing.open_secret(keys.parameters, self._dealing(dealer), keys.a, keys.public[dealer], shares)

    @contextmanager
    def _named(self, slot: Slot) -> Iterator[None]:
        """Say what is refused inside with the hospital's name."""
        try:
            yield
        except MemberFault as fault:
            who = self._names.get(fault.member, f"member {fault.member}")
            raise WrongSum(f"In round {slot.round}, {who} {fault.reason}.") from fault
        except FheError as error:
            raise WrongSum(f"In round {slot.round}: {error}.") from error
