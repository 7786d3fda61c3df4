"""One member's part in the key ceremony on the ordered log: records and blobs in, records and blobs out.

The rules of the ceremony are in ceremony.py, whose events carry bytes. The log carries names, so this machine stands
between them:

- what a `KeyOpen` or `KeyAnswer` names enters the ceremony when f+1 members have said that they hold it (`KeyHold`),
  at the place of the deciding record: nobody can withhold a blob from some and so split the members;
- sealed shares go from dealer to holder through the store; one that does not come is complained about;
- a record behind a phase's deadline ends the phase; the beacon is the hash of the first block behind the last dealing.

Only this machine draws secrets, from the operating system. The protocol: spec/scheme.md, "Key ceremony".
"""

import hashlib
from collections import deque
from collections.abc import Container, Iterable
from dataclasses import dataclass

import msgspec

from medward.federation import ceremony
from medward.federation import ceremony_events as events
from medward.federation.blobs import blob_name
from medward.federation.ceremony import Setup
from medward.federation.ceremony_events import Phase
from medward.federation.effects import Effect, FetchKeyBlob, KeepKeys, KeyBlobFetched, Order, Store
from medward.federation.encrypted_sum import EpochMaterial
from medward.federation.records import (
    KeyActive,
    KeyAnswer,
    KeyBegin,
    KeyCommit,
    KeyDeal,
    KeyFailed,
    KeyHold,
    KeyJudge,
    KeyOpen,
    KeyRecord,
    KeyRespond,
    KeyTick,
)
from medward.federation.round import Terms
from medward.fhe import dealing, epoch, sealing
from medward.fhe.epoch import EpochKeys, KeyContribution
from medward.fhe.errors import FheError
from medward.fhe.keys import SecretKey

NO_CONTRIBUTION = KeyContribution(b"", b"")


@dataclass(frozen=True)
class _Entry:
    """A record that has its place in the ceremony."""

    record: KeyRecord
    time: float
    block: bytes


