"""Members that lie in the federation, by name: what a modified node orders, deals, answers and says of others.

A lie changes what the real machine of a member orders (`instead`), says more than it (`says`), deals and answers
wrongly (`sums`), or keeps blobs back (`serves`). Several lies may sit in one member. Colluding liars say the same: what
they choose depends on the time and the round, not on who says it. How replicas lie in PBFT: behaviours.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from medward.federation.records import (
    Announce,
    Answer,
    Attest,
    BeginRound,
    Change,
    Commitment,
    Complain,
    DataKey,
    Finish,
    ModelVote,
    Next,
    NoFit,
    Observe,
    Record,
    Respond,
    Resume,
    Retract,
    RoundTick,
    SealedData,
    SealingKey,
    Show,
    Submit,
)
from medward.federation.round.state import Phase
from medward.federation.sums.interface import SumTerms
from medward.ledger.encoding import encode
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Member
from tests.federation.simulator.sums import Answered, Audited, Dealt, Response, Share, Shown, SimSum, content, read

if TYPE_CHECKING:
    from tests.federation.simulator.world import SimMember

Answered_ = Callable[[SumTerms, tuple[str, ...]], None]


class Lie:
    """Nothing but the truth."""

    def instead(self, member: SimMember, record: Record) -> list[tuple[int, Record]]:
        """Return what to order instead of a record, each after so many milliseconds."""
        return [(0, record)]

    def says(self, member: SimMember) -> list[Record]:
        """Return what to order besides, whenever the member looks at its clock."""
        return []

    def sums(self, member: SimMember, label: str, answered: Answered_) -> SimSum | None:
        """Return the part in sums of a member that deals or answers wrongly."""
        return None

    def serves(self, member: SimMember, blob: bytes) -> frozenset[str] | None:
        """Return who gets a blob of this member's; None for everybody."""
        return None


def _draw(member: SimMember, *parts: object) -> int:
    """Return a number that all liars of a world draw alike for the same occasion."""
    return int.from_bytes(hashlib.sha256(repr((member.world.seed, *parts)).encode()).digest()[:4], "big")


def _period(member: SimMember) -> int:
    """Return the present period of two seconds; colluding liars say the same in it."""
    return member.world.now // 2_000


def stranger(name: str, size: int = 0) -> Change:
    """Return the wish that lets somebody in whom nobody honest knows."""
    account = hashlib.sha256(name.encode()).digest()
    keys = (AlgorithmBytes("test-mac", account),)
    return Change(name, account, encode(Member(name, 0, keys, b"x" * size, "")), b"c" * min(size, 1000))


class Usurper(Lie):
    """Wants honest members out, strangers in, other keys for members, or none of it; its accomplices want the same."""

    def says(self, member: SimMember) -> list[Record]:
        state = member.state
        if state is None or member.world.random.random() < 0.5:
            return []
        period = _period(member)
        honest = sorted(one.name for one in member.world.members.values() if one.honest)
        victim = honest[_draw(member, period, "victim") % len(honest)]
        return [
            (
                Change(victim, None, None),
                stranger(f"zz{period % 7}"),
                stranger(victim),  # the same name, with keys of the liars'
                stranger(member.name),
                Retract(victim),
            )[_draw(member, period) % 5]
        ]


class Leaver(Lie):
    """Wishes for much while it is a member, then leaves, so that its wishes outlive it among fewer members."""

    def says(self, member: SimMember) -> list[Record]:
        honest = sorted(one.name for one in member.world.members.values() if one.honest)
        period, state = _period(member), member.state
        if state is None or member.name not in state.terms.members:
            return []
        if period < 1:
            return [Change(name, None, None) for name in honest[:3]] + [stranger(f"zz{number}") for number in range(4)]
        return [Change(member.name, None, None)] if period > 1 and _draw(member, period) % 4 == 0 else []


class Swamper(Lie):
    """Has the state grow with wishes, names, contacts and data sets."""

    def says(self, member: SimMember) -> list[Record]:
        number = member.world.now
        blob = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
        state = member.state
        if state is None or number > 20_000:
            return []
        readers = (member.name,)
        return [
            stranger(f"s{number}-{member.name}", 3_000),
            stranger(f"t{number}-{member.name}", 3_000),
            Announce(hashlib.sha256(str(number).encode()).digest() * 32),
            SealedData(blob, b"", number, readers),
            DataKey(blob),
        ]


