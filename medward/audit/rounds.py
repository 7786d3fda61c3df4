"""The audit of a federation's rounds, from the ordered records and the blobs, without any secret.

    History (history.py)      the records, replayed under the members' own rules
    audit_round               commitments, beacons, the sum (audit_sums.py), cohort, model, votes
    audit_cohorts             that each cohort was measured against those whose sum may be known
    audit_sealing_keys        that shares were sealed to keys that can be sealed to, and not to old ones

A `Finding` is something that does not hold, or a remark: something that held although somebody did not do right, for
example a false attestation that was outvoted. Whom a finding calls guilty is proved to be, unless more members lied
than may; where nothing shows which of two members lied, it calls neither so. What that proves: docs/audit.md.
"""

from collections.abc import Iterator, Mapping

from medward.audit.findings import AuditResult, Finding, Read
from medward.audit.history import PastRound
from medward.audit.sums import (
    RoundAudit,
    check_accusations,
    check_answers,
    check_complaints,
    check_dealings,
)
from medward.federation import records
from medward.federation.blobs import blob_name
from medward.federation.errors import FederationError
from medward.federation.model.plan import TrainingPlan
from medward.federation.model.shared_model_format import MOST_BYTES, decode_model, encode_model
from medward.federation.records import Record
from medward.federation.round.exposure import Cohort, added, isolates
from medward.federation.round.state import NextModel, Phase
from medward.federation.rules import OLDEST_KEY, SURVEY, unknowns
from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import IntVector, SecureSum
from medward.federation.sums.plain import PlainSum
from medward.fhe.hybrid import check_public
from medward.store.limits import file_up_to

#: No member has this name: names are one line.
_AUDITOR = "an auditor\n"


def sums_of_auditor(protect: str) -> SecureSum:
    """Return the part in sums of one who checks and decrypts, and can neither contribute nor answer.

    Args:
        protect: as the federation agreed.
    """
    return PlainSum(_AUDITOR) if protect == "none" else EncryptedSum(_AUDITOR, None, b"")


# Blobs.


def round_blobs(past: PastRound) -> dict[str, str]:
    """Return name -> what it is, of the blobs that a round rests on, so that somebody must have them.

    An answer that only its author had is not among them, unless it was audited: a sum needs t of them, and no more.
    """
    now, number = past.now, past.now.number
    needed = {now.model: f"the model that round {number} worked from"}
    for dealer in now.cohort:
        names = now.submissions[dealer]
        needed[names.contribution] = f"the contribution of {dealer} to round {number}"
        needed[names.response] = f"the response of {dealer} in round {number}"
        if dealer in now.shown:
            needed[now.shown[dealer]] = f"what {dealer} showed in round {number}"
    if now.audit is not None:
        for holder, name in now.audit.answers.items():
            needed[name] = f"the answer of {holder} in round {number}"
    if now.candidate is not None:
        needed[now.candidate.model] = f"the model that round {number} led to"
    return needed


def named_blobs(record: Record, author: str) -> Iterator[tuple[str, str]]:
    """Yield (name, what it is) of the blobs that a record names, whether or not it was followed.

    Args:
        record: as it was ordered.
        author: who signed it.
    """
    match record:
        case records.BeginRound(round=number, model=name):
            yield name, f"the model that round {number} worked from"
        case records.Submit(round=number, member=member):
            yield record.contribution, f"the contribution of {member} to round {number}"
            yield record.response, f"the response of {member} in round {number}"
        case records.Show(round=number, member=member, shown=name):
            yield name, f"what {member} showed in round {number}"
        case records.Answer(round=number, member=member, answer=name):
            yield name, f"the answer of {member} in round {number}"
        case records.Complain(round=number, member=member, dealer=dealer, share=name):
            yield name, f"the share that {member} published against {dealer} in round {number}"
        case records.Finish(round=number, member=member, model=name):
            yield name, f"the model that {member} found in round {number}"
        case records.DataKey(key=name):
            yield name, f"the data key of {author}"
        case records.SealedData(data=name):
            yield name, f"the sealed data set of {author}"


# Between rounds.


def audit_cohorts(rounds: Mapping[int, PastRound], found: AuditResult) -> None:
    """Count once more what all sums tell together: a federation that decrypted too much is named.

    Of every sum whose cohort was fixed somebody may know the result, whatever became of its round. Sums of surveys
    and of moments are of the same unknowns, and so are updates of the same model (exposure.py).

    Args:
        rounds: all of them.
        found: takes what is found.
    """
    exposed: dict[str, tuple[Cohort, ...]] = {}
    for number, past in sorted(rounds.items()):
        now = past.now
        of = unknowns(now)
        known = exposed.get(of, ())
        found.count("cohorts")
        if now.known != known:
            what = "it was not measured against all cohorts whose sum may be known"
            found.problems.append(Finding(what, round=number))
        if now.exposed:
            least = now.terms.least_cohort
            if isolates(known, frozenset(now.cohort), least):
                what = f"its sum, with others of the same unknowns, tells of fewer than {least} hospitals"
                found.problems.append(Finding(what, round=number))
            exposed[of] = added(known, frozenset(now.cohort))
        if now.phase is Phase.FINAL and now.candidate is not None:
            exposed = {of: cohorts for of, cohorts in exposed.items() if of in (SURVEY, now.candidate.model)}


