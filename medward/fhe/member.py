"""One member's whole part in secure sums: `seal`, `add`, `check`, `share`, `verify`, `reveal`, `open`.

Local computation only: bytes come in, bytes and exact integers go out, and whoever carries them is not trusted. The
rules that keep an update secret are enforced here, not left to the caller (the reasons: spec/scheme.md, "Attacks"):

- a share leaves only for a sum that this member has re-added itself from ciphertexts that match the commitments of
  the cohort, its own unchanged among them, every proof verified;
- one answer per (round, chunk), stored before it is shown; a second cohort or aggregate for it is refused;
- an update is sealed once; the answers of an epoch are counted against its budget, its openings against n - t;
- after a few sums that do not decode although everything was proved, no share leaves in the epoch any more.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from medward.fhe import proofs
from medward.fhe.dealing import opens_key
from medward.fhe.decryption import combine, decryption_share, opened_share
from medward.fhe.encoding import (
    HEADER_BYTES,
    Kind,
    decode_ciphertext,
    decode_elements,
    element_bytes,
    encode_ciphertext,
    encode_elements,
)
from medward.fhe.encryption import Ciphertext, encrypt, sum_ciphertexts
from medward.fhe.epoch import EpochKeys
from medward.fhe.errors import (
    AnswerRefused,
    LaneOverflow,
    MalformedEncoding,
    ShareRejected,
    SumRejected,
    UnsafeParameters,
)
from medward.fhe.keys import SecretKey
from medward.fhe.parameters import DECRYPTIONS, MOST_UNDECODED
from medward.fhe.ring import Element
from medward.fhe.sampling import KeyStream

Integers = NDArray[np.int64]
AnswerKind = Literal["seal", "share", "reveal"]


@dataclass(frozen=True)
class Slot:
    """A place that takes one answer, ever: one per (federation, round, chunk) and kind, in whatever epoch.

    Args:
        federation, epoch: the key epoch; a "reveal" has one place per epoch, the budgets are counted per epoch.
        kind: "seal" (an encrypted update), "share" (a decryption share) or "reveal" (a dealt share, in the open).
        round, chunk: which block of which round; for "reveal" the opened holder's number and 0.
    """

    federation: bytes
    epoch: int
    kind: AnswerKind
    round: int
    chunk: int


class AnswerJournal(Protocol):
    """Where answers are kept across restarts (medward/federation/journal.py)."""

    def once(self, slot: Slot, question: bytes, budget: int, make: Callable[[], bytes]) -> bytes:
        """Return the answer stored for `slot`, or make, durably store and return one.

        The look-up, `make` and the store are one atomic step.

        Args:
            slot: the place.
            question: digest of what is asked.
            budget: the most answers of this kind in this epoch.
            make: computes the answer.

        Raises:
            AnswerRefused: the slot holds the answer to another question, or the budget is spent.
        """

    def stored(self, slot: Slot) -> bytes | None:
        """Return the answer stored for `slot`, or None."""


@dataclass(frozen=True)
class Submission:
    """One member's encrypted block as it travels.

    Args:
        ciphertext: encoding of the ciphertext.
        proof: proof of its c1; empty in a semi-honest federation.
    """

    ciphertext: bytes
    proof: bytes = b""

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the ciphertext's encoding."""
        return hashlib.sha256(self.ciphertext).digest()

    def commitment(self, keys: EpochKeys, round: int, chunk: int, member: int) -> bytes:
        """Return the hash by which the cohort commits to this submission before any is shown."""
        context = proofs.Context(keys.federation, keys.epoch, round, chunk, member).encoded()
        parts = self.digest + hashlib.sha256(self.proof).digest()
        return hashlib.sha256(b"medward submission 1" + keys.parameters.digest + context + parts).digest()


