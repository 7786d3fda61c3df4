"""The meter: packets in, tables of device windows out.

`Meter` is a pure machine. `step(batch)` counts the packets of a batch and returns the windows that they ended,
`advance(time)` returns those that a clock has ended, `finish()` those that are left. Nothing in it reads a clock or a
socket; all its memory is taken when it is made. `meter_windows` drives one from a source, and keeps what was counted
before a capture turns out to be damaged.

A window is a device in a tick of 2 seconds, counted from 1970. A packet that is older than the present tick by up to a
minute is late and is counted in the present tick; one that is older still means that the capture's clock was set back:
the tick is closed and time goes on from there.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.columns import COLUMNS, TICK_SECONDS, plan
from medward.traffic.copies import COPY_WITHIN
from medward.traffic.devices import BY_IPV4, BY_MAC
from medward.traffic.hashing import random_key
from medward.traffic.packets import HEADERS, PacketBatch
from medward.traffic.parsing import parse_into
from medward.traffic.tables import COUNTERS, TICK_NANOSECONDS, empty_tables
from medward.traffic.windows import IDENTITY, close, step

#: The share of copies among packets from which they are told of: a few come in every capture.
COPIES_TOLD = 0.01


@dataclass(frozen=True)
class MeterSettings:
    """How much a meter remembers, and what it looks at.

    Args:
        flows: places for flows, a power of two from 16; 40 octets each.
        devices: places for devices, a power of two from 16; 28 kB each when they are used for a minute.
        addresses: places for who owns which address, a power of two from 16; 24 octets each.
        segments: places for segments that may be sent again, a power of two from 16; 32 octets each.
        by_address: whether devices are known by IP address, for a place where routing hides their MAC addresses.
        inspect: whether payload is looked into; without it the expensive columns are missing.
    """

    flows: int = 1 << 18
    devices: int = 1 << 10
    addresses: int = 1 << 14
    segments: int = 1 << 15
    by_address: bool = False
    inspect: bool = True

    def __post_init__(self) -> None:
        for name in ("flows", "devices", "addresses", "segments"):
            places = getattr(self, name)
            if places < 16 or places & (places - 1):
                raise ValueError(f"{name} must be a power of two of at least 16, not {places}")


@dataclass(frozen=True)
class MeterCounters:
    """What a meter has seen, and what it had to forget.

    Args:
        packets: packets that were shown, copies among them.
        octets: their octets on the wire.
        copies: packets passed over as copies of a frame that was shown just before (medward/traffic/copies.py).
        windows: rows handed out.
        flows: flows begun.
        flows_evicted: flows forgotten before their end, for want of a place.
        devices: devices met, again after each time they were forgotten.
        devices_evicted: devices forgotten for want of a place; a forgotten device's present window is lost.
        addresses_evicted: owners of addresses forgotten for want of a place.
        no_device: packets of no device, with neither a sender nor a receiver.
        late: packets counted in a later tick than theirs.
        clock_steps: how often the capture's clock was set back by more than a minute.
        cut_short: packets of which the capture holds less than their headers.
        malformed: packets whose headers contradict themselves or the frame.
        unknown_links: packets of a link type that the meter does not read.
        fragments: fragments of IP packets.
        joined: frames longer than any on the wire, which the interface joined: switch that off (GRO, LRO).
    """

    packets: int
    octets: int
    copies: int
    windows: int
    flows: int
    flows_evicted: int
    devices: int
    devices_evicted: int
    addresses_evicted: int
    no_device: int
    late: int
    clock_steps: int
    cut_short: int
    malformed: int
    unknown_links: int
    fragments: int
    joined: int

    def warnings(self) -> list[str]:
        """Return a sentence for each thing that makes the windows tell less than the traffic held."""
        told = {
            "flows_evicted": "flows were forgotten before their end, for want of a place; give the meter more flows",
            "devices_evicted": "devices were forgotten for want of a place, and their present windows with them",
            "addresses_evicted": "owners of addresses were forgotten for want of a place",
            "clock_steps": "times the capture's clock was set back by more than a minute",
            "cut_short": "packets were captured without all of their headers; raise the snap length",
            "unknown_links": "packets were of a link type that the meter does not read, and were passed over",
            "joined": "frames had been joined by the interface, so sizes are wrong; switch off GRO and LRO",
        }
        sentences = [f"{getattr(self, name)} {text}." for name, text in told.items() if getattr(self, name)]
        if self.copies >= COPIES_TOLD * self.packets > 0:
            sentences.append(
                f"{self.copies} of {self.packets} packets were copies of frames that the capture had shown at most "
                f"{COPY_WITHIN / 1e6:g} ms before, as mirror ports do, and were passed over."
            )
        return sentences


@dataclass(frozen=True)
class WindowTable:
    """Windows of devices, in the order in which they ended.

    Args:
        identities: IDENTITY [windows].
        values: float32 [windows, columns], the columns of `medward.traffic.columns.COLUMNS`; NaN where missing.
    """

    identities: NDArray[Any]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.identities)

    @property
    def start(self) -> NDArray[np.float64]:
        """When each window begins, float64 [windows], seconds since 1970."""
        return self.identities["tick"].astype(np.float64) * TICK_SECONDS

    @property
    def device(self) -> list[str]:
        """Each window's device: a MAC address with colons, or an IP address."""
        return [_name(kind, high, low) for kind, high, low in _identities(self.identities, "kind", "high", "low")]

    @property
    def address(self) -> list[str]:
        """The IP address that each device last sent from, or an empty text."""
        fields = ("address_kind", "address_high", "address_low")
        return [_name(kind, high, low) for kind, high, low in _identities(self.identities, *fields)]

    def column(self, name: str) -> NDArray[np.float32]:
        """Return one column, float32 [windows]."""
        return self.values[:, list(COLUMNS).index(name)]


