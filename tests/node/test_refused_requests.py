"""Who is turned away at a port leaves a line in the log: not one for each knock, and nothing of its own choosing."""

import logging
import re

import pytest

from medward.node.refused_requests import RefusedRequests


def test_knocks_are_counted_and_the_log_stays_short(caplog: pytest.LogCaptureFixture) -> None:
    away = RefusedRequests()
    for number in range(1000):
        away.at("ledger")("a knock", f"number {number}")
    away.at("ledger")("another reason has lines of its own", "")
    away.at("store")("another port has lines of its own", "")
    assert away.counts == {
        ("ledger", "a knock"): 1000,
        ("ledger", "another reason has lines of its own"): 1,
        ("store", "another port has lines of its own"): 1,
    }
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert 1 <= len([line for line in lines if "knock" in line]) <= 6
    assert len([line for line in lines if "of its own" in line]) == 2


def test_what_was_not_said_is_told_with_the_next_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, now = RefusedRequests(), 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for _ in range(20):
        away.at("ledger")("a knock", "at the door")
    before = len(caplog.records)
    now = 120.0
    away.at("ledger")("a knock", "at the door")
    assert caplog.records[-1].getMessage().endswith(f"and {20 - before} more before")


def test_a_caller_cannot_write_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    RefusedRequests().at("store")("a knock", "bad\nreason\x1b[31m" + "x" * 5000)
    [record] = caplog.records
    assert re.fullmatch(r"[ -~]{1,300}", record.getMessage())
