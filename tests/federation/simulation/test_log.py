"""The log in memory: an order that everybody reads alike, and block hashes that bind everything before them."""

from medward.federation.records import RoundTick
from medward.federation.simulation.log import MemoryLog


def _log(*entries: tuple[int, str]) -> MemoryLog:
    log = MemoryLog()
    for number, author in entries:
        log.append(RoundTick(number), author)
    return log


def test_records_are_read_in_their_order_from_any_number_on() -> None:
    log = _log((1, "a"), (2, "b"))
    log.time = 9.5
    log.append(RoundTick(3), "c")
    assert len(log) == 3
    assert [(entry.record, entry.author, entry.time, entry.epoch) for entry in log.read(1)] == [
        (RoundTick(2), "b", 0.0, 1),
        (RoundTick(3), "c", 9.5, 2),
    ]
    assert log.read(3) == []


def test_hash_of_a_block_binds_its_record_its_author_and_all_before() -> None:
    logs = [
        _log((1, "a"), (2, "b")),
        _log((1, "a"), (3, "b")),
        _log((1, "a"), (2, "c")),
        _log((1, "x"), (2, "b")),
        _log((2, "b"), (1, "a")),
        _log((2, "b")),
    ]
    last = [log.read(0)[-1].block for log in logs]
    assert len(set(last)) == len(logs)
    assert _log((1, "a"), (2, "b")).read(0)[-1].block == last[0]
