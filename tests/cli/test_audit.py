"""`medward audit`: what it prints, the page it writes, its exit codes, and what it refuses."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from medward.audit.homes import Audit, MakePage, audit
from medward.cli import _console
from medward.cli._console import QUIET
from medward.errors import printable
from medward.node.home.folder import Home
from tests.audit.computing.homes import ScoringHomes
from tests.audit.demo_folder import copied_homes, written_demo
from tests.audit.homes import altered, found_homes, one_byte_altered
from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo."""
    made = tmp_path_factory.mktemp("audited")
    homes: dict[str, Home] = found_homes(made / "homes")
    out = made / "out"
    out.mkdir()
    written_demo(copied_homes(homes, out), out)
    return out


@pytest.mark.slow
def test_page_is_filed_and_lines_say_what_was_not_checked(medward: Run, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    done = medward("audit", "--home", folder, "--round", 0, "--report", page)
    assert done.code == 0, done.out + done.err
    lines = done.out.splitlines()
    assert lines[-1].startswith("verdict  sound")
    assert [line for line in lines if line.startswith("not checked  ledger/keys/ in 4 homes: ")]
    assert next(line for line in lines if line.startswith("demo")).endswith("all hold")
    text = page.read_text()
    assert f"{datetime.now(UTC):%B %Y}" in text
    assert "Sound: everything that was checked holds" in text
    assert "could also sign other files" in text


@pytest.mark.slow
def test_altered_document_ends_with_one_and_json_tells_where(medward: Run, folder: Path) -> None:
    file = folder / "report.html"
    with altered(file, one_byte_altered(file.read_bytes(), 2000)):
        done = medward("audit", "--home", folder, "--round", 0, "--json")
    assert done.code == 1
    assert done.document["checks"]["demo"]["problems"]
    assert done.document["demo"]["signed_by"] == list(done.document["homes"])
    assert {one["path"] for one in done.document["unchecked"]} >= {"hospital-1/token"}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The homes of a federation that scored a batch."""
    homes = ScoringHomes(tmp_path_factory.mktemp("scored") / "homes")
    homes.score()
    return homes.write()


def test_audit_says_what_it_checks_while_it_checks_it(
    medward: Run, scored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    def slow_audit(home: Path, only: int | None, said: Callable[[str], None], page: MakePage) -> Audit:
        """Audit, but wait at every step for its line of progress."""

        def said_and_heard(what: str) -> None:
            said(what)
            until, line = time.monotonic() + 10, ""
            while f"checking {what} (" not in line:
                assert time.monotonic() < until, f"nothing was told of {what}"
                line += capsys.readouterr().err
            told.append(what)

        return audit(home, only, said_and_heard, page)

    monkeypatch.setattr("medward.audit.homes.audit", slow_audit)
    monkeypatch.delenv(QUIET)
    for name in ("_FIRST_SECONDS", "_TELL_SECONDS", "_LOOK_SECONDS"):
        monkeypatch.setattr(_console, name, 0.01)
    assert medward("audit", "--home", scored).code == 0
    assert told[:2] == ["the ledger and the blocks of the stores", "the store"]
    assert "the batches: 1" in told


def test_federation_that_computes_is_audited_by_its_own_groups(medward: Run, scored: Path, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    done = medward("audit", "--home", scored, "--report", page)
    assert done.code == 0, done.out + done.err
    lines = [line for line in done.out.splitlines() if not line.startswith(("not checked", "remark"))]
    assert [line.split()[0] for line in lines[1:]] == ["files", "ledger", "store", "batches", "verdict"]
    assert lines[4] == (
        "batches 1 batches under 2 keys: 1 computed anew, 2 results of members and 1 opened parts compared: all hold"
    )
    assert "Are the encrypted scores what follows" in page.read_text()


@pytest.mark.slow
def test_homes_without_a_demo_have_nothing_to_check_of_one(medward: Run, folder: Path) -> None:
    done = medward("audit", "--home", folder / "hospital-1", "--round", 0)
    assert done.code == 0
    [line] = [line for line in done.out.splitlines() if line.startswith("demo")]
    assert line == "demo    nothing to check"


@pytest.mark.parametrize(
    ("name", "says"),
    [("audit.pdf", "end its name with .html"), ("gone/audit.html", "a folder that is there"), ("in/a.html", "outside")],
)
def test_page_that_cannot_be_written_is_refused_at_once(medward: Run, tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "in").mkdir()
    done = medward("audit", "--home", tmp_path / "in", "--report", tmp_path / name)
    assert done.code == 2
    assert says in done.sentence


def test_no_home_is_one_sentence(medward: Run, tmp_path: Path) -> None:
    done = medward("audit", "--home", tmp_path)
    assert done.code == 1
    assert "no node.toml" in done.sentence


def test_text_of_others_is_one_printable_line() -> None:
    assert printable("Spital Süd – 病院") == "Spital Süd – 病院"
    assert printable("a\nb\x1b[2J\u202e\udcff") == "a\\nb\\x1b[2J\\u202e\\udcff"