class Impostor(Lie):
    """Speaks for others, of rounds that were or will be, and of phases that are not now."""

    def says(self, member: SimMember) -> list[Record]:
        state, random = member.state, member.world.random
        if state is None:
            return []
        other = random.choice(sorted(member.world.members))
        number = max(0, state.number - random.choice((0, 1, 1, 1, 2, 3)))
        name = random.choice(sorted(member.world.blobs) or ["blob"])
        record: Record = random.choice((
            Commitment(number, other, bytes(32)),
            Submit(number, other, name, name),
            Attest(number, other, (other,), (), ()),
            Show(number, other, name),
            Answer(number, other, name),
            NoFit(number, other, tuple(state.terms.members)),
            Respond(number, other, b"response"),
            Complain(number, other, member.name, name),
            Complain(number, member.name, other, name),
            Finish(number, other, name, None),
            ModelVote(number, other, accept=False),
            SealingKey(other, state.sealing_key(member.name)),
            SealingKey(member.name, state.sealing_key(other)),
            SealingKey(member.name, bytes(1216)),
            BeginRound(number, "train", state.model, tuple(state.terms.members[1:]), 0, 1),
            BeginRound(state.number, "train", name, state.invited(), 0, 1),
        ))  # fmt: skip
        return [record]


class Repeater(Lie):
    """Orders everything twice, and again later."""

    def instead(self, member: SimMember, record: Record) -> list[tuple[int, Record]]:
        later = member.world.random.randint(50, 4_000)
        return [(0, record), (10, record), (later, record)]


class Withholder(Lie):
    """Does not say half of what is asked of it."""

    def instead(self, member: SimMember, record: Record) -> list[tuple[int, Record]]:
        about = (getattr(record, "round", 0), type(record).__name__)
        return [] if _draw(member, member.name, about) % 2 else [(0, record)]


class Mute(Lie):
    """Orders nothing at all."""

    def instead(self, member: SimMember, record: Record) -> list[tuple[int, Record]]:
        return []


