"""What one member does in a round: a pure machine from events to effects. Whoever runs it does the I/O.

    COMMITTING   -> Work (if invited); Produced(values) -> Store(contribution), Order(Commit)
    SUBMITTING   -> Order(Submit)
    ATTESTING    -> Fetch contributions; it examines each: Order(Attest)
    AGGREGATING  -> the aggregator fetches and adds: Store(aggregate), Order(Aggregate)
    CHECKING     -> Fetch all of it; it re-adds: Store(share), Order(ShareCommit) or Order(Reject)
    SHARING      -> Order(Share)
    VERIFYING    -> Fetch shares; it examines each: Order(Attest)
    OPENING      -> Store(what the silent holder dealt to it), Order(Reveal); each Reveal -> Fetch, Order(Attest)
    FINISHING    -> Fetch shares and reveals; it opens: Advance(sum); Advanced(model) -> Store(model), Order(Finish)
    VOTING       -> Judge(model); Judged(accept) -> Order(Vote)

A member gives its share only after it has itself examined every contribution and re-added them (spec/round.md).
"""

from collections.abc import Callable, Mapping
from functools import partial

from medward.federation.blobs import blob_name
from medward.federation.effects import (
    Advance,
    Advanced,
    Effect,
    Event,
    Fetch,
    Fetched,
    Judge,
    Judged,
    Order,
    Produced,
    Store,
    Work,
)
from medward.federation.interfaces import SecureSum, Slot, WrongSum
from medward.federation.records import (
    Aggregate,
    Attest,
    Commit,
    Finish,
    Reject,
    Reveal,
    RoundRecord,
    Share,
    ShareCommit,
    Subject,
    Submit,
    Vote,
    commitment_to,
    subject,
)
from medward.federation.round import Phase, Round


