"""From frames to what their headers say: Ethernet with VLAN tags, ARP, IPv4, IPv6 with its extensions, TCP, UDP, ICMP.

Every read is bounded by the end of the captured packet, and every loop by a constant, so no packet makes the parser
read another's octets, fail or hang. Lengths that a header claims are believed only as far as the packet reaches.
RFC 791 (IPv4), 8200 (IPv6), 826 (ARP), 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP), IEEE 802.1Q and 802.1ad (tags).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled
from medward.traffic.packets import (
    ARP,
    CUT_SHORT,
    FIRST_FRAGMENT,
    HEADERS,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    LATER_FRAGMENT,
    LINK_ETHERNET,
    LINK_IPV4,
    LINK_IPV6,
    LINK_NULL,
    LINK_RAW,
    LINK_RAW_BSD,
    LINK_RAW_OTHER,
    LINK_SLL,
    LINK_SLL2,
    MALFORMED,
    OTHER,
    TCP,
    UDP,
    UNKNOWN_LINK,
    PacketBatch,
)

ETHER_IPV4, ETHER_ARP, ETHER_IPV6 = 0x0800, 0x0806, 0x86DD
_TAGS_MOST = 4
_EXTENSIONS_MOST = 8


def parse(batch: PacketBatch) -> NDArray[Any]:
    """Parse the packets of a batch.

    Returns:
        HEADERS [packets].
    """
    headers = np.zeros(len(batch), HEADERS)
    parse_into(batch.octets, batch.offset, batch.captured, batch.wire, batch.time, batch.link, headers)
    return headers


@compiled
def parse_into(
    octets: NDArray[np.uint8],
    offset: NDArray[np.int64],
    captured: NDArray[np.int64],
    wire: NDArray[np.int64],
    time: NDArray[np.int64],
    link: NDArray[np.int32],
    headers: NDArray[Any],
) -> None:
    """Parse as `parse` does, into `headers` [at least packets], whose records are zero."""
    for i in range(len(offset)):
        at = offset[i]
        end = at + max(captured[i], 0)
        if at < 0 or end > len(octets):
            continue
        record = headers[i]
        record.time = time[i]
        record.wire = min(max(wire[i], captured[i]), 0x7FFFFFFF)
        record.network = end
        record.payload = end
        _parse_link(octets, at, end, link[i], record)
        left = at + record.wire - record.payload
        if record.payload_length > left:
            # The IP header claims more than the frame had on the wire.
            record.trouble |= MALFORMED
            record.payload_length = left


@compiled
def octet(octets: NDArray[np.uint8], at: int) -> int:
    """Return the octet at `at`, which is not negative, as a signed number: arithmetic with it stays one of integers."""
    # An unsigned index is spared the test whether it counts from the end.
    return int(np.int64(octets[np.uintp(at)]))


@compiled
def u16(octets: NDArray[np.uint8], at: int) -> int:
    """Return the 16-bit number at `at`, most significant octet first."""
    return (octet(octets, at) << 8) | octet(octets, at + 1)


@compiled
def u32(octets: NDArray[np.uint8], at: int) -> int:
    """Return the 32-bit number at `at`, most significant octet first."""
    return (u16(octets, at) << 16) | u16(octets, at + 2)


@compiled
def eight(octets: NDArray[np.uint8], at: int) -> np.uint64:
    """Return the 64-bit number at `at`, most significant octet first."""
    first = np.uintp(at)
    found = np.uint64(0)
    for k in range(8):
        found = (found << np.uint64(8)) | np.uint64(octets[first + np.uintp(k)])
    return found


@compiled
def _parse_link(octets: NDArray[np.uint8], at: int, end: int, link: int, record: Any) -> None:
    if link == LINK_ETHERNET:
        if at + 14 > end:
            record.trouble |= CUT_SHORT
            return
        record.target_mac = (u16(octets, at) << 32) | u32(octets, at + 2)
        record.source_mac = (u16(octets, at + 6) << 32) | u32(octets, at + 8)
        # Frames of the loopback interface have no addresses.
        record.has_mac = record.source_mac != 0 or record.target_mac != 0
        _parse_network(octets, at + 14, end, u16(octets, at + 12), record)
    elif link in (LINK_SLL, LINK_SLL2):
        length, place = (16, 14) if link == LINK_SLL else (20, 0)
        if at + length > end:
            record.trouble |= CUT_SHORT
            return
        size = u16(octets, at + 4) if link == LINK_SLL else octet(octets, at + 11)
        address = at + 6 if link == LINK_SLL else at + 12
        if size == 6:
            # A cooked frame tells the sender alone.
            record.source_mac = (u16(octets, address) << 32) | u32(octets, address + 2)
            record.target_mac = 0xFFFFFFFFFFFF
            record.has_mac = 1
        _parse_network(octets, at + length, end, u16(octets, at + place), record)
    elif link == LINK_NULL:
        if at + 4 > end:
            record.trouble |= CUT_SHORT
            return
        _parse_bare_ip(octets, at + 4, end, record)
    elif link in (LINK_RAW, LINK_RAW_BSD, LINK_RAW_OTHER, LINK_IPV4, LINK_IPV6):
        _parse_bare_ip(octets, at, end, record)
    else:
        record.trouble |= UNKNOWN_LINK


@compiled
def _parse_bare_ip(octets: NDArray[np.uint8], at: int, end: int, record: Any) -> None:
    if at >= end:
        record.trouble |= CUT_SHORT
        return
    record.network = at
    version = octets[at] >> 4
    if version == 4:
        record.ether_type = ETHER_IPV4
        _parse_ipv4(octets, at, end, record)
    elif version == 6:
        record.ether_type = ETHER_IPV6
        _parse_ipv6(octets, at, end, record)


@compiled
def _parse_network(octets: NDArray[np.uint8], at: int, end: int, ether_type: int, record: Any) -> None:
    for _ in range(_TAGS_MOST):
        if ether_type not in (0x8100, 0x88A8, 0x9100):
            break
        if at + 4 > end:
            record.trouble |= CUT_SHORT
            return
        ether_type = u16(octets, at + 2)
        at += 4
    record.ether_type = ether_type
    record.kind = OTHER
    record.network = at
    record.payload = at
    record.payload_captured = end - at
    record.payload_length = end - at
    if ether_type == ETHER_IPV4:
        _parse_ipv4(octets, at, end, record)
    elif ether_type == ETHER_IPV6:
        _parse_ipv6(octets, at, end, record)
    elif ether_type == ETHER_ARP:
        _parse_arp(octets, at, end, record)


@compiled
def _parse_arp(octets: NDArray[np.uint8], at: int, end: int, record: Any) -> None:
    record.kind = ARP
    if at + 28 > end:
        record.trouble |= CUT_SHORT
        return
    # Only IPv4 over Ethernet (hardware 1, protocol 0x0800, lengths 6 and 4) has addresses in these places.
    if u16(octets, at) != 1 or u16(octets, at + 2) != ETHER_IPV4 or octets[at + 4] != 6 or octets[at + 5] != 4:
        record.trouble |= MALFORMED
        return
    record.source_port = u16(octets, at + 6)
    record.arp_mac = (u16(octets, at + 8) << 32) | u32(octets, at + 10)
    record.source_low = u32(octets, at + 14)
    record.target_low = u32(octets, at + 24)
    record.payload = at + 28
    record.payload_captured = 0
    record.payload_length = 0


@compiled
def _parse_ipv4(octets: NDArray[np.uint8], at: int, end: int, record: Any) -> None:
    record.kind = IPV4
    if at + 20 > end:
        record.trouble |= CUT_SHORT
        return
    header = (octet(octets, at) & 15) * 4
    length = u16(octets, at + 2)
    record.ttl = octets[at + 8]
    record.protocol = octets[at + 9]
    record.ip_length = length
    record.source_low = u32(octets, at + 12)
    record.target_low = u32(octets, at + 16)
    if octets[at] >> 4 != 4 or header < 20 or (length < header and length != 0):
        record.trouble |= MALFORMED
        record.payload = at + 20
        record.payload_captured = end - at - 20
        record.payload_length = record.payload_captured
        return
    # An adapter that joins or splits packets (TSO) leaves the length at 0; the frame then ends the packet.
    said = at + length if length else end
    place = u16(octets, at + 6)
    if place & 0x1FFF:
        record.fragment = LATER_FRAGMENT
    elif place & 0x2000:
        record.fragment = FIRST_FRAGMENT
    _parse_transport(octets, at + header, end, said, record)


@compiled
def _parse_ipv6(octets: NDArray[np.uint8], at: int, end: int, record: Any) -> None:
    record.kind = IPV6
    if at + 40 > end:
        record.trouble |= CUT_SHORT
        return
    length = u16(octets, at + 4)
    record.ttl = octets[at + 7]
    record.ip_length = min(length + 40, 0xFFFF)
    record.source_high = eight(octets, at + 8)
    record.source_low = eight(octets, at + 16)
    record.target_high = eight(octets, at + 24)
    record.target_low = eight(octets, at + 32)
    header = octet(octets, at + 6)
    said = at + 40 + length if length else end
    place = at + 40
    if octets[at] >> 4 != 6:
        record.trouble |= MALFORMED
        record.payload = place
        record.payload_captured = end - place
        record.payload_length = record.payload_captured
        return
    for _ in range(_EXTENSIONS_MOST):
        # Hop-by-hop, routing, fragment, authentication, destination options, mobility, HIP, shim6.
        known = header in (0, 43, 44, 51, 60, 135, 139, 140)
        if not known:
            break
        if place + 8 > min(end, said):
            record.protocol = header
            record.trouble |= CUT_SHORT if end < said else MALFORMED
            record.payload = min(place, end)
            record.payload_captured = end - record.payload
            record.payload_length = record.payload_captured
            return
        following = octet(octets, place)
        if header == 44:
            where = u16(octets, place + 2)
            if where >> 3:
                record.fragment = LATER_FRAGMENT
            elif where & 1:
                record.fragment = FIRST_FRAGMENT
            place += 8
        elif header == 51:
            place += (octet(octets, place + 1) + 2) * 4
        else:
            place += (octet(octets, place + 1) + 1) * 8
        header = following
        if record.fragment == LATER_FRAGMENT:
            break
    record.protocol = header
    _parse_transport(octets, place, end, said, record)


@compiled
def _parse_transport(octets: NDArray[np.uint8], at: int, end: int, said: int, record: Any) -> None:
    """Parse what follows the IP headers: captured until `end`, and until `said` by what the IP header says."""
    stop = min(end, said)
    if at > stop:
        record.trouble |= CUT_SHORT if at > end else MALFORMED
        record.payload = stop
        record.payload_captured = 0
        record.payload_length = 0
        return
    if record.fragment == LATER_FRAGMENT:
        header = 0
    elif record.protocol == TCP:
        header = 20
        if at + 20 <= stop:
            record.source_port = u16(octets, at)
            record.target_port = u16(octets, at + 2)
            record.has_ports = 1
            record.sequence = u32(octets, at + 4)
            record.flags = octets[at + 13]
            record.tcp_window = u16(octets, at + 14)
            header = (octet(octets, at + 12) >> 4) * 4
            if header < 20:
                record.trouble |= MALFORMED
                header = 20
    elif record.protocol == UDP:
        header = 8
        if at + 8 <= stop:
            record.source_port = u16(octets, at)
            record.target_port = u16(octets, at + 2)
            record.has_ports = 1
            length = u16(octets, at + 4)
            if length != 0 and (length < 8 or (at + length > said and record.fragment == 0)):
                record.trouble |= MALFORMED
    elif record.protocol in (ICMP, ICMPV6):
        header = 4
        if at + 4 <= stop:
            record.source_port = octets[at]
            record.target_port = octets[at + 1]
    else:
        header = 0
    if at + header > stop:
        record.trouble |= CUT_SHORT if end < said else MALFORMED
        header = stop - at
    record.payload = at + header
    record.payload_captured = stop - at - header
    record.payload_length = said - at - header
