"""The kernel that looks into payload: the expensive evidence. It counts and hashes; it keeps no octet of it.

Only octets that were captured are read.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic import sums
from medward.traffic.compilation import compiled
from medward.traffic.hashing import fingerprint3
from medward.traffic.packets import SYN, TCP
from medward.traffic.payload.protocols import (
    inspect_dicom,
    inspect_ftp,
    inspect_hl7,
    inspect_http,
    inspect_modbus,
    inspect_mqtt,
    inspect_tls,
)

#: Octets at the beginning of a payload whose entropy is taken; a shorter payload has none.
SAMPLE = 64
#: Payloads of a device and tick whose entropy is taken at most.
SAMPLES = 32
#: Nanoseconds for which a segment is remembered.
_MEMORY = 10 * 1_000_000_000
_SEGMENT = np.uint64(6)
_LOG2 = np.concatenate([[0.0], np.log2(np.arange(1, SAMPLE + 1))])


@compiled
def inspect_payload(
    state: Any,
    segments: NDArray[Any],
    histogram: NDArray[np.int32],
    octets: NDArray[np.uint8],
    header: Any,
    flow: Any,
    tag: np.uint64,
    side: int,
    service: int,
    up: Any,
    down: Any,
    sent_again: bool,
    in_order: bool,
) -> None:
    """Look into the payload of a packet of TCP or UDP."""
    up.inspected += 1
    down.inspected += 1
    if header.payload_captured <= 0:
        return
    begin = header.payload
    end = begin + header.payload_captured
    up.payload_up += header.payload_captured
    _add_entropy(histogram, octets, begin, end, up)
    if header.protocol != TCP:
        return
    if header.payload_captured == header.payload_length and _was_rewritten(state, segments, header, tag, side):
        up.rewritten += 1
        down.rewritten += 1
    if sent_again:
        return
    if service in (sums.MQTT, sums.DICOM):
        _inspect_stream(state, octets, header, flow, side, service, up, down, in_order)
    elif service == sums.HL7:
        inspect_hl7(state, octets, begin, end, up, down)
    elif service == sums.MODBUS:
        inspect_modbus(state, octets, begin, end, header.target_port == 502, up, down)
    elif service == sums.HTTP:
        inspect_http(state, octets, begin, end, up, down)
    elif service == sums.TLS:
        inspect_tls(state, octets, begin, end, up, down)
    elif service == sums.FTP:
        inspect_ftp(state, octets, begin, end, up, down)


@compiled
def _inspect_stream(
    state: Any,
    octets: NDArray[np.uint8],
    header: Any,
    flow: Any,
    side: int,
    service: int,
    up: Any,
    down: Any,
    in_order: bool,
) -> None:
    """Look into a segment of a protocol whose messages tell their length, and may go over several segments.

    `left` is how many octets of the last message are still to come. It is -1 where segments are missing: nobody knows
    where the next message begins, so no more of that direction is read. A connection that was met in its middle is
    read segment by segment, and nothing in it is called malformed.
    """
    begin = header.payload
    end = begin + header.payload_captured
    left = flow.left_0 if side == 0 else flow.left_1
    whole = flow.flags_0 & SYN != 0 if side == 0 else flow.flags_1 & SYN != 0
    if not whole:
        left = 0
    elif not in_order or header.payload_captured < header.payload_length:
        left = -1
    passed = min(max(left, 0), header.payload_captured)
    if left == passed:
        if service == sums.MQTT:
            left = inspect_mqtt(state, octets, begin + passed, end, up, down, whole)
        else:
            left = inspect_dicom(state, octets, begin + passed, end, up, down)
    elif left > 0:
        left -= passed
    if side == 0:
        flow.left_0 = left
    else:
        flow.left_1 = left


@compiled
def _add_entropy(histogram: NDArray[np.int32], octets: NDArray[np.uint8], begin: int, end: int, up: Any) -> None:
    """Add the entropy of a payload's first octets, in bits an octet: log2 n - (1/n) sum over octets of log2 count."""
    if end - begin < SAMPLE or up.entropies >= SAMPLES:
        return
    for at in range(begin, begin + SAMPLE):
        histogram[octets[np.uintp(at)]] += 1
    total = 0.0
    for at in range(begin, begin + SAMPLE):
        total += _LOG2[histogram[octets[np.uintp(at)]]]
    for at in range(begin, begin + SAMPLE):
        histogram[octets[np.uintp(at)]] = 0
    up.entropies += 1
    up.entropy += _LOG2[SAMPLE] - total / SAMPLE


@compiled
def _was_rewritten(state: Any, segments: NDArray[Any], header: Any, tag: np.uint64, side: int) -> bool:
    """Tell whether the segment was seen in the last ten seconds with as many octets but others, and remember it."""
    content = state.content  # the hash of this payload, taken when the packet was looked for among copies
    name = fingerprint3(state, _SEGMENT, tag, (np.uint64(header.sequence) << np.uint64(1)) | np.uint64(side))
    segment = segments[np.int64(name & np.uint64(len(segments) - 1))]
    length = np.int64(header.payload_captured)
    known = segment.tag == name and segment.length == length and header.time - segment.time <= _MEMORY
    rewritten = bool(known and segment.content != content)
    segment.tag = name
    segment.content = content
    segment.length = length
    segment.time = header.time
    return rewritten
