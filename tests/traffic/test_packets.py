"""Batches of packets: some of them are taken without their octets being copied."""

import numpy as np
import pytest

from tests.traffic.captures import BEGIN, batch, odd_frames

FRAMES = odd_frames()


@pytest.mark.parametrize("rows", [slice(2, 9, 3), slice(0, 0), np.array([5, 1]), np.arange(len(FRAMES)) % 4 == 1])
def test_packets_that_are_taken_are_those_of_the_batch(rows: slice | np.ndarray) -> None:
    whole = batch([(BEGIN + number, frame) for number, frame in enumerate(FRAMES)])
    taken = whole.take(rows)
    wanted = np.arange(len(FRAMES))[rows].tolist()
    assert len(taken) == len(wanted)
    assert taken.octets is whole.octets
    found = [
        taken.octets[begin : begin + size].tobytes() for begin, size in zip(taken.offset, taken.captured, strict=True)
    ]
    assert found == [FRAMES[number] for number in wanted]
    assert taken.time.tolist() == [BEGIN + number for number in wanted]
    assert (taken.wire == taken.captured).all()
