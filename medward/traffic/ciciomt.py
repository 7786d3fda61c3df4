"""The 45 columns of CICIoMT2024 from packets, as its publishers' extractor makes them, in bounded time and memory.

spec/meter.md gives each formula. The extractor's quirks are part of the columns: Duration is the hop limit; *_count
columns count other flags than they are named after; Drate is 0; sizes are kept in one list that is emptied at every
20th packet, whatever the device; a row is the mean of some packets of the whole link.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled
from medward.traffic.flows import flow_tag, side_of
from medward.traffic.hashing import KEY_WORDS, random_key
from medward.traffic.packets import ARP, IPV4, TCP, UDP, PacketBatch
from medward.traffic.parsing import parse
from medward.traffic.tables import BUCKET, find, first_bucket, free_place, second_bucket

COLUMNS = (
    "Header_Length", "Protocol Type", "Duration", "Rate", "Srate", "Drate",
    "fin_flag_number", "syn_flag_number", "rst_flag_number", "psh_flag_number", "ack_flag_number",
    "ece_flag_number", "cwr_flag_number", "ack_count", "syn_count", "fin_count", "rst_count",
    "HTTP", "HTTPS", "DNS", "Telnet", "SMTP", "SSH", "IRC", "TCP", "UDP", "DHCP", "ARP", "ICMP", "IGMP", "IPv", "LLC",
    "Tot sum", "Min", "Max", "AVG", "Std", "Tot size", "IAT", "Number",
    "Magnitue", "Radius", "Covariance", "Variance", "Weight",
)  # fmt: skip

#: Packets after which the list of sizes is emptied.
RESET = 20

#: One flow of TCP or UDP, and the extractor's state: the list of sizes as its length, sum, sum of squares, smallest
#: and largest; the time of the packet before; the last rate; packets and sums of the row that is being made.
_FLOW = np.dtype(
    [(name, np.float64) for name in ("first", "last", "packets", "octets", "fin", "syn", "rst", "ack")]
    + [("seen", np.int64)]
)
_STATE = np.dtype(
    [
        *((name, np.float64) for name in ("total", "squares", "low", "high", "before", "rate")),
        *((name, np.int64) for name in ("sizes", "packets", "evicted")),
        ("row", np.float64, len(COLUMNS)),
        ("key", np.uint64, KEY_WORDS),
    ]
)

_C = {name: place for place, name in enumerate(COLUMNS)}
_HEADER_LENGTH, _PROTOCOL, _DURATION, _RATE, _SRATE = (
    _C[n] for n in ("Header_Length", "Protocol Type", "Duration", "Rate", "Srate")
)
_FIN, _ECE, _CWR = _C["fin_flag_number"], _C["ece_flag_number"], _C["cwr_flag_number"]
_ACK_COUNT, _SYN_COUNT, _FIN_COUNT, _RST_COUNT = (_C[n] for n in ("ack_count", "syn_count", "fin_count", "rst_count"))
_HTTP, _HTTPS, _DNS, _TELNET, _SMTP, _SSH, _IRC = (
    _C[n] for n in ("HTTP", "HTTPS", "DNS", "Telnet", "SMTP", "SSH", "IRC")
)
_TCP, _UDP, _DHCP, _ARP, _ICMP, _IGMP, _IPV, _LLC = (
    _C[n] for n in ("TCP", "UDP", "DHCP", "ARP", "ICMP", "IGMP", "IPv", "LLC")
)
_SUM, _MIN, _MAX, _AVG, _STD, _SIZE, _IAT, _NUMBER = (
    _C[n] for n in ("Tot sum", "Min", "Max", "AVG", "Std", "Tot size", "IAT", "Number")
)
_MAGNITUDE, _RADIUS, _COVARIANCE, _VARIANCE, _WEIGHT = (
    _C[n] for n in ("Magnitue", "Radius", "Covariance", "Variance", "Weight")
)


class CiciomtMeter:
    """Makes rows of CICIoMT2024 from batches of packets.

    Args:
        packets_per_row: how many packets a row is the mean of; the publishers took 100 for MQTT floods and 10 else.
        flows: places for flows, a power of two from 16. The extractor never forgets a flow; with more flows than
            places, `flows_evicted` tells how many rows may differ from its.
        key: the key of the hash; drawn anew by default.
    """

    def __init__(self, packets_per_row: int = 10, flows: int = 1 << 18, key: NDArray[np.uint64] | None = None) -> None:
        self._packets_per_row = packets_per_row
        self._tags = np.zeros(flows, np.uint64)
        self._flows = np.zeros(flows, _FLOW)
        self._state = np.zeros(1, _STATE)
        self._state["key"] = random_key() if key is None else key
        self._last = 0.0
        self.packets = 0

    @property
    def flows_evicted(self) -> int:
        """How many flows were forgotten for want of a place."""
        return int(self._state["evicted"][0])

    def step(self, batch: PacketBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the rows that a batch completes, float64 [rows, 45], and the time of each one's last packet [rows]."""
        headers = parse(batch)
        self.packets += len(headers)
        rows = np.zeros((len(headers) // self._packets_per_row + 1, len(COLUMNS)))
        times = np.zeros(len(rows))
        written = _make_rows(
            self._state, self._tags, self._flows, headers, batch.captured, self._packets_per_row, rows, times
        )
        if len(headers):
            self._last = headers["time"][-1] * 1e-9
        return rows[:written], times[:written]

    def finish(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the row of the packets that are left, if there are any, as `step` does."""
        state = self._state
        count = int(state["packets"][0])
        if count == 0:
            return np.zeros((0, len(COLUMNS))), np.zeros(0)
        row = state["row"] / count
        state["packets"], state["row"] = 0, 0
        return row, np.array([self._last])


@compiled
def _make_rows(
    states: NDArray[Any],
    tags: NDArray[np.uint64],
    flows: NDArray[Any],
    headers: NDArray[Any],
    captured: NDArray[np.int64],
    packets_per_row: int,
    rows: NDArray[np.float64],
    times: NDArray[np.float64],
) -> int:
    state = states[0]
    written = 0
    for i in range(len(headers)):
        header = headers[i]
        # Other frames, IPv6 among them, are passed over and count towards nothing.
        if header.kind not in (ARP, IPV4):
            continue
        time = header.time // 1_000_000_000 + (header.time % 1_000_000_000) * 1e-9
        size = float(14 + header.ip_length) if header.kind == IPV4 else float(captured[i])
        _add_size(state, size, time)
        if header.kind == ARP:
            state.row[_ARP] += 1
        else:
            _add_ip(state, tags, flows, header, size, time)
        state.row[_RATE] += state.rate
        state.row[_SRATE] += state.rate
        state.packets += 1
        if state.packets == packets_per_row:
            for k in range(len(state.row)):
                rows[written, k] = state.row[k] / packets_per_row
                state.row[k] = 0.0
            times[written] = time
            written += 1
            state.packets = 0
    return written


@compiled
def _add_size(state: Any, size: float, time: float) -> None:
    """Add what the list of sizes tells at this packet."""
    state.sizes += 1
    state.total += size
    state.squares += size * size
    state.low = size if state.sizes == 1 else min(state.low, size)
    state.high = size if state.sizes == 1 else max(state.high, size)
    count, last = float(state.sizes), state.sizes == RESET
    mean = state.total / count
    row = state.row
    row[_SUM] += state.total
    row[_MIN] += state.low
    row[_MAX] += state.high
    row[_AVG] += mean
    row[_STD] += np.sqrt(max(0.0, state.squares / count - mean * mean))
    row[_SIZE] += size
    # At every 20th packet the list was emptied before the number and the gap were taken, and the two lists of the
    # "directions", which both hold every size, have not got this packet's.
    row[_NUMBER] += 0.0 if last else count
    row[_IAT] += time if last else time - state.before
    state.before = time
    both = count - 1 if last else count
    both_mean = (state.total - size if last else state.total) / both
    variance = max(0.0, (state.squares - size * size if last else state.squares) / both - both_mean * both_mean)
    row[_MAGNITUDE] += np.sqrt(2 * both_mean)
    row[_RADIUS] += np.sqrt(2 * variance)
    row[_COVARIANCE] += variance
    row[_VARIANCE] += 1.0 if variance > 1e-9 else 0.0
    row[_WEIGHT] += both * both
    if last:
        state.sizes = 0
        state.total = 0.0
        state.squares = 0.0


@compiled
def _add_ip(state: Any, tags: NDArray[np.uint64], flows: NDArray[Any], header: Any, size: float, time: float) -> None:
    row = state.row
    row[_IPV] += 1
    row[_LLC] += 1
    row[_PROTOCOL] += header.protocol
    row[_DURATION] += header.ttl
    row[_ICMP] += header.protocol == 1
    row[_IGMP] += header.protocol == 2
    if not header.has_ports or header.protocol not in (TCP, UDP):
        return
    flow = flows[_find_flow(state, tags, flows, header, time)]
    flow.first = min(flow.first, time)
    flow.last = max(flow.last, time)
    flow.packets += 1
    flow.octets += size
    row[_HEADER_LENGTH] += flow.octets
    source, target = header.source_port, header.target_port
    if header.protocol == TCP:
        row[_TCP] += 1
        _add_flags(row, flow, header.flags)
        row[_HTTP] += source == 80 or target == 80
        row[_HTTPS] += source == 443 or target == 443
        row[_TELNET] += source == 23 or target == 23
        row[_SMTP] += source == 25 or target == 25
        row[_SSH] += source == 22 or target == 22
        row[_IRC] += source == 21 or target == 21
    else:
        row[_UDP] += 1
        row[_DNS] += source == 53 or target == 53
        row[_DHCP] += source == 67 or target == 68
    if flow.last != flow.first:
        state.rate = flow.packets / (flow.last - flow.first)


@compiled
def _add_flags(row: Any, flow: Any, flags: int) -> None:
    for k in range(5):
        row[_FIN + k] += (flags >> k) & 1
    row[_ECE] += (flags >> 6) & 1
    row[_CWR] += (flags >> 7) & 1
    flow.fin += flags & 1
    flow.syn += (flags >> 1) & 1
    flow.rst += (flags >> 2) & 1
    flow.ack += (flags >> 4) & 1
    # Named after other flags than they count.
    row[_ACK_COUNT] += flow.fin
    row[_SYN_COUNT] += flow.syn
    row[_FIN_COUNT] += flow.rst
    row[_RST_COUNT] += flow.ack


@compiled
def _find_flow(state: Any, tags: NDArray[np.uint64], flows: NDArray[Any], header: Any, time: float) -> int:
    tag = flow_tag(state, header, side_of(header))
    place = find(tags, tag)
    if place < 0:
        place = free_place(tags, tag)
        if place < 0:
            place = first_bucket(tag, len(tags))
            for k in range(2 * BUCKET):
                one = first_bucket(tag, len(tags)) + k if k < BUCKET else second_bucket(tag, len(tags)) + k - BUCKET
                if flows[one].seen < flows[place].seen:
                    place = one
            state.evicted += 1
        tags[place] = tag
        flow = flows[place]
        flow.first = time
        flow.last = time
        flow.packets = 0.0
        flow.octets = 0.0
        flow.fin = 0.0
        flow.syn = 0.0
        flow.rst = 0.0
        flow.ack = 0.0
    flows[place].seen = header.time
    return place
