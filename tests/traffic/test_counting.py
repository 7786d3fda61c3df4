"""Counting packets: of hosts alone, and at both ends."""

import struct

import numpy as np
import pytest

from medward.bench.traffic import generation
from medward.traffic.counting import _peers_are_known
from medward.traffic.packets import ACK, FIN, RST, SYN
from medward.traffic.tables import FLOW, STATE, TICK_NANOSECONDS
from tests.traffic.captures import BEGIN, Timed
from tests.traffic.test_meter import mac, metered, one


def exchange(*parts: tuple[bool, int]) -> list[Timed]:
    """Segments of one connection, of the opener (True) or the other, with these flags."""
    out = []
    for k, (opener, flags) in enumerate(parts):
        ends = (2, 3, (40000, 80)) if opener else (3, 2, (80, 40000))
        out.append((BEGIN + k * 1_000_000, generation.tcp(*ends, (1, 1), flags, b"")))
    return out


@pytest.mark.parametrize(
    ("parts", "column", "count"),
    [
        ([(True, SYN)], "syn_out", 1),
        ([(True, SYN), (False, SYN | ACK), (True, ACK)], "flows_out", 1),
        ([(True, SYN), (False, RST | ACK)], "refused_out", 1),
        ([(True, SYN), (False, SYN | ACK), (True, ACK), (True, FIN | ACK)], "fin_out", 1),
    ],
)
def test_each_end_counts_what_it_began(parts: list[tuple[bool, int]], column: str, count: int) -> None:
    packets = exchange(*parts)
    assert one(packets, 2)[column] == count
    assert one(packets, 3)[column] == 0


def test_packet_is_counted_once_at_each_end() -> None:
    packets = exchange((True, SYN), (False, SYN | ACK), (True, ACK))
    sender, receiver = one(packets, 2), one(packets, 3)
    assert (sender["packets_up"], sender["packets_down"]) == (2, 1)
    assert (receiver["packets_up"], receiver["packets_down"]) == (1, 2)


def test_packet_to_its_own_sender_is_counted_at_both_ends_of_one_device() -> None:
    row = one([(BEGIN, generation.udp(2, 2, (40000, 9999), b"x"))], 2)
    assert (row["packets_up"], row["packets_down"]) == (1, 1)


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.251", "255.255.255.255"])
def test_group_or_broadcast_is_no_device(address: str) -> None:
    frame = bytearray(generation.udp(2, 3, (40000, 9999), b"x"))
    frame[30:34] = bytes(int(part) for part in address.split("."))
    frame[:6] = b"\xff" * 6
    rows = metered([(BEGIN, bytes(frame))])
    assert {device for _, device in rows} <= {mac(2)}


def test_later_fragment_has_no_ports_and_is_counted_all_the_same() -> None:
    frame = bytearray(generation.udp(2, 3, (40000, 53), b"question"))
    frame[20:22] = struct.pack("!H", 0x0003)
    row = one([(BEGIN, bytes(frame))], 2)
    assert row["packets_up"] == 1
    assert row["fragments_up"] == 1


def test_who_forwards_a_flow_is_taken_for_its_sender_now_and_then_and_never_for_long() -> None:
    """Whatever places the devices have in their table, their marks on a flow differ in most ticks."""
    state, flow = np.zeros(1, STATE)[0], np.zeros(1, FLOW)[0]
    taken = []
    for sender, router, receiver in np.random.default_rng(3).integers(0, 1024, (300, 3)).tolist():
        taken.append(0)
        for tick in range(890_000_000, 890_000_128):
            state["tick"], flow["last"] = tick, tick * TICK_NANOSECONDS
            _peers_are_known(state, flow, 0, sender, router)
            taken[-1] += _peers_are_known(state, flow, 0, router, receiver)
            assert _peers_are_known(state, flow, 0, router, receiver), "a mark stays for its tick"
    assert 0.5 < np.mean(taken) < 1.5
    assert max(taken) < 10