class Latecomer(Lie):
    """Says everything at about the deadline."""

    def instead(self, member: SimMember, record: Record) -> list[tuple[int, Record]]:
        deadline = int(1000 * member.world.terms.deadline)
        return [(member.world.random.randint(deadline // 2, 3 * deadline // 2), record)]


class Hasty(Lie):
    """Wants every deadline to have passed, rounds to begin and to be resumed, and observes by turns, all the time."""

    def says(self, member: SimMember) -> list[Record]:
        state = member.state
        if state is None:
            return []
        begin = [] if state.next is None else [state.expected()]
        observe = Observe(member.name not in state.observers)
        return [RoundTick(max(0, state.number - 1)), Resume(), observe, *begin]


class Slanderer(Lie):
    """Complains of everybody honest, or calls everybody honest at fault, and finds its accomplices good."""

    def instead(self, member: SimMember, record: Record) -> list[tuple[int, Record]]:
        if not isinstance(record, Attest):
            return [(0, record)]
        state = member.state
        now = None if state is None else state.round
        if now is None:
            return []
        about = now.shown if now.phase is Phase.JUDGING else now.submissions
        liars = tuple(name for name in about if not member.world.members[name].honest)
        honest = tuple(name for name in about if name not in liars)
        complains = now.phase is Phase.CHECKING and _draw(member, now.number) % 2
        said = (liars, (), honest) if complains else (liars, honest, ())
        return [(0, Attest(record.round, record.member, *said))]

    def says(self, member: SimMember) -> list[Record]:
        state = member.state
        now = None if state is None else state.round
        if now is None or not now.cohort:
            return []
        dealer = member.world.random.choice(now.cohort)
        share = member.put(content(Share(now.number, dealer, member.name, wrong=True)))
        return [Complain(now.number, member.name, dealer, share)]


class Forger(Lie):
    """Names another model as soon as it may, says that no answers fit, and votes against what is good."""

    def says(self, member: SimMember) -> list[Record]:
        state = member.state
        now = None if state is None else state.round
        if now is None or now.phase not in (Phase.ANSWERING, Phase.FINISHING) or member.name in now.finishes:
            return []
        records: list[Record] = [Finish(now.number, member.name, f"forged-{now.number}", Next("train", 0, 1))]
        if now.phase is Phase.FINISHING and _draw(member, now.number) % 2:
            records.insert(0, NoFit(now.number, member.name, tuple(now.answers)))
        return records

    def instead(self, member: SimMember, record: Record) -> list[tuple[int, Record]]:
        if isinstance(record, Finish | NoFit):
            return []
        if isinstance(record, ModelVote):
            return [(0, msgspec.structs.replace(record, accept=False))]
        return [(0, record)]


class _LyingSum(SimSum):
    """The part in sums of a liar; what it deals, shows and answers depends on the round."""

    def __init__(self, member: SimMember, label: str, answered: Answered_, lies: frozenset[str]) -> None:
        super().__init__(member.name, label, member.journal, member.world.terms.most_wrong, answered)
        self._liar, self._lies = member, lies

    def _lies_in(self, terms: SumTerms, what: str) -> int:
        """Return a number from 1 up if this round is one to lie in, otherwise 0."""
        return 0 if what not in self._lies else _draw(self._liar, self.member, terms.round, what) % 4

    def dealing(self, terms: SumTerms, value: int) -> Dealt:
        from tests.federation.simulator.world import POISON  # noqa: PLC0415

        kind = self._lies_in(terms, "deal")
        others = [holder for holder in terms.holders if holder != self.member]
        spoiled = others[: 1 + _draw(self._liar, terms.round) % len(others)] if kind == 1 else []
        value = POISON if self._lies_in(terms, "poison") in (1, 2) else value
        return Dealt(terms.federation, terms.round, self.member, value, tuple(spoiled), malformed=kind == 2)

    def respond(self, terms: SumTerms, beacon: bytes) -> bytes:
        wrong = self._lies_in(terms, "deal") == 3
        super().respond(terms, beacon)
        return content(Response(terms.federation, terms.round, self.member, beacon, right=not wrong))

    def show(self, terms: SumTerms, holders: list[str]) -> bytes:  # type: ignore[override]
        return content(
            Shown(terms.round, self.member, tuple(holders), right=_draw(self._liar, terms.round, "show") % 2 == 0)
        )

    def answer(self, terms: SumTerms, cohort: list[str]) -> bytes:  # type: ignore[override]
        wrong = self._lies_in(terms, "answer") in (1, 2)
        return content(Answered(terms.federation, terms.round, self.member, tuple(cohort), right=not wrong))

    def ready(self, terms: SumTerms, cohort: list[str]) -> bool:  # type: ignore[override]
        return self.member in terms.holders

    def respond_to_audit(self, terms: SumTerms, beacon: bytes) -> bytes:
        return content(Audited(terms.round, self.member, beacon, right=self._lies_in(terms, "answer") != 2))


class _Cheat(Lie):
    lies: frozenset[str]

    def sums(self, member: SimMember, label: str, answered: Answered_) -> SimSum | None:
        return _LyingSum(member, label, answered, self.lies)


class CrookedDealer(_Cheat):
    """Deals wrong shares to some, malformed blobs, false responses; shows something else; serves only some."""

    lies = frozenset({"deal"})

    def serves(self, member: SimMember, blob: bytes) -> frozenset[str] | None:
        if read(blob, Dealt) is None and read(blob, Response) is None and read(blob, Shown) is None:
            return None
        chosen = _draw(member, blob)
        return None if chosen % 2 else frozenset(n for n in sorted(member.world.members) if _draw(member, blob, n) % 3)


class Poisoner(_Cheat):
    """Adds so much that nobody accepts the model."""

    lies = frozenset({"poison"})


class WrongHolder(_Cheat):
    """Answers wrongly, or with blobs that few get, and responds wrongly to audits."""

    lies = frozenset({"answer"})

    def serves(self, member: SimMember, blob: bytes) -> frozenset[str] | None:
        if read(blob, Answered) is None or _draw(member, blob) % 3:
            return None
        return frozenset(n for n in sorted(member.world.members) if _draw(member, blob, n) % 2)


LIES: dict[str, Callable[[], list[Lie]]] = {
    "usurper": lambda: [Usurper()],
    "leaver": lambda: [Leaver()],
    "swamper": lambda: [Swamper()],
    "impostor": lambda: [Impostor()],
    "repeater": lambda: [Repeater(), Impostor()],
    "withholder": lambda: [Withholder()],
    "mute": lambda: [Mute()],
    "latecomer": lambda: [Latecomer()],
    "hasty": lambda: [Hasty()],
    "slanderer": lambda: [Slanderer()],
    "forger": lambda: [Forger()],
    "crooked dealer": lambda: [CrookedDealer(), Slanderer()],
    "poisoner": lambda: [Poisoner()],
    "wrong holder": lambda: [WrongHolder()],
    "all at once": lambda: [CrookedDealer(), Usurper(), Impostor(), Slanderer(), Forger(), Hasty()],
}
