"""A node's logs: no secret in either, one line for each event, and no line lost for the letters in it."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medward.node.logs import start_logging

TOKEN = "a-token_that.nobody-may-read"


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The package's logger; the handlers that a test adds go with it."""
    root, medward = logging.getLogger(), logging.getLogger("medward")
    before, levels = list(root.handlers), (root.level, medward.level, logging.getLogger("asyncio").level)
    yield medward
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()
    for logger, level in zip((root, medward, logging.getLogger("asyncio")), levels, strict=True):
        logger.setLevel(level)


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_secret_appears_in_no_log_not_even_in_a_traceback(
    tmp_path: Path, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(tmp_path / "log" / "node", "info", 2, [TOKEN, ""])
    log.warning("called with %s", TOKEN)
    try:
        raise ValueError(f"Bearer {TOKEN}")
    except ValueError:
        log.exception("a defect")
    shown, kept = capsys.readouterr().err, (tmp_path / "log" / "node").read_text()
    assert TOKEN not in shown + kept
    assert "called with [secret]" in shown
    assert "called with [secret]" in kept
    first, second = entries(tmp_path / "log" / "node")
    assert (first["level"], first["part"]) == ("warning", "medward")
    assert "ValueError: Bearer [secret]" in second["traceback"]
    assert "Traceback" not in shown


def test_text_of_others_makes_no_line_of_its_own_and_moves_no_cursor(
    tmp_path: Path, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(tmp_path / "node", "info", 2, [])
    log.warning("refused %s", "x\n12:00:00 error   forged\x1b[2J\u202e")
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert shown.rstrip("\n").isprintable()
    assert len(entries(tmp_path / "node")) == 1


def test_name_that_is_no_unicode_costs_no_line(
    tmp_path: Path, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    # What pytest keeps of the log goes from a worker to its parent, which takes Unicode alone.
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: "capture-" not in record.getMessage())
    start_logging(tmp_path / "node", "info", 2, [])
    log.warning("cannot read %s", b"capture-\xff.pcap".decode(errors="surrogateescape"))
    assert "capture-" in entries(tmp_path / "node")[0]["message"]
    assert "Logging error" not in capsys.readouterr().err


def test_level_is_that_of_the_configuration_and_others_are_quieter(tmp_path: Path, log: logging.Logger) -> None:
    start_logging(tmp_path / "node", "warning", 2, [])
    log.info("not kept")
    logging.getLogger("another.library").info("not kept either")
    log.warning("kept")
    assert [entry["message"] for entry in entries(tmp_path / "node")] == ["kept"]


def test_folder_of_the_log_is_its_owner_s(tmp_path: Path, log: logging.Logger) -> None:
    assert log.name == "medward"
    start_logging(tmp_path / "log" / "node", "info", 2, [])
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0
