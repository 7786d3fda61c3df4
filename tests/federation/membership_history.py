"""Random histories of a federation's members on the real rules, beside a second model and what the honest want.

Liars, at most f of those that stand, order whatever wishes they like; honest operators want newcomers, new keys and
removals and say so, each when it comes to it; members leave, rounds run, days pass, nodes restart, and the ledger
follows each change at the end of an epoch, by its own `next_membership`.
"""

import random
from dataclasses import dataclass

from msgspec.structs import replace

from medward.federation.application import REFUSED, STRANGER, FederationApplication
from medward.federation.membership import LIFETIME, pending
from medward.federation.records import Announce, Change, Record, Resume, Retract, RoundTick, encode_record
from medward.ledger.encoding import encode
from medward.ledger.membership import Membership, next_membership
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Block, Member, MemberUpdate, Transaction
from tests.federation.ledger import AGREEMENT
from tests.federation.membership_model import Card, MembershipModel, Wanted

HOUR, DAY = 3600, 86400


class Violation(AssertionError):
    """The rules did what spec/membership.md says they never do, or something else than the second model."""


@dataclass(frozen=True)
class HonestWish:
    """What an honest member wished last about a name."""

    key: bytes
    wanted: Wanted
    time: int


class History:
    """One history.

    Args:
        seed: of everything.
        beyond: whether at the end an honest member may leave although more than f of the others lie.
    """

    def __init__(self, seed: int, *, beyond: bool = False) -> None:
        self.random = random.Random(seed)
        members = self.random.choice((4, 4, 5, 7, 7, 8, 10))
        self.made = 0
        keys = {f"m{number}": self._new_key() for number in range(members)}
        agreement = replace(AGREEMENT, members=tuple(keys), accounts=keys)
        self.agreement = agreement
        self.application = FederationApplication(agreement)
        self.model = MembershipModel(dict(keys))
        self.liars = set(self.random.sample(sorted(keys), self.random.randint(1, (members - 1) // 3)))
        self.ledger = Membership(0, 1, tuple(_member(Card(name, (key,))) for name, key in sorted(keys.items())))
        self.updates: tuple[MemberUpdate, ...] = ()
        self.height = self.nonce = 0
        self.now = 1000
        self.busy = self.stopped = False
        self.resuming: set[str] = set()
        self.honest: dict[tuple[str, str], HonestWish] = {}
        self.plans: list[Wanted] = []
        self.old_keys: list[bytes] = []
        self.fresh: set[Wanted] = set()
        self.beyond, self.broken = beyond, False
        self.counts = {"refused": 0, "changes": 0, "own": 0, "wishes": 0}

    # What happens.

    def run(self, steps: int) -> None:
        """Play so many steps; raises `Violation`."""
        what = (
            (self._liar_wishes, 30),
            (self._honest_wishes, 30),
            (self._honest_plans, 6),
            (self._somebody_leaves, 3),
            (self._round, 12),
            (self._epoch_ends, 12),
            (self._time_passes, 8),
            (self._restart, 4),
            (self._anything, 8),
            (self._stranger, 2),
            (self._takes_back, 6),
        )
        for step in range(steps):
            if not self.broken and self._lying() > self.model.liars_allowed:
                return  # Leaves and joins that were wanted before came together: nothing is promised from here on.
            if self.broken:
                self.random.choice((self._round, self._epoch_ends, self._time_passes, self._restart, self._anything))()
                continue
            if self.beyond and step > steps // 2 and self.random.random() < 0.1:
                self._breaks()
                continue
            self.random.choices([one for one, _ in what], [weight for _, weight in what])[0]()

    def ends_well(self) -> None:
        """Have all honest members want one newcomer, whatever liars do meanwhile: it comes (spec, promise 4)."""
        if self.broken or self._lying() > self.model.liars_allowed:
            return
        key = self._new_key()
        wanted = Wanted("last", key, Card("last", (key,)))
        # Where some of those who asked leave before its turn, the others ask anew.
        for _ in range(2):
            self._all_ask(wanted)
            if wanted in self.model.changes:
                self.counts["came"] = 1
                return
            if self._lying() > self.model.liars_allowed:
                return
        raise Violation(f"all honest members want a newcomer, and it does not come: {self.model.line} wait")

    def _all_ask(self, wanted: Wanted) -> None:
        for name in [name for name in self.model.keys if name not in self.liars]:
            self._liar_wishes()
            if wanted not in self.model.changes and name in self.model.keys:
                self._order((name, change_of(wanted)))
        waits = len(self.model.line)
        for _ in range(waits + 1 + len(self.liars)):
            self._liar_wishes()
            if self.busy:
                self._round()
            self._epoch_ends()
            self._order((self._anybody(), RoundTick(self.application.federation.number)))

    def _liar_wishes(self) -> None:
        liars = sorted(self.liars & set(self.model.keys))
        if not liars:
            return
        said = [(self.random.choice(liars), self._liars_wish()) for _ in range(self.random.choice((1, 1, 1, 2)))]
        said = [(liar, wanted) for liar, wanted in said if not (wanted.goes and wanted.name == liar)]
        self._order(*((liar, change_of(wanted)) for liar, wanted in said))

    def _liars_wish(self) -> Wanted:
        known = [said.wanted for said in self.model.said[-20:]] + self.plans
        chance = self.random.random()
        if chance < 0.35:
            return Wanted(self.random.choice([*self.model.keys, "m0", "nobody"]), None, None)
        if chance < 0.55 and known:
            return self.random.choice(known)
        name = self.random.choice([*self.model.keys, f"evil{self.random.randint(0, 2)}", "m1"])
        key = self._new_key()
        card = Card(name, (key,))
        if chance < 0.75:
            # The same name and key, again and again, so that liars can want the same.
            key = name.encode().ljust(32, b"!")
            return Wanted(name, key, Card(name, (key,)))
        bad = (
            Card("m2", (key,)),
            Card(name, (self._new_key(),)),
            Card(name, (key, self.random.choice(list(self.model.keys.values())))),
            Card(name, (key,), readable=False),
        )
        return Wanted(name, key, self.random.choice((*bad, card)), self.random.choice((None, b"somewhere")))

    def _honest_plans(self) -> None:
        """Operators find that somebody is to come, to have new keys, or to go."""
        chance, names = self.random.random(), list(self.model.keys)
        key = self._new_key()
        if chance < 0.4 and len(names) < 13:
            name = f"n{self.made}"
            if self.random.random() < 0.3 and self._lying(more=1) <= len(names) // 3:
                self.liars.add(name)
            # Operators err: two newcomers may have a key in common, which each of them alone may have.
            keys = self.random.choice(((key,), (key,), (key, b"2" * 32), (b"1" * 32, key)))
            self.plans.append(Wanted(name, keys[0], Card(name, keys, self.random.choice((b"", key))), b"there"))
        elif chance < 0.7:
            name = self.random.choice(names)
            self.plans.append(Wanted(name, key, Card(name, (key,))))
        elif len(names) > 4:
            self.plans.append(Wanted(self.random.choice(names), None, None))
        self.plans = [one for one in self.plans[-4:] if self._may_come(one)]

    def _honest_wishes(self) -> None:
        done = {*self.model.changes}
        self.plans = [one for one in self.plans if self._may_come(one) and (one.goes or one not in done)]
        if not self.plans:
            return
        wanted = self.random.choice(self.plans)
        author = self.random.choice(list(self.model.keys))
        if author not in self.liars and not (wanted.goes and wanted.name == author):
            self._order((author, change_of(wanted)))

    def _may_come(self, wanted: Wanted) -> bool:
        """Whether the honest may want it: it must leave at most f liars, as all that is promised rests on that."""
        after = set(self.model.keys) | {wanted.name} if not wanted.goes else set(self.model.keys) - {wanted.name}
        return len(after & self.liars) <= (len(after) - 1) // 3

    def _somebody_leaves(self) -> None:
        name = self.random.choice(list(self.model.keys))
        if len(self.model.keys) > 4 and self._may_come(Wanted(name, None, None)) and not self.updates:
            self._order((name, Change(name, None, None)))

    def _breaks(self) -> None:
        """An honest member leaves, and more than f of those that stay lie; nobody wishes anything after that."""
        honest = [name for name in self.model.keys if name not in self.liars]
        name = self.random.choice(honest)
        if len(self.model.keys) > 1 and not self._may_come(Wanted(name, None, None)):
            self.broken = True
            self.fresh = set(self.model.in_line) | {Wanted(name, None, None)}
            self._order((name, Change(name, None, None)))

    def _round(self) -> None:
        author, state = self._anybody(), self.application.federation
        if state.stopped is not None:
            self._order(*((name, Resume()) for name in self.model.keys))
        elif self.busy:
            self.now += 100
            assert state.round is not None
            self._order((author, RoundTick(state.round.number)))
        else:
            self._order((author, state.expected()))

    def _epoch_ends(self) -> None:
        """The ledger follows what was ordered, if anything was."""
        if not self.updates:
            return
        self.ledger = next_membership(self.ledger, self.updates, self.height + 1)
        self.updates = ()
        known = {member.name: member.keys[0].data for member in self.ledger.members}
        accounts = dict(self.application.federation.membership.accounts)
        if known != accounts:
            raise Violation(f"the ledger has the members {sorted(known)}, and the federation {sorted(accounts)}")

    def _time_passes(self) -> None:
        self.now += self.random.choice((1, 60, HOUR, DAY, 2 * DAY, 8 * DAY))

    def _restart(self) -> None:
        again = FederationApplication(self.agreement)
        snapshot = self.application.snapshot()
        if again.restore(snapshot.encode()) != snapshot.app_hash or again.federation != self.application.federation:
            raise Violation("a snapshot restores to another state")
        self.application = again

    def _anything(self) -> None:
        self._order((self._anybody(), self.random.choice((RoundTick(0), Announce(b"here")))))

    def _takes_back(self) -> None:
        wishes = self.model.open_wishes(self.now) or [None]
        said = self.random.choice(wishes)
        about = self._anybody() if said is None else said.wanted.name
        self._order((self._anybody() if said is None or self.random.random() < 0.2 else said.author, Retract(about)))

    def _stranger(self) -> None:
        old = [key for key in self.old_keys if key not in self.model.keys.values()]
        if old:
            self._block([(self.random.choice(old), Change(self._anybody(), None, None))], [STRANGER])

    # How it is ordered, and what is checked.

    def _order(self, *said: tuple[str, Record]) -> None:
        """Order records in one block, and compare what becomes of them."""
        named = [(author, record) for author, record in said if author in self.model.keys]
        if not named:
            return
        keys = [self.model.keys[author] for author, _ in named]
        before, liars_before = dict(self.model.keys), self._lying()
        expected, made = [], []
        for (author, record), key in zip(named, keys, strict=True):
            code, change = self._expected(author, key, record)
            if isinstance(record, Change):
                wanted = WANTED[record]
                self.counts["wishes"] += 1
                if not code and (author not in self.liars or wanted == Wanted(author, None, None)):
                    self.honest[author, wanted.name] = HonestWish(key, wanted, self.now)
            expected.append(code)
            made += [] if change is None else [change]
        self.counts["refused"] += sum(code == REFUSED for code in expected)
        self._block(list(zip(keys, (record for _, record in named), strict=True)), expected)
        for wanted in made:
            self._check_made(wanted, before, liars_before)

    def _expected(self, author: str, key: bytes, record: Record) -> tuple[int, Wanted | None]:  # noqa: PLR0912
        """What the second model says of a record: its code, and the change that it makes."""
        epoch = self.ledger.epoch
        if self.model.keys.get(author) != key:
            return STRANGER, None
        if isinstance(record, Change):
            if not self.model.order(author, WANTED[record], self.now):
                return REFUSED, None
        elif isinstance(record, Retract):
            if not self.model.take_back(author, record.name, self.now):
                return REFUSED, None
            self.honest.pop((author, record.name), None)
        elif isinstance(record, RoundTick) and not self.busy:
            if not self.model.line or self.model.changed_in == epoch:
                return REFUSED, None
        elif isinstance(record, RoundTick):
            state = self.application.federation
            if state.round is None or record.round != state.round.number:
                return REFUSED, None
            self.busy = self.now < state.round.due
        elif isinstance(record, Resume):
            if author in self.resuming or not self.stopped:
                return REFUSED, None
            self.resuming.add(author)
            if len(self.resuming) > self.model.liars_allowed:
                self.resuming, self.stopped = set(), False
        elif not isinstance(record, Announce):
            if self.busy:
                return REFUSED, None
            self.busy = True
        made = None if self.busy else self.model.make_next(epoch, self.now)
        if made is not None:
            self.resuming.discard(made.name)
        return 0, made

    def _block(self, said: list[tuple[bytes, Record]], expected: list[int]) -> None:
        transactions = []
        for key, record in said:
            self.nonce += 1
            transactions.append(Transaction(key, self.nonce, encode_record(record), (AlgorithmBytes("none", b""),)))
        self.height += 1
        applied = self.application.apply(Block(self.height, self.now * 1000, tuple(transactions), self.ledger.epoch))
        self.updates += applied.member_updates
        codes = [result.code for result in applied.results]
        if codes != expected:
            told = [(type(record).__name__, result.data) for (_, record), result in zip(said, applied.results)]  # noqa: B905
            raise Violation(f"the rules say {codes}, the second model {expected} of {told}")
        if len(self.updates) > 1:
            raise Violation(f"two changes in one epoch of the ledger: {[one.name for one in self.updates]}")
        self.stopped = self.application.federation.stopped is not None
        self._compare()

    def _compare(self) -> None:
        members, model = self.application.federation.membership, self.model
        if (list(members.names), dict(members.accounts)) != (list(model.keys), model.keys):
            raise Violation(f"the members are {members.names}, and {list(model.keys)} in the second model")
        if [WANTED[one] for one in members.waiting] != model.in_line:
            raise Violation(f"agreed on: {members.waiting}, and {model.line} in the second model")
        ours = {(WANTED[one.change], one.by) for one in pending(members, self.now)}
        by: dict[Wanted, set[str]] = {}
        for said in model.open_wishes(self.now):
            by.setdefault(said.wanted, set()).add(said.author)
        theirs = {(wanted, tuple(name for name in model.keys if name in who)) for wanted, who in by.items()}
        if ours != theirs:
            raise Violation(f"open wishes: {ours}, and {theirs} in the second model")

    def _check_made(self, wanted: Wanted, before: dict[str, bytes], liars: int) -> None:
        """Every change is a leave by its own word, or wanted by an honest member that stands (spec, promises 1, 2)."""
        self.counts["changes"] += 1
        if wanted.name in before and before[wanted.name] != self.model.keys.get(wanted.name):
            self.old_keys.append(before[wanted.name])
        own = self.honest.get((wanted.name, wanted.name))
        if wanted.goes and own is not None and own.wanted == wanted and own.key == before.get(wanted.name):
            self.counts["own"] += 1
            return
        if self.broken:
            if wanted not in self.fresh:
                raise Violation(f"{wanted} was made although nobody asked for it after an honest member had left")
            return
        if liars > (len(before) - 1) // 3:
            return
        willing = [
            author
            for author, key in before.items()
            if author not in self.liars
            and (wish := self.honest.get((author, wanted.name))) is not None
            and (wish.wanted, wish.key) == (wanted, key)
            and self.now < wish.time + LIFETIME
        ]
        if not willing:
            raise Violation(f"{wanted} was made, and no honest member that stands wants it")

    def _lying(self, more: int = 0) -> int:
        return len(self.liars & set(self.model.keys)) + more

    def _anybody(self) -> str:
        return self.random.choice(list(self.model.keys))

    def _new_key(self) -> bytes:
        self.made += 1
        return f"key {self.made}".encode().ljust(32, b".")


class _Leaves(dict[Change, Wanted]):
    """A removal says nothing but the name, so it can be read back."""

    def __missing__(self, change: Change) -> Wanted:
        assert change.account is None
        return Wanted(change.name, None, None)


#: What each change that was encoded says: the second model knows no encoding.
WANTED: dict[Change, Wanted] = _Leaves()


def change_of(wanted: Wanted) -> Change:
    """Return the record that says a change."""
    card = None
    if wanted.card is not None:
        card = encode(_member(wanted.card)) if wanted.card.readable else b"\xff no card"
    change = Change(wanted.name, wanted.key, card, wanted.contact)
    WANTED[change] = wanted
    return change


def _member(card: Card) -> Member:
    """Return a card as the ledger has it."""
    keys = tuple(AlgorithmBytes("ed25519", key) for key in card.keys)
    return Member(card.name, 0, keys, card.certificate, "127.0.0.1:1")
