"""What an auditor checks of a federation's rounds and keys, given the ordered records and the blobs, and no secret.

    History (history.py)      the records, replayed under the members' own rules
    audit_ceremony            an onlooker's ceremony: the public keys that the holders committed to and proved
    audit_round               every proof, the sum, every share, the opened sum, the model that follows from it

A `Finding` is something that does not hold. A remark is something that held although somebody did not do right, for
example a false attestation that was outvoted. The page on what this proves: docs/audit.md.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from medward.federation.blobs import blob_name
from medward.federation.effects import Effect, FetchKeyBlob, KeepKeys, KeyBlobFetched
from medward.federation.encrypted_sum import EncryptedSum, EpochMaterial
from medward.federation.history import PastCeremony, PastRound
from medward.federation.interfaces import FederationError, IntVector, SecureSum, Slot, WrongSum
from medward.federation.key_ceremony import KeyCeremony, keys_digest
from medward.federation.memory import PlainSum
from medward.federation.participant import setup_of
from medward.federation.plan import Plan
from medward.federation.records import (
    Aggregate,
    DataKey,
    Finish,
    KeyAnswer,
    KeyDeal,
    KeyHold,
    KeyOpen,
    Open,
    Record,
    Reveal,
    SealedData,
    Share,
    Submit,
    commitment_to,
    subject,
)
from medward.federation.round import Phase, Round, Verdicts
from medward.federation.rules import Agreement
from medward.federation.shared_model import from_bytes
from medward.fhe.errors import AnswerRefused
from medward.fhe.member import Slot as AnswerSlot

#: Returns a blob whose content was checked against its name, or None where nobody has it whole.
Read = Callable[[str], bytes | None]
#: No member has this name: names are one line.
_AUDITOR = "an auditor\n"


@dataclass(frozen=True)
class Finding:
    """Something that does not hold, or a remark.

    Args:
        what: one sentence.
        home: in whose home, where that matters.
        height: in which block.
        round: in which round.
        name: the CID that it is about.
    """

    what: str
    home: str | None = None
    height: int | None = None
    round: int | None = None
    name: str | None = None

    def __str__(self) -> str:
        places = [self.home] if self.home is not None else []
        places += [f"height {self.height}"] if self.height is not None else []
        places += [f"round {self.round}"] if self.round is not None else []
        places += [self.name] if self.name is not None else []
        return f"{', '.join(places)}: {self.what}" if places else self.what


@dataclass
class Found:
    """What an audit found, and how much it checked.

    Args:
        checked: how many things were checked, by kind.
        problems: what does not hold.
        remarks: what held although somebody did not do right.
    """

    checked: dict[str, int] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)

    def count(self, kind: str, number: int = 1) -> None:
        """Count what was checked."""
        self.checked[kind] = self.checked.get(kind, 0) + number

    def take(self, other: "Found") -> None:
        """Add what another part of the audit found."""
        for kind, number in other.checked.items():
            self.count(kind, number)
        self.problems += other.problems
        self.remarks += other.remarks


class _NoAnswers:
    """The answer journal of one who gives no answers."""

    def once(self, slot: AnswerSlot, question: bytes, budget: int, make: Callable[[], bytes]) -> bytes:
        del slot, question, budget, make
        raise AnswerRefused("an auditor gives no answers")

    def stored(self, slot: AnswerSlot) -> bytes | None:
        del slot
        return None


def sums_of_auditor(material: EpochMaterial | None, least_cohort: int) -> SecureSum:
    """Return the part in sums of one who verifies and opens, and can neither seal nor share.

    Args:
        material: what `audit_ceremony` gave; None for sums in the open.
        least_cohort: the fewest contributions that a sum may have.
    """
    if material is None:
        return PlainSum(_AUDITOR)
    named = replace(material, numbers={**material.numbers, _AUDITOR: 0})
    return EncryptedSum(named, _AUDITOR, _NoAnswers(), least_cohort)


# Key ceremonies.


def ceremony_blobs(past: PastCeremony) -> dict[str, str]:
    """Return name -> what it is, of the blobs that f+1 members said they hold."""
    holds: dict[str, set[str]] = {}
    for placed in past.log:
        if isinstance(placed.record, KeyHold):
            holds.setdefault(placed.record.blob, set()).add(placed.record.member)
    needed = {}
    for placed in past.log:
        match placed.record:
            case KeyOpen(member=member, key=name, epoch=epoch) if len(holds.get(name, ())) > past.terms.faulty:
                needed[name] = f"the public key of {member} in epoch {epoch}"
            case KeyAnswer(member=member, share=name, epoch=epoch) if len(holds.get(name, ())) > past.terms.faulty:
                needed[name] = f"the share that {member} showed in the ceremony of epoch {epoch}"
    return needed


def audit_ceremony(agreement: Agreement, past: PastCeremony, read: Read, found: Found) -> EpochMaterial | None:
    """Follow a ceremony as an onlooker; return the public keys that it led to.

    Args:
        agreement: the federation's.
        past: the ceremony's records.
        read: gives a blob.
        found: takes what is found.
    """
    onlooker = KeyCeremony(
        past.terms.members[0], past.terms, setup_of(agreement, past.terms), past.first_epoch, looks_on=True
    )
    kept: list[EpochMaterial] = []
    missing: set[str] = set()

    def carry_out(effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, KeepKeys):
                kept.append(effect.material)
            elif isinstance(effect, FetchKeyBlob) and effect.dealer is None:
                content = read(effect.name)
                if content is None:
                    missing.add(effect.name)
                else:
                    carry_out(onlooker.fetched(KeyBlobFetched(effect, content)))

    carry_out(onlooker.begin(past.began))
    for placed in past.log:
        carry_out(onlooker.ordered(placed.record, placed.time, placed.block))
    for member, reason in onlooker.left_out.items():
        found.remarks.append(Finding(f"{member} {reason} and was left out of the keys", height=past.height))
    if past.epoch is None:
        return None
    found.count("ceremonies")
    number = past.epoch.epoch
    if not kept or kept[0].keys.epoch != number:
        why = "a blob of its ceremony is missing" if missing else "its ceremony's records do not lead to it"
        found.problems.append(Finding(f"the keys of epoch {number} cannot be rebuilt: {why}", height=past.height))
        return None
    material = kept[0]
    names = {n: name for name, n in material.numbers.items()}
    holders = tuple(names[n] for n in material.keys.holders)
    if (keys_digest(material.keys), holders) != (past.epoch.digest, past.epoch.keys.holders):
        what = f"the keys of epoch {number} are not those that f+1 members reported"
        found.problems.append(Finding(what, height=past.height))
        return None
    found.count("public keys", len(holders))
    return material


# Rounds.


def round_blobs(past: PastRound) -> dict[str, str]:
    """Return name -> what it is, of the blobs that a round rests on, so that somebody must have them."""
    now, number = past.now, past.now.number
    needed = {now.model: f"the model that round {number} worked from"}
    for member in now.cohort:
        needed[now.submissions[member]] = f"the contribution of {member} to round {number}"
    if now.aggregate is not None and now.exposed:
        needed[now.aggregate] = f"the aggregate of round {number}"
    for holder in now.good_shares:
        needed[now.shares[holder]] = f"the share of {holder} in round {number}"
    for holder, member, name in _good_reveals(now):
        needed[name] = f"what {member} revealed of {holder} in round {number}"
    if now.candidate is not None:
        needed[now.candidate.model] = f"the model that round {number} led to"
    return needed


def named_blobs(record: Record, author: str, members: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (name, what it is) of the blobs that a record names, whether or not it was followed.

    Args:
        record: as it was ordered.
        author: who signed it.
        members: in the order of the terms, in which a ceremony numbers them from 1.
    """
    match record:
        case Open(round=number, model=name):
            yield name, f"the model that round {number} worked from"
        case Submit(round=number, member=member, contribution=name):
            yield name, f"the contribution of {member} to round {number}"
        case Aggregate(round=number, member=member, aggregate=name):
            yield name, f"the aggregate of {member} in round {number}"
        case Share(round=number, member=member, share=name):
            yield name, f"the share of {member} in round {number}"
        case Reveal(round=number, member=member, holder=holder, share=name):
            yield name, f"what {member} revealed of {holder} in round {number}"
        case Finish(round=number, member=member, model=name):
            yield name, f"the model that {member} found in round {number}"
        case KeyOpen(epoch=epoch, member=member, key=name):
            yield name, f"the public key of {member} in epoch {epoch}"
        case KeyDeal(epoch=epoch, member=member, sealed=sealed):
            for place, name in sealed:
                to = members[place - 1] if 0 < place <= len(members) else f"holder {place}"
                yield name, f"the share that {member} dealt to {to} in epoch {epoch}"
        case KeyAnswer(epoch=epoch, member=member, share=name):
            yield name, f"the share that {member} showed in the ceremony of epoch {epoch}"
        case DataKey(key=name):
            yield name, f"the data key of {author}"
        case SealedData(data=name):
            yield name, f"the sealed data set of {author}"


