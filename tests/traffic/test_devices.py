"""The table of devices: one that is there is found again, and of too many the least used one goes."""

from medward.bench.traffic import generation
from medward.traffic.copies import COPY_WITHIN
from medward.traffic.meter import MeterSettings
from tests.traffic.captures import BEGIN, SECOND, Timed
from tests.traffic.test_meter import mac, metered

FEW = MeterSettings(16, 16, 16, 16, inspect=False)


def sent(host: int, at: int, count: int = 1) -> list[Timed]:
    return [(BEGIN + at + 2 * COPY_WITHIN * k, generation.udp(host, 3, (40000, 9999), b"x")) for k in range(count)]


def test_device_that_is_silent_for_ticks_is_the_same_one_afterwards() -> None:
    rows = metered([*sent(2, 0), *sent(2, 6 * SECOND)])
    ticks = sorted(tick for tick, device in rows if device == mac(2))
    assert len(ticks) >= 2
    last = rows[ticks[-1], mac(2)]
    assert (last["packets_up"], last["packets_up_10s"]) == (1, 2)


def test_device_that_stays_outlives_a_crowd_of_others() -> None:
    packets = [one for tick in range(10) for one in sent(2, 2 * tick * SECOND, 5)]
    # Others come once it has been there for three ticks.
    packets += [one for k in range(280) for one in sent(100 + k, 2 * (3 + k // 40) * SECOND + 99)]
    rows = metered(sorted(packets, key=lambda one: one[0]), FEW)
    ticks = sorted(tick for tick, device in rows if device == mac(2))
    assert rows[ticks[-1], mac(2)]["packets_up_60s"] == 5 * 10


def test_table_that_is_full_loses_devices_and_no_packet_of_those_it_has() -> None:
    rows = metered([one for host in range(100, 400) for one in sent(host, host)], FEW)
    assert 0 < len({device for _, device in rows}) <= 300
    assert all(row["packets_up"] <= 1 for (_, device), row in rows.items() if device != mac(3))
