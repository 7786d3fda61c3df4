"""The kernel that counts one packet after another into flows and devices; everything here is visible in headers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic import sums
from medward.traffic.compilation import compiled, compiled_in_place
from medward.traffic.devices import (
    BY_IPV4,
    BY_IPV6,
    BY_MAC,
    add_to_sketch,
    find_device,
    find_device_of_mac,
    known_device,
)
from medward.traffic.flows import OPEN, RESET, find_flow, flow_tag, follow_tcp, side_of
from medward.traffic.hashing import scattered
from medward.traffic.owners import SAME, SECOND_HAND, change_owner
from medward.traffic.packets import (
    ACK,
    ARP,
    CUT_SHORT,
    FIN,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    LATER_FRAGMENT,
    MALFORMED,
    RST,
    SYN,
    TCP,
    UDP,
    UNKNOWN_LINK,
    WHOLE,
)
from medward.traffic.payload.inspection import inspect_payload
from medward.traffic.tables import NEVER, TICK_NANOSECONDS, TICKS, Tables

#: Octets of payload below which a packet is small, and of a whole flow below which it is short.
SMALL = 16
SHORT = 2048
#: The longest gap that is counted, in nanoseconds: that of the longest view.
_LONGEST_GAP = 60 * 1_000_000_000
#: Octets of a frame beyond which the interface must have joined several packets.
_LONGEST_FRAME = 9_234
_GROUP = 1 << 40  # the bit of a MAC address that marks groups


@compiled_in_place
def count_packet(tables: Tables, octets: NDArray[np.uint8], header: Any) -> None:
    """Count one packet, whose time lies in the present tick, into its flow and its devices."""
    state = tables.state[0]
    _count_all(state, header)
    sender, receiver = _find_devices(tables, header)
    nobody = len(tables.device_tags)
    state.no_device += sender == nobody and receiver == nobody
    row = state.tick % TICKS
    # What nobody sent or received is counted, too, in the place of no device, and never read.
    up, down = tables.sums[sender, row], tables.sums[receiver, row]
    _count_up(header, tables.devices[sender], up)
    _count_down(header, tables.devices[receiver], down)
    if header.kind == ARP:
        if header.trouble == 0:
            _count_arp(state, header, up)
            if header.source_low != 0:  # a probe (RFC 5227) claims nothing
                kind = np.uint8(IPV4)  # of the type of `header.kind`: for another the kernel is compiled once more
                loser = _owner_before(tables, header, int(kind), header.arp_mac, sender)
                if loser >= 0:
                    up.arp_changes += 1
                    if loser != sender:
                        tables.sums[loser, row].arp_changes += 1
    elif header.kind in (IPV4, IPV6):
        loser = SAME
        if header.has_mac and header.source_mac & _GROUP == 0 and (header.source_high | header.source_low) != 0:
            loser = _owner_before(tables, header, header.kind, header.source_mac, sender)
            if loser >= 0:
                up.mac_changes += 1
                if loser != sender:
                    tables.sums[loser, row].mac_changes += 1
        _count_ip(tables, octets, header, sender, receiver, loser == SECOND_HAND)


@compiled
def pass_over(state: Any, header: Any) -> None:
    """Note a copy of a frame that is counted already."""
    state.packets += 1
    state.octets += header.wire
    state.copies += 1


@compiled
def _count_all(state: Any, header: Any) -> None:
    state.packets += 1
    state.octets += header.wire
    state.cut_short += header.trouble & CUT_SHORT != 0
    state.malformed += header.trouble & MALFORMED != 0
    state.unknown_links += header.trouble & UNKNOWN_LINK != 0
    state.fragments += header.fragment != WHOLE
    state.joined += header.wire > _LONGEST_FRAME


@compiled_in_place
def _find_devices(tables: Tables, header: Any) -> tuple[int, int]:
    """Return the places of the sender and the receiver; that of no device for a group or an address of nobody."""
    state, tags, devices = tables.state[0], tables.device_tags, tables.devices
    bits, active = tables.bits, tables.active
    nobody = len(tags)
    by_mac = state.by_address == 0 and header.has_mac
    kinds = (0, 0)
    if by_mac:
        kinds = (
            BY_MAC if header.source_mac != 0 and header.source_mac & _GROUP == 0 else 0,
            BY_MAC if header.target_mac != 0 and header.target_mac & _GROUP == 0 else 0,
        )
    elif header.kind == IPV4 or (header.kind == ARP and header.trouble == 0):
        kinds = (
            BY_IPV4 if _is_host(header.source_low) else 0,
            BY_IPV4 if _is_host(header.target_low) and header.kind == IPV4 else 0,
        )
    elif header.kind == IPV6:
        kinds = (
            BY_IPV6 if _is_host6(header.source_high, header.source_low) else 0,
            BY_IPV6 if _is_host6(header.target_high, header.target_low) else 0,
        )
    sender, receiver = nobody, nobody
    for k in range(2):
        kind = kinds[0] if k == 0 else kinds[1]
        if kind == 0:
            continue
        if kind == BY_MAC:
            mac = header.source_mac if k == 0 else header.target_mac
            place = find_device_of_mac(state, tables.places, tags, devices, bits, active, mac)
        else:
            high = header.source_high if k == 0 else header.target_high
            low = header.source_low if k == 0 else header.target_low
            place = find_device(state, tags, devices, bits, active, kind, high, low)
        if k == 0:
            sender = place
        else:
            receiver = place
    if sender == receiver and not _to_itself(header, by_mac):
        # The receiver took the sender's place in a table full of devices that were seen once.
        sender = nobody
    return sender, receiver


@compiled
def _to_itself(header: Any, by_mac: bool) -> bool:
    if by_mac:
        return bool(header.source_mac == header.target_mac)
    return bool(header.source_high == header.target_high and header.source_low == header.target_low)


@compiled
def _is_host(address: np.uint64) -> bool:
    """Tell whether an IPv4 address is a host's: not 0.0.0.0, no group, no broadcast to all."""
    return bool(address != 0 and address >> np.uint64(28) < 0xE)