class KeyCeremony:
    """One member's ceremony.

    Args:
        member: its name.
        terms: the federation's terms.
        setup: what the ceremony makes keys for.
        first_epoch: the epoch of the first attempt.
        looks_on: whether the member only follows, because it spoke before and has lost its secrets.
    """

    def __init__(self, member: str, terms: Terms, setup: Setup, first_epoch: int, *, looks_on: bool = False) -> None:
        self._terms, self._member, self.first_epoch = terms, member, first_epoch
        self._numbers = {name: number for number, name in enumerate(terms.members, 1)}
        self._number = self._numbers[member]
        self._setup = setup
        self._queue: deque[_Entry] = deque()
        self._blobs: dict[str, bytes] = {}
        self._waiting: dict[str, list[KeyOpen | KeyAnswer]] = {}
        self._holds: dict[str, set[str]] = {}
        self._since = -1.0
        self._dealt_in = b""
        self._awaited: set[int] = set()
        self._missing: set[int] = set()
        self._secret: SecretKey | None = None
        self._transport: sealing.TransportKey | None = None
        self._sealed: dict[int, str] = {}
        self._outbox: list[Effect] = []
        self._looks_on = looks_on
        holders = tuple(self._numbers.values())
        self.state, self._pending = ceremony.begin(setup, self._number, first_epoch, holders)

    def __repr__(self) -> str:
        return f"KeyCeremony({self._member}, {self.state!r})"

    @property
    def over(self) -> bool:
        """Whether it ended, with keys or without."""
        return self.state.phase >= Phase.ACTIVE

    @property
    def due(self) -> float:
        """When the present phase's deadline passes."""
        return self._since + self._terms.deadline

    @property
    def awaited(self) -> tuple[str, ...]:
        """The members whose word the present phase waits for, until its deadline."""
        state = self.state
        match state.phase:
            case Phase.COMMIT:
                spoken: Container[int] = state.commitments
            case Phase.OPEN:
                spoken = state.contributions
            case Phase.DEAL:
                spoken = state.digests
            case Phase.RESPOND:
                spoken = state.responses
            case Phase.ACKNOWLEDGE:
                spoken = [
                    holder
                    for holder in state.holders
                    if all((holder, dealer) in state.acknowledged for dealer in state.holders)
                    and not any(dealer == holder for _, dealer in state.complaints)
                ]
            case _:
                return ()
        return tuple(name for name, number in self._numbers.items() if number in state.holders and number not in spoken)

    @property
    def left_out(self) -> dict[str, str]:
        """The members that are out of the ceremony, and why."""
        names = {number: name for name, number in self._numbers.items()}
        return {names[number]: reason for number, reason in self.state.left_out.items()}

    def begin(self, time: float) -> list[Effect]:
        """Return the first effects; `time` is that of the record that began the ceremony."""
        self._since = time
        self._work()
        return self._taken()

    def ordered(self, record: KeyRecord, time: float, block: bytes) -> list[Effect]:
        """Take an ordered record.

        Args:
            record: the record; its author is `record.member`.
            time: its agreed time.
            block: the hash of the block that it is in.
        """
        entry = _Entry(record, time, block)
        match record:
            case KeyOpen(key=name) | KeyAnswer(share=name):
                self._waiting.setdefault(name, []).append(record)
                self._outbox.append(FetchKeyBlob(name, None, record.epoch))
                self._count_holds(name, entry)
            case KeyHold(blob=name):
                self._holds.setdefault(name, set()).add(record.member)
                self._count_holds(name, entry)
            case KeyBegin() | KeyActive() | KeyFailed():
                pass
            case _:
                self._queue.append(entry)
        self._drain()
        return self._taken()

    def fetched(self, event: KeyBlobFetched) -> list[Effect]:
        """Take a blob that was fetched, or that a sealed share could not be had."""
        fetch, content = event.fetch, event.content
        if fetch.dealer is not None:
            self._share_came(fetch.dealer, fetch.epoch, content)
        elif content is not None and fetch.name not in self._blobs:
            self._blobs[fetch.name] = content
            self._outbox.append(Order(KeyHold(fetch.epoch, self._member, fetch.name)))
        self._drain()
        return self._taken()

    def _taken(self) -> list[Effect]:
        effects, self._outbox = self._outbox, []
        return effects

    def _count_holds(self, name: str, entry: _Entry) -> None:
        """Give what waits for this blob its place, once f+1 members hold it."""
        if len(self._holds.get(name, ())) > self._terms.faulty:
            for record in self._waiting.pop(name, []):
                self._queue.append(_Entry(record, entry.time, entry.block))

    def _drain(self) -> None:
        """Feed the ceremony what is due, in order; stop at a blob that has not come yet."""
        while self._queue and not self.over:
            entry = self._queue[0]
            record = entry.record
            if isinstance(record, KeyOpen | KeyAnswer) and _blob_of(record) not in self._blobs:
                return
            self._queue.popleft()
            while entry.time >= self.due and not self.over:
                before = (self.state.epoch, self.state.phase)
                self._feed(events.Deadline(self.state.epoch, self.state.phase), entry)
                if before == (self.state.epoch, self.state.phase):
                    break
            if self.state.phase is Phase.BEACON and entry.block != self._dealt_in:
                self._feed(events.Beacon(self.state.epoch, entry.block), entry)
            for event in self._events(record):
                self._feed(event, entry)

    def _events(self, record: KeyRecord) -> Iterable[events.OrderedEvent]:
        """Return what a record says, with its blobs' bytes."""
        number = self._numbers.get(record.member, 0)
        match record:
            case KeyCommit():
                return [events.Committed(record.epoch, number, record.commitment)]
            case KeyOpen():
                contribution, transport = _decode_key(self._blobs[record.key])
                return [events.Opened(record.epoch, number, contribution, transport)]
            case KeyDeal():
                self._await_share(record, number)
                return [events.Dealt(record.epoch, number, dict(record.digests))]
            case KeyRespond():
                return [events.Responded(record.epoch, number, record.response)]
            case KeyJudge():
                good = [events.Acknowledged(record.epoch, number, dealer) for dealer in record.good]
                return [*good, *(events.Complained(record.epoch, number, dealer) for dealer in record.bad)]
            case KeyAnswer():
                return [events.Answered(record.epoch, number, record.holder, self._blobs[record.share])]
        return []

    def _feed(self, event: events.Event, entry: _Entry | None = None) -> None:
        before = (self.state.epoch, self.state.phase)
        self.state, effects = ceremony.step(self.state, event)
        self._pending = (*self._pending, *effects)
        if entry is not None and before != (self.state.epoch, self.state.phase):
            self._since = entry.time
            if self.state.phase is Phase.BEACON:
                self._dealt_in = entry.block
                self._outbox.append(Order(KeyTick(self.state.epoch, self._member)))
            if before[0] != self.state.epoch:
                self._awaited, self._missing, self._sealed = set(), set(), {}
        self._work()

    def _work(self) -> None:
        """Carry out what the ceremony asks of this member."""
        judged: list[events.Acknowledged | events.Complained] = []
        while self._pending:
            effects, self._pending = self._pending, ()
            for effect in effects:
                match effect:
                    case events.MakeKeys() if not self._looks_on:
                        self._make_keys(effect)
                    case events.MakeDealing() if self._secret is not None:
                        self._deal(effect)
                    case events.Order(event=events.Acknowledged() | events.Complained() as verdict):
                        judged.append(verdict)
                    case events.Order():
                        self._order(effect.event)
                    case events.EraseSecrets():
                        self._erase(keep_secret=effect.keep_secret)
                    case events.Activate():
                        self._activate(effect)
                    case events.GiveUp():
                        self._outbox.append(Order(KeyFailed(self.state.epoch, self._member)))
                    case _:
                        pass  # Everybody sees it in `left_out`.
        if judged:
            good = tuple(v.dealer for v in judged if isinstance(v, events.Acknowledged))
            bad = tuple(v.dealer for v in judged if isinstance(v, events.Complained))
            self._outbox.append(Order(KeyJudge(judged[0].epoch, self._member, good, bad)))
        if self.state.phase is Phase.ACKNOWLEDGE and self._missing and not self._awaited:
            self._missing = set()
            self._feed(events.SharesOverdue(self.state.epoch))

    def _make_keys(self, effect: events.MakeKeys) -> None:
        secret, made = epoch.contribute(effect.parameters, self._setup.federation, effect.epoch, self._number)
        self._secret, self._transport = secret, sealing.TransportKey()
        self._feed(events.KeysMade(effect.epoch, secret, made, self._transport.public))

    def _deal(self, effect: events.MakeDealing) -> None:
        assert self._secret is not None
        context = effect.context
        made = dealing.deal(self.state.parameters, context, self._secret)
        self._sealed = {}
        for holder in context.holders:
            if holder != self._number:
                sealed = sealing.seal(context, holder, effect.transports[holder], made.shares[holder])
                self._sealed[holder] = self._store(sealed)
        self._feed(events.DealingMade(context.epoch, made))

    def _store(self, content: bytes) -> str:
        self._outbox.append(Store(f"keys/{self.state.epoch}", content))
        return blob_name(content)

    def _order(self, event: events.OrderedEvent) -> None:
        """Say an event of this member's as a record."""
        match event:
            case events.Committed():
                record: KeyRecord = KeyCommit(event.epoch, self._member, event.commitment)
            case events.Opened():
                key = (event.contribution.public, event.contribution.proof, event.transport)
                record = KeyOpen(event.epoch, self._member, self._store(msgspec.msgpack.encode(key)))
            case events.Dealt():
                record = KeyDeal(
                    event.epoch, self._member, tuple(sorted(event.digests.items())), tuple(sorted(self._sealed.items()))
                )
            case events.Responded():
                record = KeyRespond(event.epoch, self._member, event.response)
            case events.Answered():
                record = KeyAnswer(event.epoch, self._member, event.holder, self._store(event.share))
            case _:
                return
        self._outbox.append(Order(record))

    def _await_share(self, record: KeyDeal, dealer: int) -> None:
        if record.epoch != self.state.epoch or dealer == self._number:
            return
        name = dict(record.sealed).get(self._number)
        if name is not None:
            self._awaited.add(dealer)
            self._outbox.append(FetchKeyBlob(name, dealer, record.epoch))
        else:
            self._missing.add(dealer)

    def _share_came(self, dealer: int, number: int, sealed: bytes | None) -> None:
        if number != self.state.epoch or self._transport is None or self.over:
            return
        self._awaited.discard(dealer)
        try:
            if sealed is None:
                raise FheError("the sealed share cannot be had")
            size = dealing.dealt_share_bytes(self.state.parameters)
            share = self._transport.unseal(self.state.context(dealer), self._number, sealed, size)
        except FheError:
            self._missing.add(dealer)
            self._work()
        else:
            self._feed(events.ShareArrived(number, dealer, share))

    def _erase(self, *, keep_secret: bool) -> None:
        self._transport, self._sealed = None, {}
        if not keep_secret and self._secret is not None:
            self._secret.erase()
            self._secret = None

    def _activate(self, effect: events.Activate) -> None:
        state, keys = self.state, effect.keys
        names = {number: name for name, number in self._numbers.items()}
        holders = tuple(names[number] for number in keys.holders)
        material = EpochMaterial(
            keys, self._numbers, self._secret, effect.shares, state.digests, state.beacon, state.responses
        )
        self._outbox.append(KeepKeys(material))
        self._outbox.append(Order(KeyActive(keys.epoch, self._member, holders, keys_digest(keys))))


def _blob_of(record: KeyOpen | KeyAnswer) -> str:
    return record.key if isinstance(record, KeyOpen) else record.share


def keys_digest(keys: EpochKeys) -> bytes:
    """Return what stands for an epoch's public keys in a `KeyActive`."""
    digest = hashlib.sha256(b"medward epoch keys 1" + keys.parameters.digest + keys.epoch.to_bytes(8, "little"))
    for number in keys.holders:
        digest.update(number.to_bytes(8, "little") + keys.digests[number])
    return digest.digest()


def _decode_key(content: bytes) -> tuple[KeyContribution, bytes]:
    """Read a `KeyOpen`'s blob; what cannot be read is a contribution that matches no commitment."""
    try:
        public, proof, transport = msgspec.msgpack.decode(content, type=tuple[bytes, bytes, bytes])
    except msgspec.DecodeError:
        return NO_CONTRIBUTION, b""
    return KeyContribution(public, proof), transport
