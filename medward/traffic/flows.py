"""The table of flows: finding one, making place for a new one, and following TCP through it.

A flow is the packets between two endpoints (address, port) of one protocol, in both directions; its `opener` is the
direction of its first packet. It ends when it is idle for five minutes, or when a closed one begins again with a SYN.
Where there is no place, closed flows make way first, then the one that is oldest, where a flow that was answered
counts as a minute younger: a flood of SYNs drives out its own flows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled
from medward.traffic.hashing import fingerprint
from medward.traffic.packets import ACK, FIN, RST, SYN, TCP
from medward.traffic.tables import BUCKET, find, first_bucket, free_place, second_bucket

#: Nanoseconds after which an idle flow has ended, and by which an answered one counts as younger.
IDLE = 300 * 1_000_000_000
_ANSWERED = 60 * 1_000_000_000

#: How a flow was closed (field `closed`): by FIN from both ends, or by RST.
OPEN, FINISHED, RESET = 0, 1, 2


@compiled
def side_of(header: Any) -> int:
    """Return 0 where a packet goes from the lesser endpoint to the greater, else 1."""
    if header.source_high != header.target_high:
        return 0 if header.source_high < header.target_high else 1
    if header.source_low != header.target_low:
        return 0 if header.source_low < header.target_low else 1
    return 0 if header.has_ports == 0 or header.source_port <= header.target_port else 1


@compiled
def flow_tag(state: Any, header: Any, side: int) -> np.uint64:
    """Return the fingerprint of the flow that a packet of IP belongs to; the same for both directions."""
    one, other = np.uint64(0), np.uint64(0)
    if header.has_ports:
        one, other = np.uint64(header.source_port), np.uint64(header.target_port)
    kind = (np.uint64(header.protocol) << np.uint64(8)) | np.uint64(header.kind)
    if side == 0:
        last = (one << np.uint64(48)) | (other << np.uint64(32)) | kind
        return fingerprint(state, header.source_high, header.source_low, header.target_high, header.target_low, last)
    last = (other << np.uint64(48)) | (one << np.uint64(32)) | kind
    return fingerprint(state, header.target_high, header.target_low, header.source_high, header.source_low, last)


@compiled
def find_flow(state: Any, tags: NDArray[np.uint64], flows: NDArray[Any], header: Any, tag: np.uint64, side: int) -> int:
    """Return the place of a packet's flow; a new one has no packets yet."""
    place = find(tags, tag)
    if place >= 0:
        flow = flows[place]
        again = flow.closed != OPEN and header.protocol == TCP and header.flags & (SYN | ACK) == SYN
        if header.time - flow.last <= IDLE and not again:
            return place
    else:
        place = free_place(tags, tag)
        if place < 0:
            place = _least_flow(tags, flows, tag)
            state.flows_evicted += 1
        tags[place] = tag
    flow = flows[place]
    flow.payload = 0
    flow.seen_0 = 0
    flow.seen_1 = 0
    flow.left_0 = 0
    flow.left_1 = 0
    flow.flags_0 = 0
    flow.flags_1 = 0
    flow.opener = side
    # A capture may begin inside a connection: an answer to a SYN tells who opened it.
    if header.protocol == TCP and header.flags & (SYN | ACK) == (SYN | ACK):
        flow.opener = 1 - side
    flow.closed = OPEN
    state.flows += 1
    return place


@compiled
def _least_flow(tags: NDArray[np.uint64], flows: NDArray[Any], tag: np.uint64) -> int:
    places = len(tags)
    least, worth = -1, np.int64(0)
    for k in range(2 * BUCKET):
        place = first_bucket(tag, places) + k if k < BUCKET else second_bucket(tag, places) + k - BUCKET
        flow = flows[place]
        if flow.closed != OPEN:
            return place
        value = flow.last
        if flow.seen_0 and flow.seen_1:
            value += _ANSWERED
        if least < 0 or value < worth:
            least, worth = place, value
    return least


@compiled
def follow_tcp(flow: Any, header: Any, side: int) -> tuple[bool, bool]:
    """Note a TCP packet in its flow.

    Returns:
        Whether its payload had been sent before, and whether it continues in order what was sent before it.
    """
    length = np.uint32(max(header.payload_length, 0))
    begins = np.uint32(header.sequence + np.uint32(1)) if header.flags & SYN else np.uint32(header.sequence)
    expected = flow.next_0 if side == 0 else flow.next_1
    seen = flow.flags_0 if side == 0 else flow.flags_1
    ends = np.uint32(begins + length)
    # Sequence numbers wrap: what lies at most 2^31 behind was sent before (RFC 9293, section 3.4).
    new = seen == 0 or header.flags & SYN != 0 or (np.uint32(ends - expected) < 0x80000000 and ends != expected)
    in_order = seen == 0 or begins == expected
    if new:
        if side == 0:
            flow.next_0 = ends
        else:
            flow.next_1 = ends
    if side == 0:
        flow.flags_0 |= header.flags
    else:
        flow.flags_1 |= header.flags
    if flow.closed == OPEN:
        if header.flags & RST:
            flow.closed = RESET
        elif flow.flags_0 & FIN and flow.flags_1 & FIN:
            flow.closed = FINISHED
    return bool(length > 0 and not new), bool(length > 0 and in_order and new)