@compiled
def _is_host6(high: np.uint64, low: np.uint64) -> bool:
    """Tell whether an IPv6 address is a host's: not ::, no group."""
    return bool((high | low) != 0 and high >> np.uint64(56) != 0xFF)


@compiled_in_place
def _owner_before(tables: Tables, header: Any, kind: int, mac: int, sender: int) -> int:
    """Note who used a packet's source address; return the place of who lost it, else what `change_owner` returns.

    The place is that of no device where the one before is not in the table.
    """
    state = tables.state[0]
    before = change_owner(
        state,
        tables.owner_tags,
        tables.owners,
        tables.devices[sender],
        kind,
        header.source_high,
        header.source_low,
        mac,
        header.time,
    )
    if before < 0:
        return before
    if state.by_address:
        return len(tables.device_tags)
    return known_device(state, tables.device_tags, tables.devices, tables.bits, tables.active, before)


@compiled
def _count_up(header: Any, device: Any, up: Any) -> None:
    size = float(header.wire)
    up.packets_up += 1
    up.bytes_up += size
    up.squares_up += size * size
    if device.last_up != NEVER and 0 <= header.time - device.last_up <= _LONGEST_GAP:
        gap = (header.time - device.last_up) * 1e-9
        up.gaps_up += 1
        up.gap_up += gap
        up.gap_squares_up += gap * gap
    device.last_up = header.time
    up.broadcast_up += header.has_mac != 0 and header.target_mac & _GROUP != 0
    up.fragments_up += header.fragment != WHOLE
    up.malformed_up += header.trouble & MALFORMED != 0
    if header.kind in (IPV4, IPV6):
        up.small_up += header.payload_length < SMALL
        if header.ttl > 0:
            up.ttl_low = min(up.ttl_low, float(header.ttl))
            up.ttl_high = max(up.ttl_high, float(header.ttl))
        if (header.source_high | header.source_low) != 0:
            device.address_kind = header.kind
            device.address_high = header.source_high
            device.address_low = header.source_low
    elif header.kind != ARP:
        up.is_not_ip += 1


@compiled
def _count_down(header: Any, device: Any, down: Any) -> None:
    size = float(header.wire)
    down.packets_down += 1
    down.bytes_down += size
    down.squares_down += size * size
    if device.last_down != NEVER and 0 <= header.time - device.last_down <= _LONGEST_GAP:
        gap = (header.time - device.last_down) * 1e-9
        down.gaps_down += 1
        down.gap_down += gap
        down.gap_squares_down += gap * gap
    device.last_down = header.time
    down.is_not_ip += header.kind not in (ARP, IPV4, IPV6)


@compiled
def _count_arp(state: Any, header: Any, up: Any) -> None:
    zero = np.uint64(0)
    if header.source_port == 1:
        up.arp_requests += 1
        add_to_sketch(state, up, sums.ARP_TARGETS, zero, header.target_low, zero)
    elif header.source_port == 2:
        up.arp_replies += 1
    if header.source_low == header.target_low:
        up.arp_gratuitous += 1
    if header.source_low != 0:
        add_to_sketch(state, up, sums.ARP_CLAIMS, zero, header.source_low, zero)


