"""One member of a round: a pure machine from events to effects. Whoever runs it does the I/O.

Blobs are taken as they come, and nobody waits for the last one: at half of a phase's deadline a member says what it
knows (`hasten`). A holder answers only when it has checked its share of every dealing in the cohort (spec/round.md).
"""

from collections.abc import Iterable

from medward.federation import records
from medward.federation.blobs import blob_name
from medward.federation.records import RoundRecord
from medward.federation.round import effects
from medward.federation.round.effects import Fetch, OrderRecord, RoundEffect, RoundEvent, Store
from medward.federation.round.state import Phase, Round
from medward.federation.sums.interface import DealingVerdict, SecureSum, SumRefused, SumTerms, WrongSum


class RoundMember:
    """One member in one round after another.

    Args:
        name: its name in the terms.
        sums: its part in sums.
    """

    def __init__(self, name: str, sums: SecureSum) -> None:
        self.name = name
        self.round: Round | None = None
        self._sums = sums
        self._forget()

    def _forget(self) -> None:
        """Forget what belongs to a round that is over."""
        self._blobs: dict[str, bytes] = {}
        self._verdicts: dict[str, DealingVerdict] = {}
        self._judged: dict[str, bool] = {}
        self._actions: set[object] = set()
        self._hasty: Phase | None = None
        self._finish: records.Finish | None = None

    def follow(self, now: Round, record: RoundRecord | None) -> list[RoundEffect]:
        """Take the state that a record led to (None: in the middle of a round); return what is to be done, in order."""
        before, self.round = self.round, now
        if before is None or before.number != now.number or now.over:
            self._forget()
        if before is None or record is None or (before.number, before.phase) != (now.number, now.phase):
            return self._enter(now)
        return self._fetch(now) if isinstance(record, records.Answer) else []

    def step(self, event: RoundEvent) -> list[RoundEffect]:
        """Take what an effect led to, and return what is to be done about it, in order."""
        now = self.round
        if now is None or now.over or event.round != now.number:
            return []
        match event:
            case effects.Produced() if now.phase is Phase.COMMITTING:
                contributed = self._sums.contributed(now.sum_terms)
                return self._commit(now, contributed or self._sums.contribute(now.sum_terms, event.values))
            case effects.Fetched():
                self._blobs.update(event.blobs)
                return self._proceed(now)
            case effects.Advanced():
                name, store = self._keep(now, event.model)
                self._finish = records.Finish(now.number, self.name, name, event.next)
                return [store, *self._finished(now)]
            case effects.Judged() if now.phase is Phase.VOTING:
                return [OrderRecord(records.ModelVote(now.number, self.name, event.accept))]
        return []

    @property
    def hastens_at(self) -> float:
        """When `hasten` may have something to say: at half of the deadline of a phase in which blobs are awaited."""
        now = self.round
        if now is None or now.phase not in (Phase.CHECKING, Phase.JUDGING, Phase.FINISHING) or self._spoke(now):
            return float("inf")
        return float("inf") if self._hasty is now.phase else now.since + now.terms.deadline / 2

    def hasten(self) -> list[RoundEffect]:
        """Say what this member knows by now; what is withheld from it stops nobody."""
        self._hasty = None if self.round is None else self.round.phase
        return [] if self.round is None else self._proceed(self.round)

    def _enter(self, now: Round) -> list[RoundEffect]:
        """What a new phase asks of this member."""
        terms, name = now.sum_terms, self.name
        try:
            match now.phase:
                case Phase.COMMITTING if name in now.invited:
                    contributed = self._sums.contributed(terms)
                    work: list[RoundEffect] = [effects.Work(now.number, now.task, now.model)]
                    return work if contributed is None else self._commit(now, contributed)
                case Phase.SUBMITTING if name in now.commitments:
                    return self._submit(now, terms)
                case Phase.CHECKING if name in now.submissions and not self._blobs:
                    # After a restart: the store may have lost what no other has yet.
                    again = [effect for effect in self._submit(now, terms) if isinstance(effect, Store)]
                    return [*again, *self._fetch(now), *self._proceed(now)]
                case Phase.SHOWING if name in now.must_show:
                    shown, store = self._keep(now, self._sums.show(terms, now.complainers(name)))
                    return [store, OrderRecord(records.Show(now.number, name, shown))]
                case Phase.AUDITING if now.audit is not None and name in now.cohort:
                    response = self._sums.respond_to_audit(terms, now.audit.beacon)
                    return [OrderRecord(records.Respond(now.number, name, response))]
                case Phase.VOTING if now.candidate is not None:
                    return [effects.Judge(now.number, now.model, now.candidate.model)]
        except (WrongSum, SumRefused):
            return []
        return [*self._finished(now), *self._fetch(now), *self._proceed(now)]

    def _commit(self, now: Round, contribution: bytes) -> list[RoundEffect]:
        name, store = self._keep(now, contribution)
        commitment = records.commitment_to(now.terms.name, now.number, self.name, name)
        return [store, OrderRecord(records.Commitment(now.number, self.name, commitment))]

    def _submit(self, now: Round, terms: SumTerms) -> list[RoundEffect]:
        """Show the contribution and the response; both come from the journal, whatever the store has lost."""
        contribution = self._sums.contributed(terms)
        if contribution is None:
            return []
        name = blob_name(contribution)
        if records.commitment_to(now.terms.name, now.number, self.name, name) != now.commitments[self.name]:
            return []  # another process with this member's key committed
        again = [] if name in self._blobs else [self._keep(now, contribution)[1]]
        response, store = self._keep(now, self._sums.respond(terms, now.beacon))
        return [*again, store, OrderRecord(records.Submit(now.number, self.name, name, response))]

    def _keep(self, now: Round, content: bytes) -> tuple[str, Store]:
        """Return the name of a blob of this member's, and the effect that stores it."""
        name = blob_name(content)
        self._blobs[name] = content
        return name, Store(f"round/{now.number}", content)

    def _fetch(self, now: Round) -> list[RoundEffect]:
        """Ask for the blobs that the present phase needs and that are not here yet."""
        about: dict[Phase, Iterable[str]] = {Phase.CHECKING: now.submissions, Phase.JUDGING: now.shown}
        about |= dict.fromkeys((Phase.ANSWERING, Phase.FINISHING), now.cohort)
        dealers = tuple(about.get(now.phase, ()))
        dealings = [now.submissions[dealer] for dealer in dealers]
        needed = [name for dealing in dealings for name in (dealing.contribution, dealing.response)]
        needed += [now.shown[dealer] for dealer in dealers if dealer in now.shown]
        needed += now.answers.values() if dealers == now.cohort else ()
        missing = tuple(dict.fromkeys(name for name in needed if name not in self._blobs))
        return [Fetch(now.number, now.phase, missing)] if missing else []

    def _proceed(self, now: Round) -> list[RoundEffect]:
        """Do what can be done with the blobs that are here."""
        hasty = self._hasty is now.phase
        try:
            match now.phase:
                case Phase.CHECKING:
                    self._examine(now, now.submissions)
                    return self._attest(now, hasty or len(self._verdicts) == len(now.submissions))
                case Phase.JUDGING:
                    self._judge_shown(now)
                    return self._attest(now, hasty or len(self._judged) == len(now.shown))
                case Phase.ANSWERING:
                    return [*self._answer(now), *self._decrypt(now, hasty=False)]
                case Phase.FINISHING:
                    return self._decrypt(now, hasty=hasty)
        except (WrongSum, SumRefused):
            return []
        return []

    def _examine(self, now: Round, dealers: Iterable[str]) -> None:
        """Check the dealings that are here and were not checked yet."""
        for dealer in dealers:
            if dealer not in self._verdicts and (blobs := self._dealing(now, dealer)) is not None:
                self._verdicts[dealer] = self._sums.examine(now.sum_terms, now.beacon, dealer, *blobs)

    def _dealing(self, now: Round, dealer: str) -> tuple[bytes, bytes] | None:
        """Return a dealer's contribution and response, if both are here."""
        names = now.submissions[dealer]
        contribution, response = self._blobs.get(names.contribution), self._blobs.get(names.response)
        return None if contribution is None or response is None else (contribution, response)

    def _judge_shown(self, now: Round) -> None:
        for dealer, name in now.shown.items():
            blobs, shown = self._dealing(now, dealer), self._blobs.get(name)
            if dealer not in self._judged and blobs is not None and shown is not None:
                about = (now.sum_terms, now.beacon, dealer, now.complainers(dealer))
                self._judged[dealer] = self._sums.examine_shown(*about, *blobs, shown)

    def _spoke(self, now: Round) -> bool:
        """Whether this member has said, or may not say, what the present phase asks of those who check."""
        if now.phase is Phase.FINISHING:
            spoken = {*now.finishes, *now.unfitting}
            return self.name in spoken or now.audit is not None or records.NoFit in self._actions
        said = now.judgements if now.phase is Phase.JUDGING else now.verdicts
        return self.name in said or self.name not in now.sealing_keys or now.phase in self._actions

    def _attest(self, now: Round, enough: bool) -> list[RoundEffect]:
        if not enough or self._spoke(now):
            return []
        self._actions.add(now.phase)
        found: dict[str, DealingVerdict] = dict(self._verdicts)
        if now.phase is Phase.JUDGING:
            found = {d: DealingVerdict.GOOD if good else DealingVerdict.AT_FAULT for d, good in self._judged.items()}
        named = (tuple(d for d, verdict in found.items() if verdict is kind) for kind in DealingVerdict)
        return [OrderRecord(records.Attest(now.number, self.name, *named))]

    def _answer(self, now: Round) -> list[RoundEffect]:
        """Answer once every share of the cohort is checked; complain, late, of one that is provably wrong."""
        if self.name in now.answers or self.name not in now.sealing_keys or records.Answer in self._actions:
            return []
        if not self._sums.ready(now.sum_terms, now.cohort):
            self._examine(now, now.cohort)
            self._judge_shown(now)
            if not self._sums.ready(now.sum_terms, now.cohort):
                late = (d for d in now.cohort if self._verdicts.get(d) is DealingVerdict.COMPLAINT)
                return [e for d in late if self.name not in now.complainers(d) for e in self._complain(now, d)]
        self._actions.add(records.Answer)
        name, store = self._keep(now, self._sums.answer(now.sum_terms, now.cohort))
        return [store, OrderRecord(records.Answer(now.number, self.name, name))]

    def _complain(self, now: Round, dealer: str) -> list[RoundEffect]:
        """Publish a share that proves its dealer at fault; where it proves nothing, say nothing."""
        blobs, said = self._dealing(now, dealer), now.accusations.get(dealer, {})
        share = None if blobs is None else self._sums.dealt(now.sum_terms, dealer, blobs[0])
        if blobs is None or share is None or self.name in said or dealer in self._actions:
            return []
        audit = None if now.audit is None else (now.audit.beacon, now.audit.responses.get(dealer, b""))
        if not self._sums.convicts(now.sum_terms, now.beacon, dealer, self.name, *blobs, share, audit):
            return []
        self._actions.add(dealer)
        name, store = self._keep(now, share)
        return [store, OrderRecord(records.Complain(now.number, self.name, dealer, name))]

    def _decrypt(self, now: Round, *, hasty: bool) -> list[RoundEffect]:
        """Find the sum from the answers that are here, or say that none of them fit."""
        answers = {h: self._blobs[name] for h, name in now.answers.items() if name in self._blobs}
        skips, turnout = now.task == "skip", (len(now.invited), len(now.cohort))
        if (
            effects.Advance in self._actions
            or self._finish is not None
            or len(answers) < now.terms.threshold * (not skips)
        ):
            return []
        if skips:
            self._actions.add(effects.Advance)
            return [effects.Advance(now.number, now.model, None, turnout, now.refused)]
        names = {dealer: now.submissions[dealer].contribution for dealer in now.cohort}
        contributions = {dealer: self._blobs[name] for dealer, name in names.items() if name in self._blobs}
        terms, audit = now.sum_terms, now.audit
        if len(contributions) < len(now.cohort) or (audit is not None and not set(audit.answers) <= set(answers)):
            return []
        complaints: list[RoundEffect] = []
        if audit is not None:
            right = self._sums.audit(terms, audit.beacon, now.cohort, audit.responses, answers)
            answers = {holder: answers[holder] for holder in right if holder in audit.answers}
            if self.name not in right:
                complaints = [effect for dealer in now.cohort for effect in self._complain(now, dealer)]
        found = self._sums.decrypt(terms, now.cohort, contributions, answers)
        if found is not None:
            self._actions.add(effects.Advance)
            return [*complaints, effects.Advance(now.number, now.model, found.total, turnout, now.refused)]
        if audit is not None:
            return complaints
        if now.phase is Phase.FINISHING and not self._spoke(now) and (hasty or len(answers) == len(now.answers)):
            self._actions.add(records.NoFit)
            return [OrderRecord(records.NoFit(now.number, self.name, tuple(answers)))]
        return []

    def _finished(self, now: Round) -> list[RoundEffect]:
        """Say which model this member found, as soon as it may be said."""
        may = now.phase in (Phase.ANSWERING, Phase.FINISHING) and self.name not in now.finishes
        return [OrderRecord(self._finish)] if may and self._finish is not None else []