def audit_sealing_keys(rounds: Mapping[int, PastRound], found: AuditResult) -> None:
    """Check the keys that shares were sealed to.

    Args:
        rounds: whose keys are checked.
        found: takes what is found.
    """
    checked: set[bytes] = set()
    for number, past in sorted(rounds.items()):
        for holder, key in past.now.sealing_keys.items():
            if past.key_ages.get(holder, 0) > OLDEST_KEY:
                what = f"shares for {holder} were sealed to a key of {past.key_ages[holder]} rounds before"
                found.problems.append(Finding(what, round=number))
            if not key or key in checked:
                continue
            checked.add(key)
            found.count("sealing keys")
            try:
                check_public(key)
            except ValueError as error:
                what = f"the sealing key of {holder} is none that a share can be sealed to: {error}"
                found.problems.append(Finding(what, round=number, guilty=(holder,)))


# Rounds.


def audit_round(past: PastRound, sums: SecureSum, read: Read, plan: TrainingPlan | None, found: AuditResult) -> None:
    """Check everything that a round's records and blobs let one check.

    Args:
        past: the round.
        sums: of `sums_of_auditor`; not shared with another round that is audited at the same time.
        read: gives a blob; what is missing is left out here, and for the caller to tell.
        plan: what is trained; None where it is not known, and models are then not computed.
        found: takes what is found.
    """
    audit = RoundAudit(past, sums, read, found)
    found.count("rounds")
    _check_commitments(audit)
    check_dealings(audit)
    check_complaints(audit)
    _check_cohort(audit)
    total = check_answers(audit)
    check_accusations(audit)
    _check_models(audit, _next_model(audit, total, plan))
    _check_outcome(audit)


def _check_commitments(audit: RoundAudit) -> None:
    """Check that contributions are those committed to, and the beacon one that nobody knew before."""
    now = audit.now
    for member, submitted in now.submissions.items():
        bound = records.commitment_to(now.terms.name, now.number, member, submitted.contribution)
        if bound != now.commitments.get(member):
            what = f"the contribution of {member} is not the one that it committed to"
            audit.problem(what, submitted.contribution, (member,))
    audit.found.count("commitments", len(now.submissions))
    for member, what in audit.past.contradicting:
        audit.remark(f"{member} {what}", guilty=(member,))
    if not now.beacon:
        return
    audit.found.count("beacons")
    if now.beacon != records.beacon_of(now.terms.name, now.number, audit.past.closing, now.commitments):
        audit.problem("its beacon does not follow from the commitments and the block that closed them")


def _check_cohort(audit: RoundAudit) -> None:
    """Fix the cohort once more by the rules, and check that it hides everybody in it."""
    now, least = audit.now, audit.now.terms.least_cohort
    if not now.cohort:
        return
    accused, acquitted = set(now.must_show), set(now.acquitted)
    if now.cohort != tuple(d for d in now.staying if d not in accused or d in acquitted):
        audit.problem("its cohort is not the one that the attestations lead to")
    if len(now.cohort) < least:
        audit.problem(f"its cohort has {len(now.cohort)} members; {least} are needed")


def _next_model(audit: RoundAudit, total: IntVector | None, plan: TrainingPlan | None) -> NextModel | None:
    """Compute the next shared model from the sum; None where it cannot be, which is told if it should be."""
    now, before = audit.now, audit.read(audit.now.model, file_up_to(MOST_BYTES))
    if (total is None and now.task != "skip") or before is None or plan is None:
        return None
    try:
        after = decode_model(plan, before).advance(total, now.refused, (len(now.invited), len(now.cohort)))
    except FederationError as error:
        if now.candidate is not None:
            audit.problem(f"no model follows from its sum: {error}", now.model)
        return None
    return NextModel(blob_name(encode_model(after)), after.next)


def _check_models(audit: RoundAudit, computed: NextModel | None) -> None:
    """Compare the next model with the one that was agreed on, and name who found another one."""
    agreed = audit.now.candidate
    if computed is not None and agreed is not None:
        if computed != agreed:
            what = f"its sum leads to the model {computed.model}, not to the one agreed on"
            audit.problem(what, agreed.model)
        else:
            audit.found.count("models")
    right = computed or agreed
    for member, one in audit.finishes.items():
        if right is not None and one != right:
            audit.remark(f"{member} found another model than the one that the sum leads to", one.model, (member,))


def _check_outcome(audit: RoundAudit) -> None:
    """Count the finishes and the votes once more."""
    now, candidate = audit.now, audit.now.candidate
    if candidate is None:
        if now.phase in (Phase.FINAL, Phase.ROLLED_BACK):
            audit.problem("it ended with a model that nobody found")
        return
    agreeing = list(now.finishes.values()).count(candidate)
    if agreeing <= now.terms.faulty:
        audit.problem(f"only {agreeing} members found its model", candidate.model)
    against = 2 * list(now.votes.values()).count(False) > len(now.terms.members)
    if now.over and against != (now.phase is Phase.ROLLED_BACK):
        audit.problem(f"its votes do not lead to its end, {now.phase.value}")
    audit.found.count("votes", len(now.votes))
