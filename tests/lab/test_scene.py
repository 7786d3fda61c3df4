"""Frames of attacks, put on a wire whose queue may be full."""

import errno
import math

import pytest

from tools.lab.attacks.scene import put


class FullFor:
    """A wire that refuses a number of times with an error before it takes a frame."""

    def __init__(self, times: float, code: int = errno.ENOBUFS) -> None:
        self.times, self.code, self.taken = times, code, []

    def send(self, frame: bytes) -> int:
        if self.times > 0:
            self.times -= 1
            raise OSError(self.code, "no")
        self.taken.append(frame)
        return len(frame)


def test_full_queue_is_waited_for() -> None:
    wire = FullFor(3)
    put(wire, b"frame", math.inf)
    assert wire.taken == [b"frame"]


def test_frame_that_finds_a_full_queue_after_the_end_is_left() -> None:
    wire = FullFor(math.inf)
    put(wire, b"frame", 0.0)
    assert wire.taken == []


def test_other_errors_end_the_attack() -> None:
    with pytest.raises(OSError, match="no"):
        put(FullFor(1, errno.ENETDOWN), b"frame", math.inf)
