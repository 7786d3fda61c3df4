"""Windows follow from sums: means, deviations and spreads are those of the packets, and of nothing are missing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.bench.traffic import generation
from medward.traffic.copies import COPY_WITHIN
from tests.traffic.captures import BEGIN, SECOND, Timed
from tests.traffic.test_meter import one

sizes = st.lists(st.integers(0, 1400), min_size=1, max_size=30)


def sent(payloads: list[int], hops: list[int] | None = None) -> list[Timed]:
    frames = [generation.udp(2, 3, (40000, 9999), bytes(size)) for size in payloads]
    out = []
    for number, frame in enumerate(frames):
        data = bytearray(frame)
        if hops is not None:
            data[14 + 8] = hops[number % len(hops)]
        out.append((BEGIN + 2 * COPY_WITHIN * number, bytes(data)))
    return out


@settings(max_examples=25)
@given(sizes)
def test_mean_and_deviation_of_sizes_are_those_of_the_packets(payloads: list[int]) -> None:
    packets = sent(payloads)
    lengths = np.array([len(frame) for _, frame in packets], float)
    row = one(packets, 2)
    np.testing.assert_allclose(row["size_up_mean"], lengths.mean(), rtol=1e-6)
    np.testing.assert_allclose(row["size_up_std"], lengths.std(), rtol=1e-5, atol=2e-2)
    assert np.isnan(row["size_down_mean"])


def test_spread_of_hop_limits_is_of_the_whole_view() -> None:
    row = one(sent([10] * 6, hops=[64, 60, 63]), 2)
    assert row["ttl_spread"] == row["ttl_spread_60s"] == 4
    late = [*sent([10], hops=[64]), *((time + 4 * SECOND, frame) for time, frame in sent([10], hops=[50]))]
    row = one(late, 2)
    assert (row["ttl_spread"], row["ttl_spread_10s"]) == (0, 14)
