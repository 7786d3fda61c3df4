"""The audit of one round's sum: dealings, complaints, answers, and the sum that they decrypt to.

    RoundAudit               one round, its blobs, and where what is found goes
    check_dealings           contributions and responses against every holder's attestation
    check_complaints         what dealers showed against every holder's judgement
    check_answers            the sum; who answered wrongly; who denied that answers fit; the audit of answers
    check_accusations        late complaints

It is the part of the check that everybody can repeat. What only a holder can tell, its private share, is on record as
the holder's word alone; see docs/audit.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

from medward.audit.findings import AuditResult, Finding, Read
from medward.audit.history import PastRound
from medward.federation.records import Attest, audit_beacon_of
from medward.federation.round.naming import sizes_of
from medward.federation.round.state import NextModel, Phase, Round
from medward.federation.sums.interface import DealingVerdict, Decrypted, IntVector, SecureSum, SumTerms, WrongSum
from medward.fhe.reconstruction import EXHAUSTIVE
from medward.store.limits import file_of


@dataclass
class RoundAudit:
    """An audit of one round.

    Args:
        past: the round.
        sums: the part in sums of an auditor.
        read: gives a blob.
        found: takes what is found.
    """

    past: PastRound
    sums: SecureSum
    read: Read
    found: AuditResult

    @property
    def now(self) -> Round:
        """The round's last state."""
        return self.past.now

    @cached_property
    def terms(self) -> SumTerms:
        """What everybody knew of the sum when it began."""
        return self.now.sum_terms

    @cached_property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """How long each blob of the round is."""
        return sizes_of(self.now, self.sums)

    def blob(self, name: str) -> bytes | None:
        """Return a blob that was named in the round, as `Read`."""
        return self.read(name, file_of(*self.sizes[name]))

    @cached_property
    def dealings(self) -> dict[str, tuple[bytes, bytes]]:
        """Each dealer's contribution and response, where both are here; what is missing is told elsewhere."""
        dealings = {}
        for dealer, names in self.now.submissions.items():
            contribution, response = self.blob(names.contribution), self.blob(names.response)
            if contribution is not None and response is not None:
                dealings[dealer] = (contribution, response)
        return dealings

    @cached_property
    def answers(self) -> dict[str, bytes]:
        """The answers that are here, by holder, in the order in which they came."""
        contents = {holder: self.blob(name) for holder, name in self.now.answers.items()}
        return {holder: content for holder, content in contents.items() if content is not None}

    @property
    def finishes(self) -> dict[str, NextModel]:
        """What members found, also those whose word came too late to count."""
        return {**self.past.finishes, **self.now.finishes}

    def proves(self, dealer: str, holder: str, *, audited: bool = True) -> bool | None:
        """Return whether a late complaint proves its dealer at fault; None where a blob is missing.

        Args:
            dealer, holder: of whom, and whose.
            audited: whether the dealer's response to the audit is held against it.
        """
        now, share = self.now, self.blob(self.now.accusations[dealer][holder])
        if share is None or dealer not in self.dealings:
            return None
        responses = {} if now.audit is None or not audited else now.audit.responses
        audit = (now.audit.beacon, responses[dealer]) if now.audit is not None and dealer in responses else None
        return self.sums.convicts(self.terms, now.beacon, dealer, holder, *self.dealings[dealer], share, audit)

    def problem(self, what: str, name: str | None = None, guilty: Sequence[str] = ()) -> None:
        """Tell of something that does not hold."""
        self.found.problems.append(Finding(what, round=self.now.number, name=name, guilty=tuple(guilty)))

    def remark(self, what: str, name: str | None = None, guilty: Sequence[str] = ()) -> None:
        """Tell of something that changed nothing."""
        self.found.remarks.append(Finding(what, round=self.now.number, name=name, guilty=tuple(guilty)))

    def blame(self, liars: Sequence[str], may: int, what: str, name: str | None = None) -> None:
        """Name who said what is not so: a problem where more did than may lie, so that their word counted."""
        if liars:
            tell = self.problem if len(liars) > may else self.remark
            tell(f"{', '.join(liars)} {what}", name, liars)