@dataclass
class _Audit:
    """An audit of one round."""

    past: PastRound
    sums: SecureSum
    read: Read
    found: Found

    @property
    def now(self) -> Round:
        return self.past.now

    @property
    def slot(self) -> Slot:
        now = self.now
        return Slot(now.terms.name, now.number, now.counts, now.values, now.dispatch.bits)

    def problem(self, what: str, name: str | None = None) -> None:
        self.found.problems.append(Finding(what, round=self.now.number, name=name))

    def remark(self, what: str, name: str | None = None) -> None:
        self.found.remarks.append(Finding(what, round=self.now.number, name=name))

    def blobs(self, names: Mapping[str, str]) -> dict[str, bytes]:
        """Return those that are there, by the same keys; that others are missing is told elsewhere."""
        contents = {key: self.read(name) for key, name in names.items()}
        return {key: content for key, content in contents.items() if content is not None}

    def judged(self, phase: Phase, about: str, what: str, name: str, examine: Callable[[], None]) -> None:
        """Compare a verdict of one's own with those of the members."""
        said = self.past.verdicts.get(phase, {}).get(about, Verdicts())
        f = self.now.terms.faulty
        try:
            examine()
        except WrongSum as wrong:
            if len(said.good) > f:
                names = ", ".join(sorted(said.good))
                self.problem(f"{what} is not good, and {names} attested that it is: {wrong}", name)
            elif said.good:
                self.remark(f"{', '.join(sorted(said.good))} attested that {what} is good, which it is not", name)
        else:
            self.found.count("proofs")
            if len(said.bad) > f:
                self.problem(f"{what} is good, and {', '.join(sorted(said.bad))} attested that it is bad", name)
            elif said.bad:
                self.remark(f"{', '.join(sorted(said.bad))} attested that {what} is bad, which it is not", name)


