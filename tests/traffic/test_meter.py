"""Windows of devices: what is counted is what happened, memory is bounded, and what is forgotten is told."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest

from medward.bench.traffic import generation
from medward.traffic.columns import COLUMNS
from medward.traffic.hashing import fixed_key, random_key
from medward.traffic.meter import Meter, MeterSettings, WindowTable, compile_meter, meter_windows
from medward.traffic.packets import PacketBatch
from medward.traffic.tables import empty_tables
from tests.traffic.captures import BEGIN, SECOND, Timed, batch, ipv6, mutated, odd_frames
from tests.traffic.reference_parser import parse_ethernet

SMALL = MeterSettings(flows=1024, devices=64, addresses=64, segments=64)
Row = dict[str, float]


def mac(host: int) -> str:
    return f"02:00:00:00:{host >> 8:02x}:{host & 255:02x}"


def join(tables: Sequence[WindowTable]) -> dict[tuple[int, str], Row]:
    """Return the windows by tick and device."""
    rows = {}
    for table in tables:
        for i, device in enumerate(table.device):
            key = (int(table.identities["tick"][i]), device)
            assert key not in rows
            rows[key] = dict(zip(COLUMNS, table.values[i].tolist(), strict=True))
    return rows


def metered(
    packets: Sequence[Timed], settings: MeterSettings = SMALL, step: int = 500, seed: int | None = None
) -> dict[tuple[int, str], Row]:
    meter = Meter(settings, None if seed is None else fixed_key(seed))
    parts = (batch(packets[at : at + step]) for at in range(0, len(packets), step))
    return join(list(meter_windows(parts, meter)))


def one(packets: Sequence[Timed], host: int, settings: MeterSettings = SMALL) -> Row:
    """Return a device's last window."""
    # Under a key of every day a sketch is off by three deviations once in some hundred runs.
    rows = metered(packets, settings, seed=1)
    return rows[max(key for key in rows if key[1] == mac(host))]


def deviation(count: float) -> float:
    """Return the standard deviation of linear counting over 256 bits (Whang and others, 1990), plus rounding."""
    share = count / 256
    return (256 * (np.exp(share) - share - 1)) ** 0.5 + 0.1


def ward(count: int = 3000) -> list[Timed]:
    return [(round(time * 1e6) * 1000, frame) for time, frame in generation.ward(count)]