def check_dealings(audit: RoundAudit) -> None:
    """Check every dealing as everybody can, and compare it with what the holders attested."""
    now, f = audit.now, audit.now.terms.faulty_holders
    for dealer, (contribution, response) in audit.dealings.items():
        name, what = now.submissions[dealer].contribution, f"that the dealing of {dealer}"
        verdict = audit.sums.examine(audit.terms, now.beacon, dealer, contribution, response)
        audit.found.count("dealings")
        if verdict is DealingVerdict.AT_FAULT:
            tell = audit.problem if dealer in now.cohort else audit.remark
            tell(f"the dealing of {dealer} is at fault", name, (dealer,))
            audit.blame(_who("good", dealer, now.verdicts), f, f"attested {what} is good, which it is not", name)
        else:
            audit.blame(
                _who("at_fault", dealer, now.verdicts), f, f"attested {what} is at fault, which it is not", name
            )


def check_complaints(audit: RoundAudit) -> None:
    """Tell of complaints, and check what dealers showed and how the holders judged it.

    One complaint proves nothing; of more than may lie one is an honest holder's, whose share was wrong.
    """
    now, f = audit.now, audit.now.terms.faulty_holders
    for dealer in now.submissions:
        complainers = now.complainers(dealer)
        audit.found.count("complaints", len(complainers))
        if complainers and now.phase not in (Phase.CHECKING, Phase.SHOWING):
            end = "which showed what it had dealt to them" if dealer in now.shown else "which showed nothing"
            what = f"{', '.join(complainers)} complained of the share dealt by {dealer}, {end}"
            audit.remark(what, guilty=(dealer,) if len(complainers) > f else ())
    for dealer, name in now.shown.items():
        shown = audit.blob(name)
        if shown is None or dealer not in audit.dealings:
            continue
        about = (audit.terms, now.beacon, dealer, now.complainers(dealer), *audit.dealings[dealer], shown)
        good, what = audit.sums.examine_shown(*about), f"that what {dealer} showed"
        audit.found.count("shown")
        if good:
            audit.blame(_who("at_fault", dealer, now.judgements), f, f"attested {what} is wrong, which it is not", name)
        else:
            tell = audit.problem if dealer in now.cohort else audit.remark
            tell(f"what {dealer} showed is not what it dealt, or proves that it dealt wrongly", name, (dealer,))
            audit.blame(_who("good", dealer, now.judgements), f, f"attested {what} is right, which it is not", name)


def check_answers(audit: RoundAudit) -> IntVector | None:
    """Decrypt the sum from the answers and name whose answer is wrong; return the sum, int64[counts + values].

    It returns None where nothing was answered, or a blob is missing, or no set of answers that is tried fits.
    """
    now = audit.now
    if not now.answers or not set(now.cohort) <= audit.dealings.keys():
        return None
    audit.found.count("answers", len(audit.answers))
    right = _read_audit(audit)
    every = _decrypt(audit, audit.answers)
    found = every or next((one for held in _sets(audit, right) if (one := _decrypt(audit, held)) is not None), None)
    _check_denials(audit)
    if found is None:
        _tell_no_sum(audit)
        return None
    audit.found.count("sums")
    for holder in () if every is None else every.wrong:
        what = f"the answer of {holder} is not the sum of the shares that were dealt to it"
        audit.remark(what, now.answers[holder], (holder,))
    return found.total


def check_accusations(audit: RoundAudit) -> None:
    """Judge late complaints: each proves a fault of its dealer, or that its author complained of nothing."""
    now = audit.now
    for dealer, said in now.accusations.items():
        for holder, name in said.items():
            proved = audit.proves(dealer, holder)
            if proved is None:
                audit.remark(f"the share that {holder} published against {dealer} is not here to be judged", name)
                continue
            audit.found.count("accusations")
            if not proved:
                audit.remark(f"{holder} complained of {dealer} with a share that proves nothing", name, (holder,))
                continue
            audit.remark(
                f"the share that {holder} published proves that {dealer} dealt or responded wrongly", name, (dealer,)
            )
            attested = holder in now.verdicts and dealer in now.verdicts[holder].good
            if attested and audit.proves(dealer, holder, audited=False):
                what = f"{holder} attested that its share of {dealer} is good, and published it as one that is not"
                audit.remark(what, name, (holder,))


