"""`protect = "aggregate"`: sums under one-time keys, by medward.fhe; a `SecureSum`.

Here names become numbers, bytes are taken apart, and what a member shows goes through its journal. The mathematics, and
what each check proves: spec/scheme.md.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from medward.federation.sums.interface import Blob, DealingVerdict, Decrypted, IntVector, SumRefused, SumTerms, WrongSum
from medward.federation.sums.journal import AnswerJournal, ShownKind
from medward.federation.sums.state import SumState
from medward.fhe import ciphertexts, reconstruction
from medward.fhe.arrays import Doubles
from medward.fhe.checking import (
    check_dealing,
    check_own_share,
    check_shown_share,
    contradicts_audit,
    read_audit_response,
    read_response,
    read_shown,
    response_bytes,
    shown_bytes,
)
from medward.fhe.contribution import (
    Contribution,
    Dealing,
    contribution_bytes,
    fits_digest,
    read_contribution,
    share_bytes,
    share_label,
)
from medward.fhe.errors import DealingFault, MalformedEncoding, ShareFault
from medward.fhe.hybrid import HybridKey
from medward.fhe.sampling import framed, hedged_key


class EncryptedSum:
    """One member's part in encrypted sums, as contributor and as holder; a `SecureSum`.

    Args:
        member: this member's name; an auditor's is that of no member.
        journal: where what it shows is kept; None for an auditor, which shows nothing.
        secret: the member's own secret, which protects it where the system's randomness is bad.
    """

    name = "aggregate"

    def __init__(self, member: str, journal: AnswerJournal | None, secret: bytes) -> None:
        self._member, self._journal, self._secret = member, journal, secret
        self._sums: dict[SumTerms, SumState] = {}
        self._holder_keys: dict[bytes, HybridKey] = {}

    def __repr__(self) -> str:
        return f"EncryptedSum(member={self._member!r})"

    def sealing_key(self) -> bytes:
        """Draw a new sealing key."""
        key = HybridKey()
        self._own_journal.keep_sealing_key(key.public, key.to_bytes())
        return key.public

    def keep_sealing_keys(self, publics: Sequence[bytes]) -> None:
        """Erase the secrets of all sealing keys but these."""
        self._own_journal.erase_sealing_keys_but(publics)
        self._holder_keys = {public: key for public, key in self._holder_keys.items() if public in publics}

    def expected_bytes(self, terms: SumTerms, kind: Blob, author: str, about: Sequence[str] = ()) -> int:
        """Return the exact size of a blob that a member names in this sum."""
        current = self._sum(terms)
        match kind:
            case "contribution":
                return contribution_bytes(current.context)
            case "response":
                return response_bytes(current.context)
            case "shown":
                return shown_bytes(current.context, [current.holder(name) for name in about])
            case "answer":
                return reconstruction.answer_bytes()
            case "share":
                return share_bytes(current.context, current.holder(author))

    def contribute(self, terms: SumTerms, values: IntVector) -> bytes:
        """Encrypt this member's values, and deal its one-time secret to the holders."""
        current = self._sum(terms)
        number = current.dealer(self._member)
        if values.shape != (terms.counts + terms.values,):
            raise WrongSum(f"A contribution to round {terms.round} holds {terms.counts + terms.values} numbers.")
        values = np.ascontiguousarray(values, np.int64)
        with current.named(f"what {self._member} adds"):
            blocks = current.layout.split(values[: terms.counts], values[terms.counts :])
            question = self._question(current, values.astype("<i8").tobytes())

            def make() -> bytes:
                def draw() -> bytes:
                    return hedged_key(self._secret, current.digest, self._member, question)

                key = self._own_journal.once(terms.federation, terms.round, "secret", question, draw)
                current.dealing = Dealing(current.context, number, key)
                try:
                    return current.dealing.contribute(blocks, current.keys)
                except ValueError as error:
                    raise WrongSum(f"In round {terms.round}, a sealing key takes no share: {error}.") from error

            return self._once(current, "contribution", question, make)

    def contributed(self, terms: SumTerms) -> bytes | None:
        """Return what this member contributed before, or None."""
        return None if self._journal is None else self._journal.given(terms.federation, terms.round, "contribution")

    def respond(self, terms: SumTerms, beacon: bytes) -> bytes:
        """Return this dealer's response to the beacon: one a round."""
        current = self._sum(terms)
        dealing = self._dealing(current)
        question = self._question(current, beacon)
        return self._once(current, "response", question, lambda: dealing.respond(current.challenge(beacon)))

    def examine(
        self, terms: SumTerms, beacon: bytes, dealer: str, contribution: bytes, response: bytes
    ) -> DealingVerdict:
        """Check a dealing, and this holder's share of it."""
        current = self._sum(terms)
        number = current.dealer(dealer)
        challenge = current.challenge(beacon)
        current.shares.pop(number, None)
        try:
            content = read_contribution(current.context, contribution)
            values = read_response(current.context, response)
            check_dealing(challenge, content, values)
        except (MalformedEncoding, DealingFault):
            return DealingVerdict.AT_FAULT
        holder = current.holders.get(self._member)
        if holder not in current.keys:
            return DealingVerdict.GOOD
        share = self._unseal_share(current, number, content)
        if share is None:
            return DealingVerdict.COMPLAINT
        try:
            vector = check_own_share(challenge, holder, share, values)
        except ShareFault:
            return DealingVerdict.COMPLAINT
        current.shares[number] = reconstruction.answered_part(vector)
        return DealingVerdict.GOOD

    def dealt(self, terms: SumTerms, dealer: str, contribution: bytes) -> bytes | None:
        """Return the share, with its salt, that a dealer sealed to this holder; None if it does not fit its digest."""
        current = self._sum(terms)
        number = current.dealer(dealer)
        current.holder(self._member)
        with current.named(f"the contribution of {dealer}"):
            return self._unseal_share(current, number, read_contribution(current.context, contribution))

    def show(self, terms: SumTerms, holders: Sequence[str]) -> bytes:
        """Return, in the open, the shares that this member dealt to these holders."""
        current = self._sum(terms)
        dealing = self._dealing(current)
        numbers = sorted({current.holder(name) for name in holders})
        if not 1 <= len(numbers) <= terms.most_shown:
            raise SumRefused(
                f"In round {terms.round} {self._member} shows {len(numbers)} of its shares to nobody; "
                f"it may show 1 to {terms.most_shown}."
            )
        question = self._question(current, *numbers)
        return self._once(current, "shown", question, lambda: dealing.show(numbers))

    def examine_shown(
        self,
        terms: SumTerms,
        beacon: bytes,
        dealer: str,
        holders: Sequence[str],
        contribution: bytes,
        response: bytes,
        shown: bytes,
    ) -> bool:
        """Return whether what a dealer showed is what it dealt to these holders, and good; keep this holder's own."""
        current = self._sum(terms)
        number = current.dealer(dealer)
        numbers = {current.holder(name) for name in holders}
        challenge = current.challenge(beacon)
        try:
            content = read_contribution(current.context, contribution)
            values = read_response(current.context, response)
            check_dealing(challenge, content, values)
            shares = read_shown(current.context, content, number, sorted(numbers), shown)
            vectors = {j: check_shown_share(challenge, j, share, values) for j, share in shares.items()}
        except (MalformedEncoding, DealingFault, ShareFault):
            return False
        if not 1 <= len(numbers) <= terms.most_shown:
            return False
        own = current.holders.get(self._member)
        if own in vectors:
            current.shares[number] = reconstruction.answered_part(vectors[own])
        return True

    def answer(self, terms: SumTerms, cohort: Sequence[str]) -> bytes:
        """Return this holder's one answer: the sum of its shares over the cohort."""
        current = self._sum(terms)
        current.holder(self._member)
        numbers = self._cohort(current, cohort)

        def make() -> bytes:
            missing = [name for name in cohort if current.dealers[name] not in current.shares]
            if missing:
                raise SumRefused(f"In round {terms.round} {self._member} has no checked share of {missing[0]}.")
            return reconstruction.answer(current.context, [current.shares[number] for number in numbers])

        return self._once(current, "answer", self._question(current, *numbers), make)

    def ready(self, terms: SumTerms, cohort: Sequence[str]) -> bool:
        """Return whether `answer` would give an answer."""
        current = self._sum(terms)
        if current.holders.get(self._member) not in current.keys or self._journal is None:
            return False
        numbers = self._cohort(current, cohort)
        question = self._question(current, *numbers)
        if self._journal.given(terms.federation, terms.round, "answer", question) is not None:
            return True
        if self._journal.was_given(terms.federation, terms.round, "answer"):
            return False
        return all(number in current.shares for number in numbers)

    def decrypt(
        self,
        terms: SumTerms,
        cohort: Sequence[str],
        contributions: Mapping[str, bytes],
        answers: Mapping[str, bytes],
    ) -> Decrypted | None:
        """Return the exact sum, or None where no set of t of these answers fits."""
        current = self._sum(terms)
        context = current.context
        self._cohort(current, cohort)
        parts: list[Contribution] = []
        for name in cohort:
            with current.named(f"the contribution of {name}"):
                parts.append(read_contribution(context, contributions[name]))
        read = self._read_answers(current, answers)
        with current.named("a contribution of the cohort"):
            check_sum = ciphertexts.add_elements(context, [part.check_block for part in parts])
            found = reconstruction.reconstruct(context, check_sum, read)
            if found is None:
                return None
            sums = ciphertexts.add_elements(context, [part.blocks for part in parts])
        total = current.layout.join(ciphertexts.decrypt(context, sums, found.secret))
        # An answer that does not read is wrong for everybody.
        wrong = {
            *found.wrong,
            *(current.holders[name] for name in answers if current.holders.get(name) in current.keys),
        }
        wrong -= read.keys() - set(found.wrong)
        return Decrypted(total, tuple(terms.holders[number - 1] for number in sorted(wrong)))

    def respond_to_audit(self, terms: SumTerms, beacon: bytes) -> bytes:
        """Return this dealer's response to the audit's beacon: one a round."""
        current = self._sum(terms)
        dealing = self._dealing(current)
        rows = current.context.audit_rows(beacon)
        return self._once(current, "audit", self._question(current, beacon), lambda: dealing.respond_to_audit(rows))

    def audit(
        self,
        terms: SumTerms,
        beacon: bytes,
        cohort: Sequence[str],
        responses: Mapping[str, bytes],
        answers: Mapping[str, bytes],
    ) -> tuple[str, ...]:
        """Return the holders whose answers agree with the dealers' responses."""
        current = self._sum(terms)
        self._cohort(current, cohort)
        read = []
        for name in cohort:
            with current.named(f"the audit response of {name}"):
                read.append(read_audit_response(current.context, responses[name]))
        rows = current.context.audit_rows(beacon)
        good = reconstruction.audit(current.context, rows, read, self._read_answers(current, answers))
        return tuple(terms.holders[number - 1] for number in good)

    def contradicts(self, terms: SumTerms, beacon: bytes, dealer: str, response: bytes) -> bool:
        """Return whether a dealer's response to the audit contradicts the share that it dealt to this holder."""
        current = self._sum(terms)
        number, holder = current.dealer(dealer), current.holder(self._member)
        if number not in current.shares:
            return False
        try:
            read = read_audit_response(current.context, response)
        except MalformedEncoding:
            return True
        rows = current.context.audit_rows(beacon)
        return contradicts_audit(current.context, rows, holder, current.shares[number], read)

    def convicts(
        self,
        terms: SumTerms,
        beacon: bytes,
        dealer: str,
        holder: str,
        contribution: bytes,
        response: bytes,
        share: bytes,
        audit: tuple[bytes, bytes] | None = None,
    ) -> bool:
        """Return whether a late complaint proves the dealer at fault."""
        current = self._sum(terms)
        context, number, receiver = current.context, current.dealer(dealer), current.holder(holder)
        try:
            content = read_contribution(context, contribution)
        except MalformedEncoding:
            return False
        if not fits_digest(context, content, number, receiver, share):
            return False
        try:
            values = read_response(context, response)
            vector = check_shown_share(current.challenge(beacon), receiver, share, values)
            if audit is None:
                return False
            told = read_audit_response(context, audit[1])
        except (MalformedEncoding, ShareFault):
            return True
        part = reconstruction.answered_part(vector)
        return contradicts_audit(context, context.audit_rows(audit[0]), receiver, part, told)

    @property
    def _own_journal(self) -> AnswerJournal:
        if self._journal is None:
            raise SumRefused(f"{self._member} has no journal, and shows nothing.")
        return self._journal

    def _sum(self, terms: SumTerms) -> SumState:
        """Return what is kept of a sum; sums of earlier rounds are dropped."""
        if terms not in self._sums:
            current = SumState(terms)
            self._sums = {t: s for t, s in self._sums.items() if t.round >= terms.round}
            self._sums[terms] = current
        return self._sums[terms]

    def _dealing(self, current: SumState) -> Dealing:
        """Return this member's dealing, drawn again from the journaled key after a restart."""
        if current.dealing is None:
            key = self._own_journal.given(current.terms.federation, current.terms.round, "secret")
            if key is None:
                raise SumRefused(f"In round {current.terms.round} {self._member} did not contribute.")
            current.dealing = Dealing(current.context, current.dealer(self._member), key)
        return current.dealing

    def _unseal_share(self, current: SumState, dealer: int, content: Contribution) -> bytes | None:
        """Return the share sealed to this holder, if it opens and fits its digest."""
        holder = current.holder(self._member)
        public = current.keys[holder]
        if public not in self._holder_keys:
            secret = self._own_journal.sealing_keys().get(public)
            if secret is None:
                raise SumRefused(f"{self._member} has no secret of its sealing key of round {current.terms.round}.")
            self._holder_keys[public] = HybridKey.from_bytes(secret)
        try:
            label = share_label(current.context, dealer, holder)
            share = self._holder_keys[public].unseal(bytes(content.boxes[holder]), label)
        except ValueError:
            return None
        return share if fits_digest(current.context, content, dealer, holder, share) else None

    def _cohort(self, current: SumState, cohort: Sequence[str]) -> list[int]:
        numbers = sorted({current.dealer(name) for name in cohort})
        if not numbers or len(numbers) != len(cohort):
            raise WrongSum(f"The cohort of round {current.terms.round} is empty or names somebody twice.")
        return numbers

    def _read_answers(self, current: SumState, answers: Mapping[str, bytes]) -> dict[int, Doubles]:
        """Return the answers of present holders that are well-formed."""
        read = {}
        for name, data in answers.items():
            number = current.holders.get(name)
            if number in current.keys:
                try:
                    read[number] = reconstruction.read_answer(current.context, data)
                except MalformedEncoding:
                    continue
        return read

    def _question(self, current: SumState, *parts: bytes | str | int) -> bytes:
        return hashlib.sha256(framed(current.digest, *parts)).digest()

    def _once(self, current: SumState, kind: ShownKind, question: bytes, make: Callable[[], bytes]) -> bytes:
        return self._own_journal.once(current.terms.federation, current.terms.round, kind, question, make)
