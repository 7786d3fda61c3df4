"""Tables of bounded memory: two buckets for each key, full ones are told, and nothing ever grows."""

import numpy as np

from medward.bench.traffic import generation
from medward.traffic.hashing import fixed_key
from medward.traffic.meter import Meter, MeterSettings
from medward.traffic.sums import OTHER_SERVICE, PORTS
from medward.traffic.tables import (
    BUCKET,
    NEVER,
    TICKS,
    Tables,
    empty_tables,
    find,
    first_bucket,
    free_place,
    second_bucket,
)
from tests.traffic.captures import BEGIN, batch
from tests.traffic.test_meter import SMALL, flood


def memory_of(meter: Meter) -> dict[str, int]:
    return {name: array.nbytes for name, array in meter._tables._asdict().items()}


def test_memory_is_taken_when_a_meter_is_made_and_never_grows() -> None:
    meter = Meter(SMALL)
    before = memory_of(meter)
    for part in flood(20_000):
        meter.step(part)
    assert memory_of(meter) == before


def tags_of(meter: Meter) -> np.ndarray:
    tables: Tables = meter._tables
    return np.sort(tables.flow_tags[tables.flow_tags != 0])


def test_places_in_the_tables_follow_from_the_key() -> None:
    frames = [(BEGIN, generation.udp(2, 3, (port, 53), b"x")) for port in range(1000, 1100)]
    tags = []
    for seed in (1, 1, 2):
        meter = Meter(SMALL, fixed_key(seed))
        meter.step(batch(frames))
        tags.append(tags_of(meter))
    assert len(tags[0]) == 100
    np.testing.assert_array_equal(tags[0], tags[1])
    assert not np.intersect1d(tags[0], tags[2]).size


def test_a_table_holds_nearly_all_its_places_before_it_forgets() -> None:
    meter = Meter(MeterSettings(flows=1 << 14, devices=64, addresses=64, segments=64))
    frames = [(BEGIN, generation.udp(2, 3 + number // 60000, (number % 60000, 53), b"x")) for number in range(15_000)]
    meter.step(batch(frames))
    assert meter.counters.flows == 15_000
    assert meter.counters.flows_evicted < 300


def tags_of_buckets(places: int, *pairs: tuple[int, int]) -> np.ndarray:
    """Return one fingerprint for each pair of buckets, all different."""
    return np.array(
        [
            (number << 40 | second << 32 | 1 << 20 | number << 21 | first)
            for number, (first, second) in enumerate(pairs)
        ],
        np.uint64,
    )


def put(tags: np.ndarray, tag: np.uint64) -> int:
    """Keep a tag, as flows, devices and owners do; return its place, or -1."""
    place = free_place(tags, tag)
    if place >= 0:
        tags[place] = tag
    return place


def test_newcomer_takes_the_emptier_of_its_buckets_and_is_found_in_either() -> None:
    tags = np.zeros(64, np.uint64)
    some = tags_of_buckets(64, *[(2, 5)] * 16)
    places = [put(tags, tag) for tag in some]
    assert places == [place for k in range(BUCKET) for place in (2 * BUCKET + k, 5 * BUCKET + k)]
    assert [find(tags, tag) for tag in some] == places


def test_full_buckets_are_told_whatever_room_there_is_elsewhere() -> None:
    tags = np.zeros(64, np.uint64)
    *some, late = tags_of_buckets(64, *[(2, 5)] * 17)
    for tag in some:
        put(tags, tag)
    assert free_place(tags, late) == find(tags, late) == -1
    other = tags_of_buckets(64, (2, 7))[0] ^ np.uint64(1 << 60)
    assert put(tags, other) == 7 * BUCKET
    assert find(tags, other) == 7 * BUCKET


def test_bucket_that_is_both_the_first_and_the_second_holds_eight() -> None:
    tags = np.zeros(64, np.uint64)
    *some, late = tags_of_buckets(64, *[(3, 3)] * 9)
    assert [put(tags, tag) for tag in some] == list(range(3 * BUCKET, 4 * BUCKET))
    assert put(tags, late) == -1


def test_buckets_lie_within_the_table_whatever_the_fingerprint() -> None:
    tags = [1, 2**64 - 1, *np.random.default_rng(1).integers(1, 2**64, 50, np.uint64).tolist()]
    for places in (16, 1 << 12, 1 << 30):
        for begin in (bucket(np.uint64(tag), places) for tag in tags for bucket in (first_bucket, second_bucket)):
            assert begin % BUCKET == 0
            assert 0 <= begin <= places - BUCKET


def test_empty_tables_know_ports_and_remember_nobody() -> None:
    tables = empty_tables(fixed_key(1), 32, 16, 64, 16, by_address=True, inspect=False)
    assert (len(tables.flows), len(tables.device_tags), len(tables.owners), len(tables.segments)) == (32, 16, 64, 16)
    # One device more than there are places takes the packets of nobody, and one record of sums more is blank.
    assert (len(tables.devices), tables.sums.shape) == (17, (18, TICKS))
    assert (tables.devices["stamps"] == NEVER).all()
    assert {port: int(tables.services[port]) for port in PORTS} == PORTS
    assert np.count_nonzero(tables.services != OTHER_SERVICE) == len(PORTS)
    tables.words[3, 4, 0] = 1.5
    assert tables.sums[3, 4].tobytes()[:8] == np.float64(1.5).tobytes()
    assert (tables.state["by_address"][0], tables.state["inspect"][0]) == (1, 0)
