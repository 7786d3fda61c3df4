"""Counting messages of the protocols of a ward: MQTT, HL7 v2 over MLLP, DICOM, Modbus, HTTP, TLS and FTP.

Each kernel reads one segment's payload `octets[begin:end]`, which begins where a message begins. Kernels of protocols
whose messages tell their length return how many octets of the last one are still to come; -1 where that is unknown.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic import sums
from medward.traffic.compilation import compiled
from medward.traffic.devices import add_to_sketch
from medward.traffic.hashing import fingerprint3
from medward.traffic.parsing import octet, u16, u32

#: Messages of one segment that are counted, and that are passed over to find where the next segment's begin; elements
#: of one DICOM command, and octets of a text that are looked at.
_MESSAGES = 64
_PASSED = 1024
_ELEMENTS = 16
_DEPTH = 512
_TEXT = np.uint64(5)


@compiled
def hash_text(state: Any, octets: NDArray[np.uint8], begin: int, end: int) -> np.uint64:
    """Return a keyed hash of a short text."""
    word = np.uint64(end - begin)
    for at in range(begin, end, 8):
        eight = np.uint64(0)
        for k in range(min(8, end - at)):
            eight = (eight << np.uint64(8)) | np.uint64(octets[at + k])
        word = fingerprint3(state, _TEXT, eight, word)
    return word


@compiled
def _note_text(state: Any, octets: NDArray[np.uint8], begin: int, end: int, sketch: int, up: Any, down: Any) -> None:
    found = hash_text(state, octets, begin, end)
    zero = np.uint64(0)
    add_to_sketch(state, up, sketch, zero, found, zero)
    add_to_sketch(state, down, sketch, zero, found, zero)


@compiled
def inspect_mqtt(state: Any, octets: NDArray[np.uint8], begin: int, end: int, up: Any, down: Any, whole: bool) -> int:
    """Count MQTT control packets (OASIS MQTT 3.1.1 and 5.0, section 2.1)."""
    at = begin
    for number in range(_PASSED):
        if at >= end:
            return at - end
        kind, flags = octet(octets, at) >> 4, octet(octets, at) & 15
        length, shift, place = 0, 0, at + 1
        ended = False
        while place < end and place <= at + 4:
            value = octet(octets, place)
            length |= (value & 127) << shift
            shift += 7
            place += 1
            if value < 128:
                ended = True
                break
        if not ended and place <= at + 4:
            return -1  # the segment ends inside the length
        body = min(place + length, end)
        if not ended or not _mqtt_header_is_sound(kind, flags, length):
            if whole:
                up.mqtt_malformed += 1
                down.mqtt_malformed += 1
            return -1
        if number < _MESSAGES and not _count_mqtt(
            state, octets, kind, flags, place, body, place + length > end, up, down
        ):
            if whole:
                up.mqtt_malformed += 1
                down.mqtt_malformed += 1
            return -1
        at = place + length
    return at - end if at >= end else -1


@compiled
def _mqtt_header_is_sound(kind: int, flags: int, length: int) -> bool:
    if kind == 0:
        return False
    if kind == 3:
        return flags & 6 != 6 and length >= 2
    if kind in (6, 8, 10):
        return flags == 2 and length >= 2
    if kind in (12, 13):
        return flags == 0 and length == 0
    if kind in (14, 15):
        return flags == 0
    return flags == 0 and length >= 2


@compiled
def _count_mqtt(
    state: Any,
    octets: NDArray[np.uint8],
    kind: int,
    flags: int,
    begin: int,
    end: int,
    cut: bool,
    up: Any,
    down: Any,
) -> bool:
    """Count a control packet whose variable header is in `octets[begin:end]`; return whether it is sound."""
    if kind == 1:
        up.mqtt_connects += 1
        down.mqtt_connects += 1
        if end - begin >= 2:
            length = u16(octets, begin)
            if length not in (4, 6) or (not cut and begin + 10 > end):
                return False
            if end - begin >= 6 and octet(octets, begin + 2) != 0x4D:  # M of MQTT and of MQIsdp
                return False
    elif kind == 2:
        if end - begin >= 2 and octet(octets, begin + 1) != 0:
            up.mqtt_refused += 1
            down.mqtt_refused += 1
    elif kind == 3:
        up.mqtt_publishes += 1
        down.mqtt_publishes += 1
        if end - begin >= 2:
            last = begin + 2 + u16(octets, begin)
            if last > end:
                return cut
            _note_text(state, octets, begin + 2, min(last, begin + 2 + _DEPTH), sums.MQTT_TOPICS, up, down)
    elif kind == 8:
        up.mqtt_subscribes += 1
        down.mqtt_subscribes += 1
    return True


@compiled
def inspect_hl7(state: Any, octets: NDArray[np.uint8], begin: int, end: int, up: Any, down: Any) -> None:
    """Count HL7 v2 messages in MLLP frames, their types (MSH-9), and acknowledgements of errors (MSA-1: xE, xR)."""
    last = min(end, begin + _DEPTH)
    if begin + 9 > end or octet(octets, begin) != 0x0B or octet(octets, begin + 1) != 0x4D:
        return
    up.hl7_messages += 1
    down.hl7_messages += 1
    separator = octet(octets, begin + 4)
    field, field_begin = 1, begin + 5
    for at in range(begin + 5, last):
        value = octet(octets, at)
        if value == separator:
            if field == 8:
                _note_text(state, octets, field_begin, at, sums.HL7_TYPES, up, down)
            field += 1
            field_begin = at + 1
        elif value == 0x0D:
            # The segment after MSH is MSA in every acknowledgement.
            if at + 7 <= last and octet(octets, at + 1) == 0x4D and octet(octets, at + 2) == 0x53:
                answer = octet(octets, at + 6)
                if octet(octets, at + 3) == 0x41 and answer in (0x45, 0x52):
                    up.hl7_errors += 1
                    down.hl7_errors += 1
            return


@compiled
def inspect_dicom(state: Any, octets: NDArray[np.uint8], begin: int, end: int, up: Any, down: Any) -> int:
    """Count DICOM associations, refusals and C-STORE requests (PS3.8 section 9.3, PS3.7 section 9.3.1)."""
    at = begin
    for number in range(_PASSED):
        if at >= end:
            return at - end
        if at + 6 > end:
            return -1
        kind = octet(octets, at)
        length = u32(octets, at + 2)
        if kind == 0 or kind > 7 or length > 0x7FFFFFFF - 6:
            return -1
        if number >= _MESSAGES:
            pass
        elif kind == 1:
            up.dicom_associations += 1
            down.dicom_associations += 1
        elif kind in (3, 7):
            up.dicom_refused += 1
            down.dicom_refused += 1
        elif kind == 4 and _dicom_command(octets, at + 6, min(at + 6 + length, end)) == 1:
            up.dicom_stores += 1
            down.dicom_stores += 1
        at += 6 + length
    return at - end if at >= end else -1


@compiled
def _dicom_command(octets: NDArray[np.uint8], begin: int, end: int) -> int:
    """Return the command (0000,0100) of the first value of a P-DATA-TF, or -1 where it is data or is not seen."""
    if begin + 6 > end or octet(octets, begin + 5) & 1 == 0:
        return -1
    at = begin + 6
    for _ in range(_ELEMENTS):
        if at + 10 > end:
            return -1
        # Commands are always in implicit little endian: group, element, 32-bit length, value.
        group = octet(octets, at) | (octet(octets, at + 1) << 8)
        element = octet(octets, at + 2) | (octet(octets, at + 3) << 8)
        if group != 0:
            return -1
        if element == 0x0100:
            return octet(octets, at + 8) | (octet(octets, at + 9) << 8)
        at += 8 + (u16(octets, at + 4) >> 8) + ((u16(octets, at + 4) & 255) << 8)
    return -1


@compiled
def inspect_modbus(
    state: Any, octets: NDArray[np.uint8], begin: int, end: int, request: bool, up: Any, down: Any
) -> None:
    """Count requests, writes and exceptions of Modbus/TCP (Messaging Implementation Guide 1.0b, section 3.1.3)."""
    at = begin
    for _ in range(_MESSAGES):
        if at + 8 > end or u16(octets, at + 2) != 0:
            return
        function = octet(octets, at + 7)
        if request:
            up.modbus_requests += 1
            down.modbus_requests += 1
            if function in (5, 6, 15, 16, 21, 22, 23):
                up.modbus_writes += 1
                down.modbus_writes += 1
        elif function & 0x80:
            up.modbus_exceptions += 1
            down.modbus_exceptions += 1
        at += 6 + u16(octets, at + 4)


@compiled
def inspect_http(state: Any, octets: NDArray[np.uint8], begin: int, end: int, up: Any, down: Any) -> None:
    """Count HTTP/1 requests, and answers of 401 or 403, and of 400 and above (RFC 9110)."""
    if begin + 12 > end:
        return
    word = u32(octets, begin)
    if word == 0x48545450:  # HTTP
        if octet(octets, begin + 4) != 0x2F or octet(octets, begin + 8) != 0x20:
            return
        status = (octet(octets, begin + 9) - 48) * 100 + (octet(octets, begin + 10) - 48) * 10
        status += octet(octets, begin + 11) - 48
        if status in (401, 403):
            up.http_refused += 1
            down.http_refused += 1
        if 400 <= status < 600:
            up.http_errors += 1
            down.http_errors += 1
    # GET, POST, PUT, HEAD, DELE(TE), PATC(H), OPTI(ONS)
    elif word in (0x47455420, 0x504F5354, 0x50555420, 0x48454144, 0x44454C45, 0x50415443, 0x4F505449):
        up.http_requests += 1
        down.http_requests += 1


@compiled
def inspect_tls(state: Any, octets: NDArray[np.uint8], begin: int, end: int, up: Any, down: Any) -> None:
    """Count TLS ClientHellos and tell clients apart by version and cipher suites (RFC 8446, section 4.1.2)."""
    # Record: type, version, length; handshake: type, 24-bit length; version, random, session, cipher suites.
    if begin + 44 > end or octet(octets, begin) != 22 or octet(octets, begin + 5) != 1:
        return
    up.tls_hellos += 1
    down.tls_hellos += 1
    suites = begin + 44 + octet(octets, begin + 43)
    if suites + 2 > end:
        return
    last = min(suites + 2 + min(u16(octets, suites), _DEPTH), end)
    _note_text(state, octets, suites, last, sums.TLS_CLIENTS, up, down)


@compiled
def inspect_ftp(state: Any, octets: NDArray[np.uint8], begin: int, end: int, up: Any, down: Any) -> None:
    """Count refused logins of FTP: reply 530 (RFC 959, section 4.2)."""
    if begin + 4 <= end and u32(octets, begin) in (0x35333020, 0x3533302D):
        up.ftp_refused += 1
        down.ftp_refused += 1