def counted_plainly(packets: Sequence[Timed]) -> dict[tuple[int, str], Row]:
    """Count some columns of the 2 s view in plain Python."""
    rows: dict[tuple[int, str], Row] = defaultdict(lambda: defaultdict(float))
    sizes: dict[tuple[int, str, str], list[int]] = defaultdict(list)
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    peers: dict[tuple[int, str], set[int]] = defaultdict(set)
    for time, frame in packets:
        fields = parse_ethernet(frame, len(frame))
        tick = time // (2 * SECOND)
        ends = (("up", "out", fields["source_mac"]), ("down", "in", fields["target_mac"]))
        for way, side, address in ends:
            device = address.to_bytes(6, "big").hex(":")
            row = rows[tick, device]
            row[f"packets_{way}"] += 1
            row[f"bytes_{way}"] += len(frame)
            sizes[tick, device, way].append(len(frame))
            times[device, way].append(time)
            flags = fields["flags"]
            row[f"syn_{side}"] += flags & 18 == 2
            row[f"synack_{side}"] += flags & 18 == 18
            row[f"rst_{side}"] += flags >> 2 & 1
            row[f"fin_{side}"] += flags & 1
            row["tcp"] += fields["protocol"] == 6
            row["udp"] += fields["protocol"] == 17
            ports = {fields["source_port"], fields["target_port"]}
            for name, known in (("mqtt", {1883}), ("hl7", {2575}), ("dicom", {104}), ("dns", {53}), ("tls", {443})):
                row[name] += bool(ports & known)
            if way == "up":
                peers[tick, device].add(fields["target_low"])
    for (tick, device, way), found in sizes.items():
        rows[tick, device][f"size_{way}_mean"] = float(np.mean(found))
        rows[tick, device][f"size_{way}_std"] = float(np.std(found))
    for (device, way), moments in times.items():
        gaps = defaultdict(list)
        for before, now in pairwise(moments):
            gaps[now // (2 * SECOND)].append((now - before) / SECOND)
        for tick, values in gaps.items():
            rows[tick, device][f"gap_{way}_mean"] = float(np.mean(values))
            rows[tick, device][f"gap_{way}_std"] = float(np.std(values))
    for key, found_peers in peers.items():
        rows[key]["peers"] = len(found_peers)
    return rows


def test_windows_hold_what_a_plain_program_counts() -> None:
    packets = ward()
    rows = metered(packets, MeterSettings(devices=1024))
    expected = counted_plainly(packets)
    assert rows.keys() == expected.keys()
    for key, wanted in expected.items():
        for name, value in wanted.items():
            close = {"abs": 6 * deviation(value)} if name == "peers" else {"rel": 1e-4, "abs": 1e-4}
            assert rows[key][name] == pytest.approx(value, **close), (key, name)


def test_how_a_capture_is_cut_into_batches_does_not_matter() -> None:
    key = fixed_key(1)
    packets = ward(2000)
    results = []
    for step in (1, 37, 2000):
        meter = Meter(MeterSettings(devices=1024), key)
        parts = (batch(packets[at : at + step]) for at in range(0, len(packets), step))
        results.append(join(list(meter_windows(parts, meter))))
    assert results[0].keys() == results[1].keys() == results[2].keys()
    for place, row in results[0].items():
        np.testing.assert_array_equal(list(row.values()), list(results[1][place].values()))
        np.testing.assert_array_equal(list(row.values()), list(results[2][place].values()))


def test_longer_views_are_of_the_ticks_that_end_with_the_window() -> None:
    frame = generation.udp(2, 3, (4000, 53), b"x")
    packets = [(BEGIN + second * SECOND, frame) for second in range(0, 200, 2)]
    rows = metered(packets)
    first = BEGIN // (2 * SECOND)
    for number in range(100):
        row = rows[first + number, mac(2)]
        assert (row["packets_up"], row["packets_up_10s"], row["packets_up_60s"]) == (
            1, min(number + 1, 5), min(number + 1, 30),
        )  # fmt: skip


def test_gap_longer_than_a_view_leaves_nothing_of_before() -> None:
    frame = generation.udp(2, 3, (4000, 53), b"x")
    row = one([(BEGIN, frame), (BEGIN + 20 * SECOND, frame)], 2)
    assert (row["packets_up_10s"], row["packets_up_60s"]) == (1, 2)
    row = one([(BEGIN, frame), (BEGIN + 3600 * SECOND, frame)], 2)
    assert row["packets_up_60s"] == 1


def test_late_packets_are_counted_in_the_present_tick() -> None:
    frame = generation.udp(2, 3, (4000, 53), b"x")
    meter = Meter(SMALL)
    meter.step(batch([(BEGIN + 10 * SECOND, frame), (BEGIN, frame)]))
    (table,) = meter.finish()
    assert table.column("packets_up").max() == 2
    assert meter.counters.late == 1


def test_clock_that_is_set_back_begins_anew_and_is_told() -> None:
    frame = generation.udp(2, 3, (4000, 53), b"x")
    meter = Meter(SMALL)
    times = [BEGIN + 86_400 * SECOND, *(BEGIN + second * SECOND for second in range(0, 10, 2))]
    rows = join([*meter.step(batch([(time, frame) for time in times])), *meter.finish()])
    assert len({tick for tick, _ in rows}) == 6
    assert rows[BEGIN // (2 * SECOND) + 4, mac(2)]["packets_up_60s"] == 5
    assert meter.counters.clock_steps == 1
    assert "1 times the capture's clock was set back" in meter.counters.warnings()[0]


def test_a_clock_closes_windows_without_packets() -> None:
    frame = generation.udp(2, 3, (4000, 53), b"x")
    meter = Meter(SMALL)
    assert meter.advance(BEGIN) == []
    assert meter.step(batch([(BEGIN, frame)])) == []
    assert meter.advance(BEGIN + SECOND) == []
    assert [len(table) for table in meter.advance(BEGIN + 2 * SECOND)] == [2]
    assert meter.advance(BEGIN + 60 * SECOND) == []
    meter.step(batch([(BEGIN, frame)]))
    assert meter.counters.late == 1


def test_scan_shows_in_cheap_columns() -> None:
    packets: list[Timed] = []
    for port in range(1, 201):
        packets.append((BEGIN + port * 10**6, generation.tcp(9, 3, (50000, port), (1, 0), 2, b"")))
        packets.append((BEGIN + port * 10**6 + 1000, generation.tcp(3, 9, (port, 50000), (0, 2), 20, b"")))
    scanner, scanned = one(packets, 9), one(packets, 3)
    assert (scanner["syn_out"], scanner["refused_out"], scanner["flows_out"]) == (200, 200, 200)
    assert scanner["ports_out"] == pytest.approx(200, rel=0.15)
    assert (scanned["syn_in"], scanned["refused_in"], scanned["rst_out"]) == (200, 200, 200)
    assert scanned["ports_in"] == pytest.approx(200, rel=0.15)


def test_arp_sweep_and_claims_show_in_cheap_columns() -> None:
    sweep = [(BEGIN + host * 10**6, generation.arp(9, host, 1)) for host in range(10, 110)]
    assert one(sweep, 9)["arp_targets"] == pytest.approx(100, rel=0.15)
    talk = (BEGIN - 6 * SECOND, generation.udp(3, 4, (4000, 53), b"x"))
    claims = [(BEGIN + number * 3_000_000, generation.arp(9, 4, 2, claimed=3)) for number in range(1, 4)]
    rows = metered([talk, *claims, (BEGIN + 10**7, generation.udp(3, 4, (4000, 53), b"x"))])
    tick = BEGIN // (2 * SECOND)
    attacker, victim = rows[tick, mac(9)], rows[tick, mac(3)]
    assert (attacker["arp_replies"], attacker["arp_changes"]) == (3, 1)
    assert (victim["arp_changes"], victim["mac_changes"]) == (1, 1)


def passed_on(time: int, number: int) -> list[Timed]:
    """A segment from host 2 to host 3 as the capture shows it on both sides of host 9, which passes it on."""
    frame = generation.tcp(2, 3, (40000, 80), (1 + number, 1), 24, b"x")
    through = bytes.fromhex("020000000009")
    return [(time, through + frame[6:]), (time + 1000, frame[:6] + through + frame[12:])]


def test_peers_of_one_who_forwards_a_flow_are_counted_beside_those_of_its_sender() -> None:
    frame = generation.tcp(2, 3, (40000, 80), (1, 1), 24, b"x")
    forwarded = frame[:6] + bytes.fromhex("020000000009") + frame[12:]
    towards = bytes.fromhex("020000000009") + frame[6:]
    frames = (towards, forwarded, towards, forwarded)
    # One key in 128 takes the one for the other.
    rows = metered([(BEGIN + 1000 * i, one) for i, one in enumerate(frames)], seed=1)
    tick = BEGIN // (2 * SECOND)
    assert [round(rows[tick, mac(host)]["peers"]) for host in (2, 9)] == [1, 1]
    assert [round(rows[tick, mac(host)]["sources"]) for host in (3, 9)] == [1, 1]


def test_a_router_that_is_seen_on_both_sides_changes_no_owner_and_sends_nothing_again() -> None:
    packets = [at for number in range(8) for at in passed_on(BEGIN + number * SECOND, number)]
    rows = metered(packets)
    assert [row["mac_changes"] for row in rows.values()] == [0] * len(rows)
    assert [row["resent"] for row in rows.values()] == [0] * len(rows)
    # What its first owner sends again still counts, once.
    again = metered([*packets, *passed_on(BEGIN + 8 * SECOND, 7)])
    assert [again[BEGIN // (2 * SECOND) + 4, mac(host)]["resent"] for host in (2, 9, 3)] == [1, 1, 0]


def test_a_newcomer_changes_the_owner_until_it_has_stood_for_a_minute() -> None:
    alone = [passed_on(BEGIN + number * SECOND, number)[0] for number in range(8)]
    both = [at for number in range(8, 80) for at in passed_on(BEGIN + number * SECOND, number)]
    rows = metered([*alone, *both])
    tick = BEGIN // (2 * SECOND)
    changes = [rows[tick + number, mac(9)]["mac_changes"] for number in range(4, 40)]
    assert changes[:30] == [3, *[4] * 29]
    assert changes[31:] == [0] * 5
    assert rows[tick + 3, mac(2)]["mac_changes"] == 0
    third = bytes.fromhex("020000000008")
    frame = passed_on(0, 90)[0][1]
    back = metered([*alone, *both, (BEGIN + 81 * SECOND, frame[:6] + third + frame[12:])])
    assert back[tick + 40, mac(8)]["mac_changes"] == 1


def test_guessing_of_passwords_shows_in_cheap_columns() -> None:
    packets: list[Timed] = []
    for number in range(20):
        ports, back = (50000 + number, 22), (22, 50000 + number)
        exchange = [
            generation.tcp(9, 3, ports, (1, 0), 2, b""), generation.tcp(3, 9, back, (1, 2), 18, b""),
            generation.tcp(9, 3, ports, (2, 2), 24, b"SSH-2.0-x"), generation.tcp(9, 3, ports, (11, 2), 17, b""),
            generation.tcp(3, 9, back, (2, 12), 17, b""),
        ]  # fmt: skip
        packets += [(BEGIN + number * 10**7 + at * 1000, frame) for at, frame in enumerate(exchange)]
    row = one(packets, 9)
    assert (row["logins_out"], row["short_out"], row["ssh"]) == (20, 20, 100)


def test_devices_are_known_by_address_where_that_is_asked() -> None:
    settings = MeterSettings(flows=1024, devices=64, addresses=64, segments=64, by_address=True)
    packets = [
        (BEGIN, generation.udp(2, 3, (4000, 53), b"x")),
        (BEGIN, ipv6(2, 3, 17, b"\x0f\xa0\0\x35\0\x0c\0\0ques")),
    ]
    assert {device for _, device in metered(packets, settings)} == {"10.77.0.2", "10.77.0.3", "fd00::2", "fd00::3"}


def test_frames_without_mac_addresses_are_of_devices_by_address() -> None:
    frame = bytes(12) + generation.udp(2, 3, (4000, 53), b"x")[12:]
    assert {device for _, device in metered([(BEGIN, frame)])} == {"10.77.0.2", "10.77.0.3"}


def flood(count: int, first: int = 1000) -> Iterator[PacketBatch]:
    """Each packet from another MAC address, of another flow."""
    for at in range(0, count, 1000):
        yield batch(
            [
                (
                    BEGIN + 30 * SECOND + number * 1000,
                    generation.tcp(first + number, 3, (number % 60000, 80), (1, 0), 2, b""),
                )
                for number in range(at, at + 1000)
            ]
        )


def test_flood_of_invented_addresses_does_not_drive_out_devices_that_stay() -> None:
    meter = Meter(SMALL)
    steady = generation.udp(2, 3, (4000, 53), b"x")
    for second in range(0, 30, 2):
        meter.step(batch([(BEGIN + second * SECOND, steady)]))
    tables = [table for part in flood(20_000) for table in meter.step(part)]
    tables += meter.step(batch([(BEGIN + 31 * SECOND, steady)]))
    tables += meter.finish()
    rows = join(tables)
    assert rows[(BEGIN + 30 * SECOND) // (2 * SECOND), mac(2)]["packets_up_60s"] == 16
    counters = meter.counters
    assert counters.devices_evicted > 19_000
    assert counters.flows_evicted > 18_000
    assert len(counters.warnings()) == 3


@pytest.mark.parametrize("name", ["flows", "devices", "addresses", "segments"])
def test_settings_that_are_no_power_of_two_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a power of two"):
        MeterSettings(**{name: 1000})


def test_two_meters_hash_differently() -> None:
    assert (random_key() != random_key()).all()


def test_counters_count_what_is_wrong_with_packets() -> None:
    meter = Meter(SMALL)
    meter.step(batch([(BEGIN, frame) for frame in odd_frames()]))
    assert meter.counters.fragments == 5
    meter.step(batch([(BEGIN, frame[:20]) for frame in odd_frames()]))
    assert meter.counters.cut_short > 10
    meter.step(batch([(BEGIN, b"x" * 60)], link=105))
    assert meter.counters.unknown_links == 1


def test_mutated_packets_do_no_harm() -> None:
    meter = Meter(SMALL)
    rng = np.random.default_rng(5)
    frames = mutated(rng, odd_frames() + [frame for _, frame in generation.ward(500)], 20_000)
    times = rng.integers(-(2**62), 2**62, len(frames))
    tables = [table for at in range(0, len(frames), 500) for table in meter.step(
        batch(list(zip(times[at : at + 500].tolist(), frames[at : at + 500], strict=True)))
    )]  # fmt: skip
    assert sum(len(table) for table in tables) > 10_000
    assert meter.counters.packets == len(frames)
    assert all(table.device and table.address for table in tables)


def test_empty_batches_and_sources_make_no_windows() -> None:
    meter = Meter(SMALL)
    assert list(meter_windows([batch([])], meter)) == []
    assert set(asdict(meter.counters).values()) == {0}


@pytest.mark.slow
def test_everything_can_be_compiled_before_the_first_packet() -> None:
    compile_meter()
    assert empty_tables(fixed_key(0), 16, 16, 16, 16, False, False).state["running"][0] == 0
