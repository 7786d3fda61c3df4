"""Batches of packets: their octets are one kind of array to the kernels, and are never copied."""

import numpy as np
import pytest

from medward.traffic.meter import Meter, MeterSettings
from medward.traffic.packets import PacketBatch
from medward.traffic.windows import step
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


def test_meter_is_compiled_once_whether_memory_may_be_written_to_or_not() -> None:
    read_only = batch([(BEGIN, frame) for frame in FRAMES])
    memory = read_only.octets.copy()
    fields = (read_only.offset, read_only.captured, read_only.wire, read_only.time, read_only.link)
    written = PacketBatch(memory, *fields)
    assert np.shares_memory(written.octets, memory)
    assert memory.flags.writeable
    assert not written.octets.flags.writeable
    for one in (read_only, written):
        Meter(MeterSettings(16, 16, 16, 16)).step(one)
    assert len(step.signatures) == 1  # type: ignore[attr-defined]
