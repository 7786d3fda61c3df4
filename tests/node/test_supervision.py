"""What happens when a part crashes, and what the log says of it."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from medward.ledger.errors import JournalRolledBack
from medward.node.errors import NodeError, Retired
from medward.node.logs import start_logging
from medward.node.supervision import Restarts, keep_running, run_once, sentence


def test_a_crashed_part_runs_again_until_it_ends_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    async def part() -> None:
        calls.append(1)
        if len(calls) < 4:
            raise RuntimeError("out of\nluck")

    restarts = Restarts()
    asyncio.run(keep_running("the part", part, restarts, pause=(0.001, 0.002)))
    assert len(calls) == 4
    assert restarts.counts == {"the part": 3}
    [first, *_] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert first.getMessage().startswith("the part crashed: a defect, RuntimeError: out of luck; starting it again")


def test_a_part_whose_keys_are_retired_is_not_tried_again() -> None:
    calls: list[int] = []

    async def part() -> None:
        calls.append(1)
        raise Retired("newer keys took the place of these")

    with pytest.raises(Retired):
        asyncio.run(keep_running("the part", part, Restarts(), pause=(0.001, 0.002)))
    assert len(calls) == 1


def test_a_part_that_must_not_run_twice_stops_the_node_in_one_sentence() -> None:
    async def defect() -> None:
        raise ZeroDivisionError("division by zero")

    async def rolled_back() -> None:
        raise JournalRolledBack("the journal ends early")

    with pytest.raises(NodeError, match="the ledger crashed: a defect, ZeroDivisionError: division by zero; the node"):
        asyncio.run(run_once("the ledger", defect))
    with pytest.raises(JournalRolledBack, match="the journal ends early"):
        asyncio.run(run_once("the ledger", rolled_back))


def test_a_person_can_tell_a_mistake_from_a_defect() -> None:
    assert sentence(NodeError("the disk\nis full")) == "the disk is full"
    assert sentence(KeyError()) == "a defect, KeyError"


@pytest.fixture
def fresh_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)


@pytest.mark.usefixtures("fresh_root")
def test_no_secret_reaches_a_log_not_even_in_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(tmp_path / "log" / "node.jsonl", "info", 3, ["hunter2-token"])
    log = logging.getLogger("medward.node")
    log.info("the token is %s", "hunter2-token")
    try:
        raise ValueError("refused hunter2-token")
    except ValueError:
        log.exception("something broke")
    log.debug("not shown at this level")
    entries = [json.loads(line) for line in (tmp_path / "log" / "node.jsonl").read_text().splitlines()]
    assert [entry["level"] for entry in entries] == ["info", "error"]
    assert entries[0]["message"] == "the token is [secret]"
    assert "ValueError: refused [secret]" in entries[1]["traceback"]
    shown = capsys.readouterr().err
    assert "hunter2" not in shown + str(entries)
    assert "the token is [secret]" in shown
    assert "Traceback" not in shown
