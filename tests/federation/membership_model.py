"""A second model of membership, written from spec/membership.md alone: it keeps all that was ever said and looks back.

Where medward.federation.membership keeps what still counts, this keeps everything, and works out what counts from who
stands now. It knows no encoding: what a card says comes with the change that a test made.
"""

from dataclasses import dataclass, field

WEEK = 7 * 24 * 3600
MOST_OPEN = 16
MOST_MEMBERS = 64


@dataclass(frozen=True)
class Card:
    """A newcomer's card, as a test made it."""

    name: str
    keys: tuple[bytes, ...]
    certificate: bytes = b""
    readable: bool = True


@dataclass(frozen=True)
class Wanted:
    """A change: `card` is None for one that goes; `contact` tells changes apart."""

    name: str
    key: bytes | None
    card: Card | None
    contact: bytes | None = None

    @property
    def goes(self) -> bool:
        return self.key is None


@dataclass
class Said:
    """A wish as it was ordered; void once something made it fall."""

    author: str
    key: bytes
    wanted: Wanted
    time: float
    void: bool = False


@dataclass
class MembershipModel:
    """The members and all wishes ever; `order` and `make_next` tell what happens."""

    keys: dict[str, bytes]
    cards: dict[str, Card] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    line: list[tuple[Wanted, int]] = field(default_factory=list)
    changed_in: int | None = None
    changes: list[Wanted] = field(default_factory=list)

    @property
    def liars_allowed(self) -> int:
        return (len(self.keys) - 1) // 3

    def open_wishes(self, now: float, author: str | None = None) -> list[Said]:
        """The wishes that count at a time: of each author that stands with that key, the last one about a name."""
        latest: dict[tuple[str, str], Said] = {}
        for said in self.said:
            if not said.void and self.keys.get(said.author) == said.key:
                latest[said.author, said.wanted.name] = said
        return [
            said for said in latest.values() if now < said.time + WEEK and (author is None or said.author == author)
        ]

    def who_want(self, wanted: Wanted, now: float) -> set[str]:
        return {said.author for said in self.open_wishes(now) if said.wanted == wanted}

    def enough(self, wanted: Wanted, now: float, then: int = 0) -> bool:
        who = self.who_want(wanted, now)
        return (len(who) > self.liars_allowed and len(who) >= then) or (wanted.goes and wanted.name in who)

    @property
    def in_line(self) -> list[Wanted]:
        return [wanted for wanted, _ in self.line]

    def possible(self, wanted: Wanted) -> bool:
        if wanted.goes:
            plain = wanted.card is None and wanted.contact is None
            return wanted.name in self.keys and len(self.keys) > 1 and plain
        card = wanted.card
        if card is None or not card.readable or not wanted.name.isascii() or not wanted.name.isprintable():
            return False
        if wanted.name not in self.keys and len(self.keys) == MOST_MEMBERS:
            return False
        taken = {*self.keys.values(), *(key for other in self.cards.values() for key in other.keys)}
        shown = {other.certificate for name, other in self.cards.items() if name != wanted.name} - {b""}
        return (
            (card.name, card.keys[0]) == (wanted.name, wanted.key)
            and len(set(card.keys)) == len(card.keys)
            and not taken & set(card.keys)
            and card.certificate not in shown
        )

    def order(self, author: str, wanted: Wanted, now: float) -> bool:
        """Take a wish; return whether it counts."""
        own = [said.wanted for said in self.open_wishes(now, author)]
        again = wanted in own and wanted in self.in_line
        full = len(own) >= MOST_OPEN and wanted.name not in [one.name for one in own]
        if author not in self.keys or not self.possible(wanted) or again or full:
            return False
        self._void(lambda said: (said.author, said.wanted.name) == (author, wanted.name))
        self.said.append(Said(author, self.keys[author], wanted, now))
        self._look_at_line(now)
        if self.enough(wanted, now) and wanted not in self.in_line:
            self.line.append((wanted, self.liars_allowed + 1))
        return True

    def take_back(self, author: str, name: str, now: float) -> bool:
        """Take a wish back; return whether there was one."""
        if name not in [said.wanted.name for said in self.open_wishes(now, author)]:
            return False
        self._void(lambda said: (said.author, said.wanted.name) == (author, name))
        self._look_at_line(now)
        return True

    def make_next(self, epoch: int, now: float) -> Wanted | None:
        """Make the next change, no round being under way; return it."""
        if epoch == self.changed_in:
            return None
        while self.line:
            wanted, then = self.line.pop(0)
            if not self.enough(wanted, now, then):
                continue
            if not self.possible(wanted):
                self._void(lambda said, gone=wanted: said.wanted == gone)  # type: ignore[misc]
                continue
            self._make(wanted, now)
            self.changed_in = epoch
            return wanted
        return None

    def _make(self, wanted: Wanted, now: float) -> None:
        name = wanted.name
        self._void(lambda said: name in (said.author, said.wanted.name))
        self.line = [(one, then) for one, then in self.line if one.name != name]
        self.cards.pop(name, None)
        if wanted.key is None or wanted.card is None:
            del self.keys[name]
        else:
            self.keys[name] = wanted.key
            self.cards[name] = wanted.card
        self.changes.append(wanted)
        self._look_at_line(now)

    def _look_at_line(self, now: float) -> None:
        self.line = [(one, then) for one, then in self.line if self.enough(one, now, then)]

    def _void(self, falls) -> None:  # type: ignore[no-untyped-def]
        for said in self.said:
            if falls(said):
                said.void = True