def _who(said: str, dealer: str, verdicts: Mapping[str, Attest]) -> list[str]:
    """Return the holders that named a dealer under this heading of their attestation."""
    return [holder for holder, verdict in verdicts.items() if dealer in getattr(verdict, said)]


def _decrypt(audit: RoundAudit, answers: Mapping[str, bytes]) -> Decrypted | None:
    if len(answers) < audit.terms.threshold:
        return None
    contributions = {dealer: audit.dealings[dealer][0] for dealer in audit.now.cohort}
    try:
        return audit.sums.decrypt(audit.terms, audit.now.cohort, contributions, answers)
    except WrongSum:  # a dealing of the cohort is malformed, which is told where dealings are checked
        return None


def _sets(audit: RoundAudit, right: Mapping[str, bytes]) -> list[dict[str, bytes]]:
    """Return further sets of answers to try: what the audit left, and what members had before the last ones came.

    Where holders are few all sets of t were tried already.
    """
    held, t = list(audit.answers.items()), audit.terms.threshold
    earlier = [dict(held[:count]) for count in range(t, len(held))] if comb(len(held), t) > EXHAUSTIVE else []
    return [dict(right), *earlier]


def _tell_no_sum(audit: RoundAudit) -> None:
    """Tell that no sum follows from the answers, where the round says that one does."""
    now, held, needed = audit.now, len(audit.answers), audit.terms.threshold
    if now.candidate is not None:
        audit.problem(f"of its answers {held} are here, and no {needed} of them give its sum")
    elif held == len(now.answers) and comb(held, needed) <= EXHAUSTIVE:
        audit.blame(list(audit.finishes), now.terms.faulty, "found a model where no set of answers gives a sum")


def _check_denials(audit: RoundAudit) -> None:
    """Try once more the answers that members found to be unfitting."""
    now = audit.now
    fits: dict[frozenset[str], bool] = {}
    liars = []
    for member, names in now.unfitting.items():
        if not set(names) <= audit.answers.keys():
            continue
        held = {holder: audit.answers[holder] for holder in audit.answers if holder in names}
        if frozenset(names) not in fits:
            fits[frozenset(names)] = _decrypt(audit, held) is not None
        audit.found.count("denials")
        liars += [member] if fits[frozenset(names)] else []
    audit.blame(liars, now.terms.faulty, "found that no set of the answers gives a sum, and one does")


def _read_audit(audit: RoundAudit) -> dict[str, bytes]:
    """Repeat an audit of answers; return those that agree with the dealers' responses.

    A false response of one dealer contradicts right answers, too. So it is told whose answers are contradicted, and
    nobody is called guilty for that: a share that a contradicted holder publishes convicts the dealer, and a holder
    that publishes none may have been unable to.
    """
    now, one = audit.now, audit.now.audit
    if one is None:
        return {}
    if one.beacon != audit_beacon_of(now.terms.name, now.number, audit.past.auditing, one.answers):
        audit.problem("the beacon of its audit does not follow from the block and the answers before it")
    silent = [dealer for dealer in now.cohort if dealer not in one.responses]
    malformed = [
        dealer for dealer, response in one.responses.items() if not _reads(audit, one.beacon, dealer, response)
    ]
    audit.found.count("responses", len(one.responses))
    for dealer in malformed:
        audit.remark(f"what {dealer} responded to the audit of the answers is malformed", guilty=(dealer,))
    if silent and now.over:
        audit.remark(f"{', '.join(silent)} did not respond to the audit of the answers")
    if silent or malformed or not set(one.answers) <= audit.answers.keys():
        return {}
    held = {holder: audit.answers[holder] for holder in one.answers}
    right = audit.sums.audit(audit.terms, one.beacon, now.cohort, one.responses, held)
    if contradicted := [holder for holder in one.answers if holder not in right]:
        what = f"the responses to the audit contradict the answers of {', '.join(contradicted)}"
        audit.remark(f"{what}: these are wrong, or a response is")
    return {holder: held[holder] for holder in right}


def _reads(audit: RoundAudit, beacon: bytes, dealer: str, response: bytes) -> bool:
    """Whether a dealer's response to the audit is well-formed."""
    try:
        audit.sums.audit(audit.terms, beacon, (dealer,), {dealer: response}, {})
    except WrongSum:
        return False
    return True