def audit_round(past: PastRound, sums: SecureSum, read: Read, plan: Plan | None, found: Found) -> None:
    """Check everything that a round's records and blobs let one check.

    Args:
        past: the round.
        sums: of `sums_of_auditor`, with the round's keys.
        read: gives a blob; what is missing is left out here, and for the caller to tell.
        plan: what is trained; None where it is not known, and models are then not computed.
        found: takes what is found.
    """
    audit = _Audit(past, sums, read, found)
    found.count("rounds")
    _check_commitments(audit)
    now, slot = past.now, audit.slot
    contributions = audit.blobs(now.submissions)
    for member, content in contributions.items():
        what = f"the contribution of {member}"
        audit.judged(
            Phase.ATTESTING, subject(member), what, now.submissions[member],
            lambda member=member, content=content: sums.examine(slot, member, content),  # type: ignore[misc]
        )  # fmt: skip
    total = _opened(audit, {m: c for m, c in contributions.items() if m in now.cohort})
    if total is not None:
        _check_model(audit, total, plan)
    _check_outcome(audit)


def _check_commitments(audit: _Audit) -> None:
    now = audit.now
    for member, name in now.submissions.items():
        if commitment_to("contribution", now.terms.name, now.number, member, name) != now.commitments.get(member):
            audit.problem(f"the contribution of {member} is not the one that it committed to", name)
    for holder, name in now.shares.items():
        if commitment_to("share", now.terms.name, now.number, holder, name) != now.share_commitments.get(holder):
            audit.problem(f"the share of {holder} is not the one that it committed to", name)
    audit.found.count("commitments", len(now.submissions) + len(now.shares))