@compiled_in_place
def _count_ip(
    tables: Tables, octets: NDArray[np.uint8], header: Any, sender: int, receiver: int, second_hand: bool
) -> None:
    state = tables.state[0]
    row = state.tick % TICKS
    up, down = tables.sums[sender, row], tables.sums[receiver, row]
    side = side_of(header)
    tag = flow_tag(state, header, side)
    flow = tables.flows[find_flow(state, tables.flow_tags, tables.flows, header, tag, side)]
    begins = flow.seen_0 == 0 and flow.seen_1 == 0
    known = _peers_are_known(state, flow, side, sender, receiver)
    flow.last = header.time
    service = sums.OTHER_SERVICE
    if header.has_ports:
        service = int(np.int64(tables.services[header.target_port]))
        if service == sums.OTHER_SERVICE:
            service = int(np.int64(tables.services[header.source_port]))
        up.services[service] += 1
        down.services[service] += 1
    by_opener = flow.opener == side
    if not known:
        _count_peers(state, header, up, down, by_opener)
    if begins:
        if by_opener:
            _count_beginning(up, down, service)
        else:
            _count_beginning(down, up, service)
    _count_protocol(header, up, down)
    sent_again, in_order = False, False
    if header.protocol == TCP and header.has_ports:
        closed = flow.closed
        sent_again, in_order = follow_tcp(flow, header, side)
        # What a router passes on was not sent again.
        up.resent += sent_again and not second_hand
        down.resent += sent_again and not second_hand
        if closed == OPEN and flow.closed != OPEN:
            _count_end(header, flow, by_opener, up, down)
    flow.payload = min(flow.payload + max(header.payload_length, 0), 0xFFFF)
    if state.inspect and header.has_ports:
        inspect_payload(
            state, tables.segments, tables.histogram, octets, header, flow, tag, side, service, up, down,
            sent_again, in_order,
        )  # fmt: skip


@compiled
def _peers_are_known(state: Any, flow: Any, side: int, sender: int, receiver: int) -> bool:
    """Tell whether these devices' sketches have this side of a flow in this tick already, and note that they will.

    The mark has seven bits: where another device forwards a flow's packets, it is taken for the first in one tick of
    128. In which ones is scattered, so that nobody is overlooked for longer.
    """
    ends = (np.uint64(sender) << np.uint64(53)) ^ (np.uint64(receiver) << np.uint64(42))
    mark = 0x80 | np.int64(scattered(ends ^ np.uint64(state.tick)) >> np.uint64(57))
    before = flow.seen_0 if side == 0 else flow.seen_1
    if side == 0:
        flow.seen_0 = mark
    else:
        flow.seen_1 = mark
    return bool(before == mark and flow.last // TICK_NANOSECONDS == state.tick)


@compiled
def _count_protocol(header: Any, up: Any, down: Any) -> None:
    if header.kind == IPV6:
        up.is_ipv6 += 1
        down.is_ipv6 += 1
    if header.protocol == TCP:
        up.is_tcp += 1
        down.is_tcp += 1
        if header.has_ports:
            _count_flags(header, up, down)
    elif header.protocol == UDP:
        up.is_udp += 1
        down.is_udp += 1
    elif header.protocol in (ICMP, ICMPV6):
        _count_icmp(header, up, down)


@compiled
def _count_peers(state: Any, header: Any, up: Any, down: Any, by_opener: bool) -> None:
    zero = np.uint64(0)
    port = np.uint64(header.target_port)
    add_to_sketch(state, up, sums.PEERS, header.target_high, header.target_low, zero)
    add_to_sketch(state, down, sums.SOURCES, header.source_high, header.source_low, zero)
    if by_opener and header.has_ports:
        add_to_sketch(state, up, sums.PORTS_OUT, header.target_high, header.target_low, port)
        add_to_sketch(state, down, sums.PORTS_IN, zero, zero, port)


@compiled
def _count_beginning(opener: Any, other: Any, service: int) -> None:
    opener.flows_out += 1
    other.flows_in += 1
    if service in (sums.SSH, sums.FTP, sums.TELNET, sums.REMOTE_DESKTOP, sums.SMB):
        opener.logins_out += 1
        other.logins_in += 1


@compiled
def _count_flags(header: Any, up: Any, down: Any) -> None:
    flags = header.flags
    if flags & SYN:
        if flags & ACK:
            up.synack_out += 1
            down.synack_in += 1
        else:
            up.syn_out += 1
            down.syn_in += 1
    if flags & RST:
        up.rst_out += 1
        down.rst_in += 1
    if flags & FIN:
        up.fin_out += 1
        down.fin_in += 1


@compiled
def _count_end(header: Any, flow: Any, by_opener: bool, up: Any, down: Any) -> None:
    """Count a connection that this packet closed, whose payload before it is `flow.payload`."""
    payload = flow.payload + max(header.payload_length, 0)
    if by_opener:
        if payload < SHORT:
            up.short_out += 1
            down.short_in += 1
    elif flow.closed == RESET and payload == 0:
        down.refused_out += 1
        up.refused_in += 1
    elif payload < SHORT:
        down.short_out += 1
        up.short_in += 1


@compiled
def _count_icmp(header: Any, up: Any, down: Any) -> None:
    up.is_icmp += 1
    down.is_icmp += 1
    if header.fragment == LATER_FRAGMENT:
        return
    kind = header.source_port
    old = header.protocol == ICMP
    if kind == (8 if old else 128):
        up.echo_out += 1
        down.echo_in += 1
    elif kind == (3 if old else 1):
        down.unreachable_in += 1
    elif not old and kind == 135:
        up.neighbour_solicitations += 1
    elif not old and kind == 136:
        up.neighbour_advertisements += 1
