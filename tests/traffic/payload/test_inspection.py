"""Looking into payload: entropy is that of its first octets, and the same segment with another payload is told."""

import math
from collections import Counter

import numpy as np
import pytest

from medward.bench.traffic import generation
from medward.traffic.meter import MeterSettings
from medward.traffic.packets import ACK, PSH
from medward.traffic.payload.inspection import SAMPLE, SAMPLES
from tests.traffic.captures import BEGIN, Timed
from tests.traffic.test_meter import one

SEES = MeterSettings(64, 64, 64, 64, inspect=True)


def segments(*payloads: tuple[int, bytes]) -> list[Timed]:
    """Segments with these sequence numbers and payloads, a millisecond apart."""
    return [
        (BEGIN + k * 1_000_000, generation.tcp(2, 3, (40000, 9999), (sequence, 1), PSH | ACK, payload))
        for k, (sequence, payload) in enumerate(payloads)
    ]


def entropy(payload: bytes) -> float:
    counts = Counter(payload[:SAMPLE]).values()
    return math.log2(SAMPLE) - sum(count * math.log2(count) for count in counts) / SAMPLE


@pytest.mark.parametrize(
    "payload", [bytes(SAMPLE), bytes(range(SAMPLE)), b"ab" * SAMPLE, bytes(SAMPLE - 1) + b"x" * 100]
)
def test_entropy_is_that_of_the_first_octets(payload: bytes) -> None:
    row = one(segments((1000, payload)), 2, SEES)
    assert row["payload_entropy"] == pytest.approx(entropy(payload), abs=1e-4)


def test_short_payload_has_no_entropy_and_only_so_many_are_taken() -> None:
    assert np.isnan(one(segments((1000, bytes(SAMPLE - 1))), 2, SEES)["payload_entropy"])
    many = segments(*((1000 + SAMPLE * k, bytes(SAMPLE)) for k in range(SAMPLES)), (9000, bytes(range(SAMPLE))))
    assert one(many, 2, SEES)["payload_entropy"] <= 6 / SAMPLES


@pytest.mark.parametrize(
    ("again", "rewritten"),
    [((1000, b"a" * 100), 0), ((1000, b"a" * 99 + b"b"), 1), ((1000, b"b" + b"a" * 99), 1), ((1100, b"b" * 100), 0)],
)
def test_segment_that_comes_again_with_another_payload_is_told(again: tuple[int, bytes], rewritten: int) -> None:
    assert one(segments((1000, b"a" * 100), again), 2, SEES)["rewritten"] == rewritten


def test_what_is_not_inspected_is_missing() -> None:
    row = one(segments((1000, bytes(100))), 2, MeterSettings(64, 64, 64, 64, inspect=False))
    assert np.isnan(row["payload_entropy"])
    assert np.isnan(row["rewritten"])
