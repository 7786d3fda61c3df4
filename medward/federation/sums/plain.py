"""`protect = "none"`: sums in the open. The baseline that every output names as such."""

from collections.abc import Mapping, Sequence

import numpy as np

from medward.federation.sums.interface import Blob, DealingVerdict, Decrypted, IntVector, SumTerms, WrongSum


class PlainSum:
    """A `SecureSum` that protects nothing: contributions lie open, and nothing is dealt.

    A contribution is its member's name, a line end, and the integers of 8 bytes each: no two members' are equal.

    Args:
        member: whose part this is.
    """

    name = "none"

    def __init__(self, member: str) -> None:
        self._member = member
        self._last: tuple[SumTerms, bytes] | None = None

    def sealing_key(self) -> bytes:
        """Return nothing: nothing is sealed."""
        return b""

    def keep_sealing_keys(self, publics: Sequence[bytes]) -> None:
        """Do nothing: there are none."""

    def expected_bytes(self, terms: SumTerms, kind: Blob, author: str, about: Sequence[str] = ()) -> int:
        """Return the size of a member's name and integers, or of what stands for anything else."""
        if kind == "contribution":
            return len(author.encode()) + 1 + 8 * (terms.counts + terms.values)
        return len(_token(kind, terms, author, *about))

    def contribute(self, terms: SumTerms, values: IntVector) -> bytes:
        """Return the integers as they are."""
        if values.shape != (terms.counts + terms.values,):
            wanted = terms.counts + terms.values
            raise WrongSum(f"A contribution to round {terms.round} holds {values.size} numbers, not {wanted}.")
        self._last = (terms, self._member.encode() + b"\n" + values.astype("<i8").tobytes())
        return self._last[1]

    def contributed(self, terms: SumTerms) -> bytes | None:
        """Return the contribution to this sum, if it was the last one; nothing outlives this object."""
        return self._last[1] if self._last is not None and self._last[0] == terms else None

    def respond(self, terms: SumTerms, beacon: bytes) -> bytes:
        """Return a response without content."""
        del beacon
        return _token("response", terms, self._member)

    def examine(
        self, terms: SumTerms, beacon: bytes, dealer: str, contribution: bytes, response: bytes
    ) -> DealingVerdict:
        """Check the length and the name of a contribution."""
        del beacon
        try:
            _integers(terms, contribution, dealer)
        except WrongSum:
            return DealingVerdict.AT_FAULT
        return DealingVerdict.GOOD if response == _token("response", terms, dealer) else DealingVerdict.AT_FAULT

    def dealt(self, terms: SumTerms, dealer: str, contribution: bytes) -> bytes | None:
        """Return nothing: nothing is dealt."""
        del terms, dealer, contribution
        return None

    def show(self, terms: SumTerms, holders: Sequence[str]) -> bytes:
        """Return what stands for the shares of these holders."""
        return _token("shown", terms, self._member, *holders)

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
        """Return whether it is that."""
        del beacon, contribution, response
        return shown == _token("shown", terms, dealer, *holders)

    def ready(self, terms: SumTerms, cohort: Sequence[str]) -> bool:
        """Return that an answer can be given."""
        del terms, cohort
        return True

    def answer(self, terms: SumTerms, cohort: Sequence[str]) -> bytes:
        """Return what stands for an answer."""
        return _token("answer", terms, self._member, *cohort)

    def decrypt(
        self,
        terms: SumTerms,
        cohort: Sequence[str],
        contributions: Mapping[str, bytes],
        answers: Mapping[str, bytes],
    ) -> Decrypted | None:
        """Return the sum, once t holders have answered."""
        right = [holder for holder, content in answers.items() if content == _token("answer", terms, holder, *cohort)]
        if len(right) < terms.threshold:
            return None
        total = np.zeros(terms.counts + terms.values, np.int64)
        for dealer in cohort:
            total += _integers(terms, contributions[dealer], dealer)
        return Decrypted(total, tuple(holder for holder in answers if holder not in right))

    def respond_to_audit(self, terms: SumTerms, beacon: bytes) -> bytes:
        """Return a response without content."""
        del beacon
        return _token("audit", terms, self._member)

    def audit(
        self,
        terms: SumTerms,
        beacon: bytes,
        cohort: Sequence[str],
        responses: Mapping[str, bytes],
        answers: Mapping[str, bytes],
    ) -> tuple[str, ...]:
        """Return the holders whose answer is what it should be."""
        del beacon, responses
        return tuple(h for h in terms.holders if answers.get(h) == _token("answer", terms, h, *cohort))

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
        """Return that nothing is proved: nothing was dealt."""
        del terms, beacon, dealer, holder, contribution, response, share, audit
        return False


def _token(what: str, terms: SumTerms, *names: str) -> bytes:
    return "\n".join((what, terms.federation, str(terms.round), *names)).encode()


def _integers(terms: SumTerms, content: bytes, member: str) -> IntVector:
    head, size = member.encode() + b"\n", 8 * (terms.counts + terms.values)
    if len(content) != len(head) + size or not content.startswith(head):
        raise WrongSum(f"The contribution of {member} in round {terms.round} is malformed.")
    return np.frombuffer(content, "<i8", offset=len(head)).astype(np.int64)