@dataclass(frozen=True, eq=False)
class CheckedSum:
    """A sum that one member has checked itself; only that member's `check` makes it.

    Args:
        round, chunk: which block of which round.
        cohort: the members whose ciphertexts it adds up.
        question: digest of cohort, commitments and aggregate.
        digest: SHA-256 of the aggregate's encoding.
        aggregate: the sum itself.
        checked_by: the member that checked it.
    """

    round: int
    chunk: int
    cohort: tuple[int, ...]
    question: bytes
    digest: bytes = field(repr=False)
    aggregate: Ciphertext = field(repr=False)
    checked_by: object = field(repr=False)


class SumMember:
    """One member of a federation in one key epoch.

    Args:
        keys: the epoch's accepted public keys.
        member: this member's number.
        journal: where its answers are kept.
        secret: its secret, if it holds a key; contributors without one seal, add, check, verify and open.
        least_cohort: the fewest ciphertexts in a sum it helps to open, max(3, colluders + 2).
        stream: randomness; the operating system's by default.

    Raises:
        UnsafeParameters: the secret is not that of the member's public part.
    """

    def __init__(
        self,
        keys: EpochKeys,
        member: int,
        journal: AnswerJournal,
        secret: SecretKey | None = None,
        *,
        least_cohort: int = 3,
        stream: KeyStream | None = None,
    ) -> None:
        if secret is not None and not keys.secret_matches(member, secret):
            raise UnsafeParameters(f"the secret of member {member} is not that of its key in epoch {keys.epoch}")
        self.keys = keys
        self.member = member
        self.least_cohort = least_cohort
        self._journal = journal
        self._secret = secret
        self._stream = stream or KeyStream()
        self._proved: dict[tuple[int, int, int], bytes] = {}
        self._verified: dict[tuple[bytes, int], tuple[bytes, Element]] = {}

    def __repr__(self) -> str:
        return f"SumMember(member={self.member}, epoch={self.keys.epoch})"

    def seal(self, round: int, chunk: int, values: Integers) -> Submission:
        """Encrypt this member's block for (round, chunk) under the joint key and prove it.

        Args:
            round, chunk: where the block belongs.
            values: integers [lanes, N] (BlockLayout.split).

        Returns:
            The submission; the same bytes when the same block is sealed again.

        Raises:
            AnswerRefused: another block was sealed for (round, chunk).
            LaneOverflow: a value does not fit its lane.
        """
        parameters = self.keys.parameters

        def make() -> bytes:
            ciphertext, witness = encrypt(parameters, self.keys.a, self.keys.joint, values, self._stream)
            encoding = encode_ciphertext(parameters, ciphertext)
            if not parameters.malicious:
                return encoding
            return encoding + proofs.prove_ciphertext(
                parameters, self._context(round, chunk, self.member), self.keys.a, ciphertext.c1,
                digest=hashlib.sha256(encoding).digest(), witness=witness, stream=self._stream,
            )  # fmt: skip

        bound = self._context(round, chunk, self.member).encoded()
        question = hashlib.sha256(bound + np.ascontiguousarray(values, "<i8").tobytes()).digest()
        sealed = self._journal.once(self._slot("seal", round, chunk), question, 1 << 62, make)
        size = HEADER_BYTES + 2 * element_bytes(parameters)
        return Submission(sealed[:size], sealed[size:])

    def sealed(self, round: int, chunk: int) -> bytes | None:
        """Return the ciphertext and proof that this member sealed for (round, chunk) in this epoch, or None."""
        stored = self._journal.stored(self._slot("seal", round, chunk))
        size = HEADER_BYTES + 2 * element_bytes(self.keys.parameters)
        if stored is None or len(stored) < size:
            return None
        return stored

    def verify_submission(self, round: int, chunk: int, member: int, submission: Submission) -> Ciphertext:
        """Check the encoding and the proof of a member's submission, and return its ciphertext.

        A submission whose proof was found good is remembered by its digest, and not verified again.

        Raises:
            ShareRejected, ProofRejected: name the member.
        """
        parameters = self.keys.parameters
        ciphertext = self._ciphertext(member, submission)
        sealed = submission.commitment(self.keys, round, chunk, member)
        if self._proved.get((round, chunk, member)) == sealed:
            return ciphertext
        if parameters.malicious:
            proofs.verify_ciphertext(
                parameters, self._context(round, chunk, member), self.keys.a, ciphertext.c1,
                digest=submission.digest, proof=submission.proof,
            )  # fmt: skip
        elif submission.proof:
            raise ShareRejected(member, "published a malformed ciphertext: bytes follow it")
        self._proved[round, chunk, member] = sealed
        return ciphertext

    def add(self, submissions: Mapping[int, Submission]) -> bytes:
        """Return the encoded sum of the submissions' ciphertexts (what the round's aggregator publishes).

        Raises:
            ShareRejected: names the member whose ciphertext is malformed.
            LaneOverflow: more submissions than the lanes have room for.
        """
        ciphertexts = [self._ciphertext(member, submissions[member]) for member in sorted(submissions)]
        return encode_ciphertext(self.keys.parameters, sum_ciphertexts(self.keys.parameters, ciphertexts))

    def check(
        self,
        round: int,
        chunk: int,
        commitments: Mapping[int, bytes],
        submissions: Mapping[int, Submission],
        aggregate: bytes,
    ) -> CheckedSum:
        """Check everything that must hold before this member helps to open a sum.

        Args:
            round, chunk: which block of which round.
            commitments: the fixed cohort, member -> commitment as ordered before any ciphertext was shown.
            submissions: member -> what it published.
            aggregate: the claimed sum.

        Raises:
            SumRejected: the cohort is too small or not the one submitted, or the aggregate is not its sum.
            ShareRejected, ProofRejected: name the member whose submission differs from its commitment, is malformed,
                repeats another's, or is not proved.
        """
        cohort = tuple(sorted(commitments))
        if len(cohort) < self.least_cohort:
            raise SumRejected(
                f"a cohort of {len(cohort)} is too small to hide an update; {self.least_cohort} are needed"
            )
        missing = [member for member in cohort if member not in submissions]
        extra = [member for member in submissions if member not in commitments]
        if missing or extra:
            raise SumRejected(f"the cohort of round {round} misses members {missing} and has uncommitted {extra}")
        for member in cohort:
            submission = submissions[member]
            if not hmac.compare_digest(submission.commitment(self.keys, round, chunk, member), commitments[member]):
                raise ShareRejected(member, f"published another ciphertext for round {round} than it had committed to")
        self._check_own(round, chunk, submissions)
        ciphertexts = self._checked_ciphertexts(round, chunk, {m: submissions[m] for m in cohort})
        parameters = self.keys.parameters
        total = sum_ciphertexts(parameters, list(ciphertexts.values()))
        encoding = encode_ciphertext(parameters, total)
        if encoding != aggregate:
            raise SumRejected(
                f"the aggregate of round {round}, chunk {chunk} is not the sum of the cohort's ciphertexts"
            )
        digest = hashlib.sha256(b"medward question 1" + self._context(round, chunk, 0).encoded())
        for member in cohort:
            digest.update(member.to_bytes(8, "little") + commitments[member])
        aggregate_digest = hashlib.sha256(encoding).digest()
        digest.update(aggregate_digest)
        return CheckedSum(round, chunk, cohort, digest.digest(), aggregate_digest, total, self)

    def share(self, checked: CheckedSum) -> bytes:
        """Return this holder's decryption share of a sum that it has checked, with its proof.

        Asked again for the same sum, also after a restart, it returns the same bytes.

        Raises:
            AnswerRefused: another sum was answered for (round, chunk), the epoch's budget is spent or too many of its
                sums did not decode, this member holds no key, or the sum was not checked by this member.
        """
        secret = self._secret
        if secret is None:
            raise AnswerRefused(f"member {self.member} holds no key in epoch {self.keys.epoch}")
        if checked.checked_by is not self:
            raise AnswerRefused("a share is given only for a sum that this member has checked itself")
        slot = self._slot("share", checked.round, checked.chunk)
        last = self._undecoded(MOST_UNDECODED - 1)
        if self._journal.stored(last) is not None and self._journal.stored(slot) is None:
            raise AnswerRefused(
                f"{MOST_UNDECODED} sums of epoch {self.keys.epoch} did not decode though all was proved: somebody may "
                "be probing the joint secret; start a new key epoch"
            )

        def make() -> bytes:
            parameters = self.keys.parameters
            element, flood = decryption_share(parameters, secret, checked.aggregate.c1, self._stream)
            encoding = encode_elements(parameters, Kind.DECRYPTION_SHARE, element)
            if not parameters.malicious:
                return encoding
            context = self._context(checked.round, checked.chunk, self.member)
            claim = self._claim(checked, self.member, element, encoding)
            return encoding + proofs.prove_share(
                parameters, context, claim, secret=secret, flood=flood, stream=self._stream
            )

        return self._journal.once(slot, checked.question, DECRYPTIONS, make)

    def share_commitment(self, checked: CheckedSum, holder: int, answer: bytes) -> bytes:
        """Return the hash by which a holder commits to its answer before any answer is shown."""
        context = self._context(checked.round, checked.chunk, holder).encoded()
        return hashlib.sha256(
            b"medward answer 1" + checked.question + context + hashlib.sha256(answer).digest()
        ).digest()

    def verify(self, checked: CheckedSum, holder: int, answer: bytes, commitment: bytes | None = None) -> None:
        """Check another holder's answer for a checked sum, and its commitment where the federation orders them.

        Raises:
            ShareRejected, ProofRejected: name the holder.
        """
        if commitment is not None and self.share_commitment(checked, holder, answer) != commitment:
            raise ShareRejected(holder, "gave another decryption share than it had committed to")
        self._share_element(checked, holder, answer)

    def reveal(self, holder: int, dealt_share: bytes) -> bytes:
        """Return, in the open, the share that a now silent holder dealt to this member.

        At most n - t holders are opened in an epoch, so that with t - 1 colluders one honest key still protects all.
        That the holder's deadline has passed is the ledger's rule, not decided here.

        Raises:
            AnswerRefused: the epoch's openings are spent, or the holder is this member.
        """
        if holder == self.member or holder not in self.keys.public:
            raise AnswerRefused(f"member {self.member} opens no member {holder}")
        slot = self._slot("reveal", holder, 0)
        question = hashlib.sha256(dealt_share).digest()
        return self._journal.once(slot, question, self.keys.most_openings, lambda: dealt_share)

    def open(
        self, checked: CheckedSum, answers: Mapping[int, bytes], opened: Mapping[int, Element] | None = None
    ) -> Integers:
        """Return the exact sums, int64[lanes, N].

        Args:
            checked: the sum.
            answers: holder -> answer.
            opened: holder -> its opened secret (dealing.open_secret), for holders without an answer.

        Raises:
            ShareRejected, ProofRejected: name the holder whose answer is wrong or missing.
            LaneOverflow: the sum does not decode; with proofs, this is remembered and counts against the epoch.
        """
        opened = opened or {}
        if len(opened) > self.keys.most_openings:
            raise SumRejected(f"{len(opened)} opened holders are too many for one epoch; start a new key epoch")
        shares = []
        for holder in self.keys.holders:
            if holder in opened:
                if not opens_key(self.keys.parameters, self.keys.a, self.keys.public[holder], opened[holder]):
                    raise ShareRejected(holder, "was opened with a secret that is not that of its key")
                shares.append(opened_share(self.keys.parameters, opened[holder], checked.aggregate.c1))
            elif holder in answers:
                shares.append(self._share_element(checked, holder, answers[holder]))
            else:
                raise ShareRejected(holder, f"gave no share for round {checked.round} and was not opened")
        try:
            sums = combine(self.keys.parameters, checked.aggregate, shares)
        except LaneOverflow:
            if self.keys.parameters.malicious:
                self._remember_undecoded(checked)
            raise
        for holder in answers:
            self._verified.pop((checked.question, holder), None)
        return sums

    def _context(self, round: int, chunk: int, member: int) -> proofs.Context:
        return proofs.Context(self.keys.federation, self.keys.epoch, round, chunk, member)

    def _slot(self, kind: AnswerKind, round: int, chunk: int) -> Slot:
        return Slot(self.keys.federation, self.keys.epoch, kind, round, chunk)

    def _undecoded(self, number: int) -> Slot:
        """The journal's place for the epoch's sum number 0, 1, ... that did not decode, apart from all answers."""
        return Slot(b"medward undecoded 1" + self.keys.federation, self.keys.epoch, "reveal", number, 0)

    def _remember_undecoded(self, checked: CheckedSum) -> None:
        """Keep that this sum did not decode, once for each sum."""
        for number in range(MOST_UNDECODED):
            try:
                self._journal.once(self._undecoded(number), checked.question, MOST_UNDECODED, lambda: b"undecoded")
                return
            except AnswerRefused:
                continue  # this place is taken by another sum

    def _claim(self, checked: CheckedSum, holder: int, share: Element, encoding: bytes) -> proofs.ShareStatement:
        public = (self.keys.digests[holder], checked.digest, hashlib.sha256(encoding).digest())
        return proofs.ShareStatement(self.keys.a, self.keys.public[holder], checked.aggregate.c1, share, public)

    def _ciphertext(self, member: int, submission: Submission) -> Ciphertext:
        try:
            return decode_ciphertext(self.keys.parameters, submission.ciphertext)
        except MalformedEncoding as error:
            raise ShareRejected(member, f"published a malformed ciphertext: {error}") from error

    def _check_own(self, round: int, chunk: int, submissions: Mapping[int, Submission]) -> None:
        """Refuse a cohort in which this member's own ciphertext is not the one that it sealed."""
        if self.member not in submissions:
            return

        own = submissions[self.member]
        if self._journal.stored(self._slot("seal", round, chunk)) != own.ciphertext + own.proof:
            raise SumRejected(f"round {round} has a ciphertext of member {self.member} that it did not seal")

    def _checked_ciphertexts(
        self, round: int, chunk: int, submissions: Mapping[int, Submission]
    ) -> dict[int, Ciphertext]:
        """Decode all ciphertexts, refuse repeated ones, verify every proof that was not verified before."""
        first: dict[bytes, int] = {}
        out = {}
        for member, submission in submissions.items():
            c1 = submission.ciphertext[HEADER_BYTES + element_bytes(self.keys.parameters) :]
            if c1 in first:
                raise ShareRejected(member, f"published a ciphertext made from that of member {first[c1]}")
            first[c1] = member
            out[member] = self.verify_submission(round, chunk, member, submission)
        self._proved = {place: sealed for place, sealed in self._proved.items() if place[0] >= round}
        return out

    def _share_element(self, checked: CheckedSum, holder: int, answer: bytes) -> Element:
        """Return the element of a verified answer; an answer is verified once."""
        known = self._verified.get((checked.question, holder))
        if known is not None and known[0] == answer:
            return known[1]
        parameters = self.keys.parameters
        if holder not in self.keys.public:
            raise ShareRejected(holder, f"holds no key in epoch {self.keys.epoch}")
        size = HEADER_BYTES + element_bytes(parameters)
        try:
            (element,) = decode_elements(parameters, Kind.DECRYPTION_SHARE, answer[:size])
        except MalformedEncoding as error:
            raise ShareRejected(holder, f"gave a malformed decryption share: {error}") from error
        if parameters.malicious:
            context = self._context(checked.round, checked.chunk, holder)
            proofs.verify_share(
                parameters, context, self._claim(checked, holder, element, answer[:size]), answer[size:]
            )
        elif len(answer) != size:
            raise ShareRejected(holder, "gave a malformed decryption share")
        self._verified[checked.question, holder] = (answer, element)
        return element