class Member:
    """One member in one round after another.

    Args:
        name: its name in the terms.
        sums: its part in the secure sum; None while it has no keys, and then it does nothing.
    """

    def __init__(self, name: str, sums: SecureSum | None) -> None:
        self.name = name
        self.round: Round | None = None
        self._part = sums
        self._own: dict[str, str] = {}
        self._checked: str | None = None
        self._aggregate = b""

    @property
    def takes_part(self) -> bool:
        """Whether it has a part in sums."""
        return self._part is not None

    def rekeyed(self, sums: SecureSum | None) -> None:
        """Go on under the keys of another epoch, from the next round on."""
        self._part = sums

    def follow(self, now: Round, record: RoundRecord | None) -> list[Effect]:
        """Take the round's state after a record, and return what is to be done about it, in order.

        Args:
            now: the state.
            record: what led to it; None where this member begins to follow in the middle of a round.
        """
        before, self.round = self.round, now
        if before is None or before.number != now.number:
            self._own, self._checked = {}, None
        if self._part is None:
            return []
        moved = before is None or (before.number, before.phase, before.attempt) != (now.number, now.phase, now.attempt)
        if moved or record is None:
            return self._entered(now)
        if now.phase is Phase.OPENING and isinstance(record, Reveal):
            return [self._fetch((record.share,))]
        return []

    def step(self, event: Event) -> list[Effect]:
        """Take what an effect led to, and return what is to be done about it, in order."""
        if self._part is None:
            return []
        match event:
            case Produced() if self._in(event.round, Phase.COMMITTING):
                return self._committed(self._sums.sealed(self._slot) or self._sums.seal(self._slot, event.values))
            case Fetched() if self._in(event.fetch.round, event.fetch.why) and self._now.attempt == event.fetch.attempt:
                return self._fetched(event)
            case Advanced() if self._in(event.round, Phase.FINISHING):
                name, store = self._kept("model", event.model)
                return [store, Order(Finish(event.round, self.name, name, event.next))]
            case Judged() if self._in(event.round, Phase.VOTING):
                return [Order(Vote(event.round, self.name, event.accept))]
        return []

    @property
    def _sums(self) -> SecureSum:
        assert self._part is not None
        return self._part

    @property
    def _now(self) -> Round:
        assert self.round is not None
        return self.round

    @property
    def _slot(self) -> Slot:
        now = self._now
        return Slot(now.terms.name, now.number, now.counts, now.values, now.dispatch.bits)

    def _in(self, number: int, phase: Phase) -> bool:
        return self.round is not None and self.round.number == number and self.round.phase is phase

    def _kept(self, what: str, content: bytes) -> tuple[str, Store]:
        """Remember the name of a blob of this member's, and return it with the effect that stores the blob."""
        self._own[what] = blob_name(content)
        return self._own[what], Store(f"round/{self._now.number}", content)

    def _fetch(self, names: tuple[str, ...]) -> Fetch:
        return Fetch(self._now.number, self._now.attempt, self._now.phase, tuple(dict.fromkeys(names)))

    def _entered(self, now: Round) -> list[Effect]:
        """What a new phase asks of this member."""
        contributions = tuple(now.submissions[member] for member in now.cohort)
        aggregate = (now.aggregate,) if now.aggregate is not None else ()
        match now.phase:
            case Phase.COMMITTING if self.name in now.invited:
                sealed = self._sums.sealed(self._slot)
                return [Work(now.number, now.task, now.model)] if sealed is None else self._committed(sealed)
            case Phase.SUBMITTING if self.name in now.commitments:
                return self._shown(now)
            case Phase.ATTESTING:
                stores = self._sealed_again() if self.name in now.submissions else []
                return [*stores, self._fetch(tuple(now.submissions.values()))]
            case Phase.AGGREGATING if now.aggregator == self.name:
                return [self._fetch(contributions)]
            case Phase.CHECKING:
                return [self._fetch((*contributions, *aggregate))]
            case Phase.SHARING if self.name in now.share_commitments:
                if "share" not in self._own:
                    return [self._fetch(self._unchecked(now))]
                return [Order(Share(now.number, self.name, self._own["share"]))]
            case Phase.VERIFYING:
                return [self._fetch((*self._unchecked(now), *now.shares.values()))]
            case Phase.OPENING if self.name in now.keys.holders and self.name not in now.silent:
                return [effect for holder in now.silent for effect in self._reveal(holder)]
            case Phase.FINISHING:
                shown = [now.shares[holder] for holder in now.good_shares]
                revealed = [now.reveals[holder][member] for holder, member in _good_reveals(now)]
                return [self._fetch((*self._unchecked(now), *aggregate, *shown, *revealed))]
            case Phase.VOTING:
                assert now.candidate is not None
                return [Judge(now.number, now.model, now.candidate.model)]
        return []

    def _committed(self, content: bytes) -> list[Effect]:
        now = self._now
        name, store = self._kept("contribution", content)
        commitment = commitment_to("contribution", now.terms.name, now.number, self.name, name)
        return [store, Order(Commit(now.number, self.name, commitment))]

    def _shown(self, now: Round) -> list[Effect]:
        """Show this member's contribution."""
        stores = self._sealed_again()
        if "contribution" not in self._own:
            return []
        return [*stores, Order(Submit(now.number, self.name, self._own["contribution"]))]

    def _sealed_again(self) -> list[Effect]:
        """After a restart, store the contribution as the journal has it: the store may have lost what no other has."""
        content = self._sums.sealed(self._slot) if "contribution" not in self._own else None
        return [] if content is None else [self._kept("contribution", content)[1]]

    def _reveal(self, holder: str) -> list[Effect]:
        try:
            content = self._sums.reveal(self._slot, holder)
        except WrongSum:
            return []
        name, store = self._kept(f"reveal {holder}", content)
        return [store, Order(Reveal(self._now.number, self.name, holder, name))]

    def _unchecked(self, now: Round) -> tuple[str, ...]:
        """What this member still needs to check the aggregate, where it has not done so in its turn."""
        if self._checked == now.aggregate or now.aggregate is None:
            return ()
        return (*(now.submissions[member] for member in now.cohort), now.aggregate)

    def _fetched(self, event: Fetched) -> list[Effect]:
        now, blobs = self._now, event.blobs
        complete = len(blobs) == len(event.fetch.names)
        try:
            match now.phase:
                case Phase.ATTESTING | Phase.OPENING:
                    return self._attested(now, blobs)
                case Phase.VERIFYING:
                    self._check(now, blobs)
                    return self._attested(now, blobs)
                case Phase.AGGREGATING if complete:
                    name, store = self._kept("aggregate", self._sums.add(self._slot, _contributions(now, blobs)))
                    return [store, Order(Aggregate(now.number, self.name, name))]
                case Phase.CHECKING if complete:
                    return self._shared(now, blobs)
                case Phase.SHARING if complete:
                    # After a restart: the journal gives the share that was committed to.
                    self._check(now, blobs)
                    name, store = self._kept("share", self._sums.share(self._slot, self._aggregate))
                    return [store, Order(Share(now.number, self.name, name))]
                case Phase.FINISHING if complete:
                    self._check(now, blobs)
                    return self._opened(now, blobs)
        except (WrongSum, KeyError):
            # Others will finish; a majority that cannot is told by the round's outcome.
            return []
        return []

    def _attested(self, now: Round, blobs: Mapping[str, bytes]) -> list[Effect]:
        """Examine what could be had; about what could not be had, nothing is said."""
        good, bad = [], []
        for about, examine in self._examinations(now, blobs).items():
            said = now.verdicts.get(about)
            if said is not None and self.name in said.good | said.bad:
                continue  # before a restart; to say it twice would spoil the whole record
            try:
                examine()
            except WrongSum:
                bad.append(about)
            else:
                good.append(about)
        return [Order(Attest(now.number, self.name, tuple(good), tuple(bad)))] if good or bad else []

    def _examinations(self, now: Round, blobs: Mapping[str, bytes]) -> dict[Subject, Callable[[], None]]:
        """How what was shown in the present phase is examined, as far as it could be had."""
        slot, sums = self._slot, self._sums
        match now.phase:
            case Phase.ATTESTING:
                return {
                    subject(member): partial(sums.examine, slot, member, blobs[name])
                    for member, name in now.submissions.items()
                    if name in blobs
                }
            case Phase.VERIFYING:
                return {
                    subject(holder): partial(sums.examine_share, slot, self._aggregate, holder, blobs[name])
                    for holder, name in now.shares.items()
                    if name in blobs
                }
        return {
            subject(holder, member): partial(sums.examine_reveal, slot, holder, member, blobs[name])
            for holder, shown in now.reveals.items()
            for member, name in shown.items()
            if name in blobs
        }

    def _check(self, now: Round, blobs: Mapping[str, bytes]) -> None:
        """Re-add the contributions, unless that was done before."""
        if self._checked != now.aggregate:
            assert now.aggregate is not None
            self._aggregate = blobs[now.aggregate]
            self._sums.check(self._slot, _contributions(now, blobs), self._aggregate)
            self._checked = now.aggregate

    def _shared(self, now: Round, blobs: Mapping[str, bytes]) -> list[Effect]:
        """Check the aggregate; a holder then commits to its share."""
        assert now.aggregate is not None
        try:
            self._check(now, blobs)
        except WrongSum:
            return [Order(Reject(now.number, self.name, now.aggregate))]
        if self.name not in now.keys.holders:
            return []
        name, store = self._kept("share", self._sums.share(self._slot, self._aggregate))
        commitment = commitment_to("share", self._now.terms.name, now.number, self.name, name)
        return [store, Order(ShareCommit(now.number, self.name, commitment))]

    def _opened(self, now: Round, blobs: Mapping[str, bytes]) -> list[Effect]:
        shares = {holder: blobs[now.shares[holder]] for holder in now.good_shares}
        revealed: dict[str, dict[str, bytes]] = {holder: {} for holder in now.silent}
        for holder, member in _good_reveals(now):
            revealed[holder][member] = blobs[now.reveals[holder][member]]
        total = self._sums.open(self._slot, self._aggregate, shares, revealed)
        return [Advance(now.number, now.model, total, now.cohort, now.refused)]


def _contributions(now: Round, blobs: Mapping[str, bytes]) -> dict[str, bytes]:
    return {member: blobs[now.submissions[member]] for member in now.cohort}


def _good_reveals(now: Round) -> list[tuple[str, str]]:
    """(holder, member) of what was revealed and found good."""
    return [(holder, member) for holder, shown in now.reveals.items() for member in shown if now.good(holder, member)]