def _opened(audit: _Audit, contributions: dict[str, bytes]) -> IntVector | None:
    """Check the sum and its shares and return what it opens to, as far as the round went and the blobs are there."""
    now, slot, sums = audit.now, audit.slot, audit.sums
    aggregate = None if now.aggregate is None else audit.read(now.aggregate)
    if not now.exposed or aggregate is None or len(contributions) < len(now.cohort):
        return None
    try:
        sums.check(slot, contributions, aggregate)
    except WrongSum as wrong:
        audit.problem(f"the aggregate is not the sum of the cohort's contributions: {wrong}", now.aggregate)
        return None
    audit.found.count("sums")
    shares = audit.blobs(now.shares)
    for holder, share in shares.items():
        audit.judged(
            Phase.VERIFYING, subject(holder), f"the share of {holder}", now.shares[holder],
            lambda h=holder, s=share: sums.examine_share(slot, aggregate, h, s),  # type: ignore[misc]
        )  # fmt: skip
    revealed: dict[str, dict[str, bytes]] = {holder: {} for holder in now.silent}
    for holder, shown in now.reveals.items():
        for member, content in audit.blobs(shown).items():
            audit.judged(
                Phase.OPENING, subject(holder, member), f"what {member} revealed of {holder}", shown[member],
                lambda h=holder, m=member, c=content: sums.examine_reveal(slot, h, m, c),  # type: ignore[misc]
            )  # fmt: skip
            if now.good(holder, member):
                revealed[holder][member] = content
    good = {holder: shares[holder] for holder in now.good_shares if holder in shares}
    if now.candidate is None or len(good) < len(now.good_shares):
        return None
    try:
        return sums.open(slot, aggregate, good, revealed)
    except WrongSum as wrong:
        audit.problem(f"the sum does not open: {wrong}", now.aggregate)
        return None


def _check_model(audit: _Audit, total: IntVector, plan: Plan | None) -> None:
    """Compute the next shared model and compare it with the one that was agreed on."""
    now = audit.now
    before = audit.read(now.model)
    if now.candidate is None or before is None or plan is None:
        return
    try:
        after = from_bytes(plan, before).advance(total, now.refused)
    except FederationError as error:
        audit.problem(f"no model follows from the opened sum: {error}", now.model)
        return
    name = blob_name(after.to_bytes())
    if (name, after.next) != (now.candidate.model, now.candidate.next):
        audit.problem(f"the opened sum leads to the model {name}, not to the one agreed on", now.candidate.model)
    else:
        audit.found.count("models")


def _check_outcome(audit: _Audit) -> None:
    """Count the finishes and the votes once more; name who found another model."""
    now, candidate = audit.now, audit.now.candidate
    if candidate is None:
        if now.phase in (Phase.FINAL, Phase.ROLLED_BACK):
            audit.problem("it ended with a model that nobody found")
        return
    agreeing = [member for member, one in now.finishes.items() if one == candidate]
    if len(agreeing) <= now.terms.faulty:
        audit.problem(f"only {len(agreeing)} members found its model", candidate.model)
    for member, one in now.finishes.items():
        if one != candidate:
            audit.remark(f"{member} found another model than f+1 others", one.model)
    against = 2 * list(now.votes.values()).count(False) > len(now.terms.members)
    if now.over and against != (now.phase is Phase.ROLLED_BACK):
        audit.problem(f"its votes do not lead to its end, {now.phase.value}")
    audit.found.count("votes", len(now.votes))


def _good_reveals(now: Round) -> Iterator[tuple[str, str, str]]:
    for holder, shown in now.reveals.items():
        for member, name in shown.items():
            if now.good(holder, member):
                yield holder, member, name