class Meter:
    """Counts packets into windows of devices, in bounded memory whatever the packets are.

    Args:
        settings: how much it remembers.
        key: the key of its hash; drawn anew by default, so that nobody can aim at collisions.
    """

    def __init__(self, settings: MeterSettings | None = None, key: NDArray[np.uint64] | None = None) -> None:
        self.settings = settings or MeterSettings()
        one = self.settings
        self._tables = empty_tables(
            random_key() if key is None else key,
            one.flows,
            one.devices,
            one.addresses,
            one.segments,
            one.by_address,
            one.inspect,
        )
        self._plan = plan()
        self._headers = np.zeros(0, HEADERS)
        # Room for the rows of a tick in which every place is used.
        self._identities = np.zeros(one.devices, IDENTITY)
        self._values = np.zeros((one.devices, len(COLUMNS)), np.float32)

    @property
    def counters(self) -> MeterCounters:
        """What was seen and forgotten so far."""
        state = self._tables.state[0]
        return MeterCounters(**{name: int(state[name]) for name in COUNTERS})

    def step(self, batch: PacketBatch) -> list[WindowTable]:
        """Count the packets of a batch and return the windows that they ended."""
        if len(self._headers) < len(batch):
            self._headers = np.zeros(len(batch), HEADERS)
        headers = self._headers[: len(batch)]
        headers.view(np.uint8)[:] = 0
        parse_into(batch.octets, batch.offset, batch.captured, batch.wire, batch.time, batch.link, headers)
        done: list[WindowTable] = []
        at, written = 0, 0
        while at < len(headers):
            at, written = step(
                self._tables, batch.octets, headers, at, self._plan, self._identities, self._values, written
            )
            self._hand_out(done, written)
            written = 0
        return done

    def advance(self, time: int) -> list[WindowTable]:
        """Return the windows that have ended by `time`, in nanoseconds since 1970.

        Packets of a closed tick that come later are late; so let a live source's clock run a little behind.
        """
        state = self._tables.state
        tick = time // TICK_NANOSECONDS
        if not state["running"][0] or tick <= state["tick"][0]:
            return []
        done = self.finish()
        state["running"], state["tick"] = 1, tick
        return done

    def finish(self) -> list[WindowTable]:
        """Return the windows of the tick that has not ended; whatever comes next begins a new one."""
        done: list[WindowTable] = []
        state = self._tables.state
        if state["active"][0]:
            self._hand_out(done, close(self._tables, self._plan, self._identities, self._values, 0))
        state["running"] = 0
        return done

    def _hand_out(self, done: list[WindowTable], written: int) -> None:
        if written:
            done.append(WindowTable(self._identities[:written].copy(), self._values[:written].copy()))


def meter_windows(source: Iterable[PacketBatch], meter: Meter) -> Iterator[WindowTable]:
    """Yield the windows of all packets of a source that ends.

    An error of the source comes through only after the windows of all packets before it were yielded.

    Args:
        source: batches of packets, such as `medward.traffic.sources.capture.read_capture` yields.
        meter: what counts them; its counters tell what was seen.

    Raises:
        TrafficError: the source's own errors.
    """
    batches = iter(source)
    failure: Exception | None = None
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:
            failure, batch = error, None
        if batch is None:
            break
        yield from meter.step(batch)
    yield from meter.finish()
    if failure is not None:
        raise failure


def compile_meter() -> None:
    """Compile all kernels, so that the first packet of an interface does not wait for it."""
    octets = np.zeros(64, np.uint8)
    one = np.array([60], np.int64)
    batch = PacketBatch(octets, np.zeros(1, np.int64), one, one, np.zeros(1, np.int64), np.ones(1, np.int32))
    meter = Meter(MeterSettings(16, 16, 16, 16))
    meter.step(batch)
    meter.finish()


def _identities(identities: NDArray[Any], *fields: str) -> Iterator[tuple[int, int, int]]:
    return zip(*(identities[field].tolist() for field in fields), strict=True)


def _name(kind: int, high: int, low: int) -> str:
    if kind == BY_MAC:
        return low.to_bytes(6, "big").hex(":")
    if kind == BY_IPV4:
        return str(ipaddress.IPv4Address(low))
    return str(ipaddress.IPv6Address((high << 64) | low)) if kind else ""
