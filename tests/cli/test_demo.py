"""`medward demo`: the JSON that others rely on, the files, the refusals."""

import html
import importlib
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medward.cli import _console
from medward.cli._console import QUIET
from medward.errors import BadUsage
from medward.federation.model.shared_model_format import encode_model
from medward.federation.simulation import checkpoint
from medward.federation.simulation.checkpoint import Checkpoint
from medward.federation.simulation.training import FederatedTraining
from medward.ledger.cometbft.process import find_program
from medward.node.trial import earlier_run
from medward.node.trial.earlier_run import MARK
from medward.node.trial.outsourced import OutsourcedTrial
from medward.node.trial.trial import Trial
from medward.store.local import in_memory
from tests.cli.conftest import Run
from tests.store.conftest import kubo_program

SMALL = ("--rows", 4000, "--rounds", 2, "--seed", 1, "--simulate")
#: Of so many rows some hospital has 40 of a class of attacks.
LARGER = ("--rows", 6000, "--rounds", 2, "--seed", 1, "--simulate")


@pytest.mark.slow
def test_document_holds_what_others_rely_on(medward: Run, tmp_path: Path) -> None:
    done = medward("demo", *SMALL, "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    document = done.document
    assert document.keys() >= {
        *("data", "synthetic", "sites", "rounds", "protect", "seed", "metrics", "rounds_log", "expected_cost"),
        *("escalation_rate", "model", "report", "seconds"),
    }
    assert (document["data"], document["synthetic"], document["protect"]) == ("ward", True, "aggregate")
    binary, multiclass = document["metrics"]["binary"], document["metrics"]["multiclass"]
    assert binary.keys() >= {"accuracy", "macro_f1", "attack_recall", "auroc", "false_alarm_rate"}
    assert multiclass.keys() >= {"accuracy", "macro_f1", "per_class_recall"}
    trained = [entry for entry in document["rounds_log"] if entry["task"] == "train"]
    assert len(trained) == 2
    for entry in document["rounds_log"]:
        assert entry.keys() >= {"round", "cohort", "bytes_up", "bytes_down", "seconds"}
        assert len(entry["cohort"]) == 4
        assert entry["bytes_up"] > 0
        assert entry["bytes_down"] > 0
        assert entry["contributions"].keys() == set(entry["cohort"])
        assert entry["answers"].keys() == set(entry["cohort"])
    assert json.loads((tmp_path / "metrics.json").read_text()) == document
    assert "synthetic" in (tmp_path / "report.html").read_text().lower()
    again = medward(*_told_to_run_again(tmp_path), "--out", tmp_path / "again", "--json").document
    assert again["metrics"] == document["metrics"]
    assert again["model_name"] == document["model_name"]


def _told_to_run_again(folder: Path) -> list[str]:
    """Return the command that a report tells its reader to run, up to its folder."""
    page = (folder / "report.html").read_text()
    [words] = re.findall(r"<pre><code>(<span>medward</span> <span>demo</span>.*?)</code></pre>", page)
    command = html.unescape(re.sub(r"<[^>]+>", "", words))
    return shlex.split(command.partition(" --out ")[0])[1:]


@pytest.mark.slow
def test_table_names_the_data_synthetic_and_the_sum_open(medward: Run, tmp_path: Path) -> None:
    done = medward("demo", *SMALL, "--out", tmp_path, "--silent", "hospital-2", "--protect", "none")
    assert done.code == 0
    assert "synthetic" in done.out
    assert "in the open" in done.err


@pytest.mark.slow
def test_protection_changes_no_bit_of_the_model(medward: Run, tmp_path: Path) -> None:
    names = {
        protect: medward("demo", *SMALL, "--out", tmp_path / protect, "--protect", protect, "--json").document
        for protect in ("none", "aggregate")
    }
    assert names["none"]["model_name"] == names["aggregate"]["model_name"]
    assert names["none"]["metrics"] == names["aggregate"]["metrics"]


@pytest.mark.slow
def test_courier_sums_less_often_and_ends_within_its_budget(medward: Run, tmp_path: Path) -> None:
    words = ("demo", *SMALL, "--rounds", 4, "--protect", "none", "--json")
    done = medward(*words, "--out", tmp_path / "every", "--courier", "every:2")
    assert done.code == 0, done.err
    trained = [entry for entry in done.document["rounds_log"] if entry["task"] == "train"]
    assert len(trained) == 2
    assert done.document["options"]["courier"] == "every:2"
    learned = medward(*words, "--out", tmp_path / "learned", "--courier", "learned", "--budget", 25_000_000)
    assert learned.code == 0, learned.err
    assert 1 <= sum(entry["task"] == "train" for entry in learned.document["rounds_log"]) <= 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--courier", "sometimes"), 1, "no policy"),
        (("--budget", 5), 1, "needs a Courier"),
        (("--protect", "outsourced"), 2, "add --closed-form"),
        (("--protect", "outsourced", "--closed-form", "--sites", 5), 2, "takes 3 or 4 hospitals"),
        (("--protect", "outsourced", "--closed-form", "--simulate"), 2, "nothing to resume"),
        (("--protect", "wishes"), 2, "wishes"),
        (("--bits", 32), 1, "32 bits are not offered"),
        (("--partition", "horoscope"), 2, "horoscope"),
        (("--sites", 2), 1, "at least 3"),
        (("--sites", 1025), 1, "1025 contributors do not fit"),
        (("--rounds", 0), 1, "at least 1 round"),
        (("--data", "no-such-thing"), 1, "no-such-thing"),
        (("--resume",), 1, "no checkpoint"),
        (("--silent", "hospital-7"), 1, "hospital-7"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    medward: Run, tmp_path: Path, words: tuple[object, ...], code: int, says: str
) -> None:
    done = medward("demo", *SMALL, "--out", tmp_path, *words)
    assert done.code == code
    assert says in done.sentence
    assert not (tmp_path / "model").exists()


def test_model_in_closed_form_without_features_is_refused(medward: Run, tmp_path: Path) -> None:
    done = medward("demo", *SMALL, "--out", tmp_path, "--closed-form", "--features", 0)
    assert done.code == 2
    assert "greater than or equal to 16" in done.err
    assert not (tmp_path / "model").exists()


def test_more_nodes_than_a_ledger_has_members_are_refused_before_any_starts(medward: Run, tmp_path: Path) -> None:
    done = medward("demo", "--sites", 65, "--protect", "none", "--out", tmp_path)
    assert done.code == 2
    assert "at most 64 members: use at most 64 sites, or --simulate" in done.sentence
    assert not list(tmp_path.iterdir())


def test_run_is_replaced_only_where_the_user_says_so(medward: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = medward("demo", *SMALL, "--out", tmp_path)
    assert done.code == 2
    assert "--force replaces an earlier run in it, --resume goes on" in done.sentence
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.processes
def test_interrupted_demo_says_how_to_go_on(tmp_path: Path) -> None:
    words = ["demo", "--simulate", "--rows", "4000", "--rounds", "50", "--out", str(tmp_path)]
    command = [sys.executable, "-c", "from medward.cli import main; main()", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = (line for line in process.stderr if line.startswith("survey: final"))
        # A round is told before it is kept, so with the second one the first is there to go on from.
        next(told), next(told)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1] == (
        f"medward: stopped; the same command with --resume goes on where this run in {tmp_path} was"
    )


def test_first_line_of_progress_comes_before_the_work(
    medward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So soon that nobody wonders whether the command works, though other commands wait two seconds."""
    told = []

    def open_data(*_: object, **__: object) -> None:
        until = time.monotonic() + 10
        while not (told and told[-1]) and time.monotonic() < until:
            told.append(capsys.readouterr().err)
        raise BadUsage("these data will do")

    monkeypatch.delenv(QUIET)
    monkeypatch.setattr(_console, "_FIRST_SECONDS", 60.0)
    monkeypatch.setattr(importlib.import_module("medward.cli.demo"), "open_data", open_data)
    done = medward("demo", *SMALL, "--out", tmp_path)
    assert "these data will do" in done.err
    assert told[-1].startswith("a federation of 4 hospitals begins (")


def _quiet(*_: object) -> None:
    return


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


RESUME = "the same command with --resume goes on where this run in {} was"
ANEW = "nothing in {} can be resumed: the same command with --force begins anew"


@pytest.fixture
def stores_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's store is one process's until that ends, and here several runs of a folder share a process."""
    monkeypatch.setattr("medward.federation.simulation.training.open_directory", lambda _: in_memory())


@pytest.fixture
def interrupted(medward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that runs a demo, which is interrupted, and returns the clause on what to do then."""
    # The real one would end the tests.
    monkeypatch.setattr("os._exit", sys.exit)

    def run(*words: object) -> str:
        done = medward("demo", "--rows", 4000, "--rounds", 2, "--out", tmp_path, *words)
        assert done.code == 130, done.err
        start, _, clause = done.err.splitlines()[-1].partition("; ")
        assert start == "medward: stopped"
        return clause.replace(str(tmp_path), "{}")

    return run


@pytest.mark.usefixtures("stores_of_their_own")
def test_simulation_without_a_checkpoint_is_begun_anew(
    interrupted: Callable[..., str], medward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--simulate", "--protect", "none")
    monkeypatch.setattr(FederatedTraining, "run", _interrupt)
    assert interrupted(*words) == ANEW
    # What is not advised is refused, and what is advised works.
    refused = medward("demo", "--rows", 4000, "--rounds", 2, "--out", tmp_path, *words, "--resume")
    assert (refused.code, "no checkpoint to resume: start with --force" in refused.sentence) == (1, True)
    assert interrupted(*words, "--force") == ANEW


@pytest.mark.usefixtures("stores_of_their_own")
def test_simulation_with_a_checkpoint_is_resumed_and_a_new_one_never_from_it(
    interrupted: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--simulate", "--protect", "none")

    def run(self: FederatedTraining, folder: Path, *_: object) -> None:
        state = Checkpoint(self.options.text(), [], [None] * 4, encode_model(self.shared))
        checkpoint.save(state, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(FederatedTraining, "run", run)
    assert interrupted(*words) == RESUME
    monkeypatch.setattr(FederatedTraining, "run", _interrupt)
    assert interrupted(*words, "--resume") == RESUME
    assert interrupted(*words, "--force") == ANEW


def test_nodes_are_resumed_once_all_have_homes(
    interrupted: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trial, "run", _interrupt)
    assert interrupted() == RESUME
    assert interrupted("--resume") == RESUME
    # As a run leaves it that is interrupted while it makes the homes.
    (tmp_path / MARK).unlink()
    (tmp_path / "node-hospital-4" / "federation.json").unlink()
    monkeypatch.setattr(earlier_run, "make_room", _quiet)
    monkeypatch.setattr(Trial, "found", _interrupt)
    assert interrupted() == "nothing in {} can be resumed: name another folder with --out to begin anew"


def test_demo_on_encrypted_rows_is_begun_anew(interrupted: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--closed-form", "--protect", "outsourced", "--sites", 3)
    monkeypatch.setattr(OutsourcedTrial, "run", _interrupt)
    assert interrupted(*words) == ANEW
    assert interrupted(*words, "--force") == ANEW


@pytest.mark.slow
@pytest.mark.usefixtures("stores_of_their_own")
def test_finished_run_is_resumed_without_a_round_and_its_report_is_written_anew(medward: Run, tmp_path: Path) -> None:
    words = ("demo", *LARGER, "--closed-form", "--features", 16, "--protect", "none", "--out", tmp_path, "--json")
    first = medward(*words)
    assert first.code == 0, first.err
    # As if the run had been killed after its last round.
    (tmp_path / "report.html").unlink()
    again = medward(*words, "--resume")
    assert again.code == 0, again.err
    assert f"the run in {tmp_path} is finished: its report is written anew" in again.err
    assert again.document["model_name"] == first.document["model_name"]
    assert again.document["rounds_log"] == first.document["rounds_log"]
    assert (tmp_path / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "least"),
    [
        ("wustl-ehms-2020", 0.75),
        pytest.param("x-iomt-subset", 0.93, marks=pytest.mark.release),
        pytest.param("ciciomt2024-wifi-mqtt-subset", 0.88, marks=pytest.mark.release),
    ],
)
def test_three_rounds_on_real_data_reach_a_floor(
    medward: Run, tmp_path: Path, data_folder: Path, folder: str, least: float
) -> None:
    done = medward("demo", "--data", data_folder / folder, "--rounds", 3, "--simulate", "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    assert not done.document["synthetic"]
    assert done.document["metrics"]["binary"]["macro_f1"] >= least


def _troubles(folder: Path) -> list[str]:
    """Return what the nodes of a demo logged as more than news."""
    lines = [line for log in sorted(folder.glob("node-*/log/node.jsonl")) for line in log.read_text().splitlines()]
    return [line for line in lines if json.loads(line)["level"] != "info"]


@pytest.mark.processes
@pytest.mark.parametrize(
    "courier",
    [
        pytest.param((), marks=pytest.mark.release, id="every round"),
        pytest.param(("--courier", "learned"), id="courier"),
    ],
)
def test_four_nodes_train_the_model_that_a_simulation_trains(
    medward: Run, tmp_path: Path, courier: tuple[str, ...]
) -> None:
    words = ("demo", "--rows", 4000, "--rounds", 2, "--seed", 1, *courier, "--json")
    nodes = medward(*words, "--out", tmp_path / "nodes")
    assert nodes.code == 0, nodes.err
    simulated = medward(*words, "--out", tmp_path / "simulated", "--simulate")
    assert nodes.document["model_name"] == simulated.document["model_name"]
    assert nodes.document["metrics"] == simulated.document["metrics"]
    for entry in nodes.document["rounds_log"]:
        assert entry["outcome"] == "final"
        assert len(entry["contributions"]) == 4
        taken = entry["seconds"].keys()
        assert taken >= {"train", "encrypt", "check", "share", "store", "order"}, (entry, _troubles(tmp_path / "nodes"))
    for name in ("hospital-1", "hospital-4"):
        home = tmp_path / "nodes" / f"node-{name}"
        assert (home / "store" / "blocks").is_dir()
        assert (home / "ledger").is_dir()
    written = json.loads((tmp_path / "nodes" / "model" / "model.json").read_text())
    assert written["provenance"]["shared_model"] == nodes.document["rounds_log"][-1]["model"]


@pytest.mark.engines
@pytest.mark.skipif(find_program() is None, reason="no CometBFT here: .ci/cometbft builds it where there is Go")
def test_four_nodes_on_kubo_and_cometbft_train_the_same_model(
    medward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDWARD_KUBO", str(kubo_program()))
    words = ("demo", "--rows", 4000, "--rounds", 1, "--seed", 1, "--json")
    nodes = medward(*words, "--out", tmp_path / "nodes", "--store", "kubo", "--ledger", "cometbft")
    assert nodes.code == 0, nodes.err
    simulated = medward(*words, "--out", tmp_path / "simulated", "--simulate")
    assert nodes.document["model_name"] == simulated.document["model_name"]
    for entry in nodes.document["rounds_log"]:
        assert entry["outcome"] == "final"
        assert len(entry["contributions"]) == len(entry["answers"]) == 4
        assert entry["bytes_up"] > 0
    assert medward("audit", "--home", tmp_path / "nodes").code == 0


def test_hospitals_with_too_few_rows_are_refused_before_a_node_starts(medward: Run, tmp_path: Path) -> None:
    done = medward("demo", "--rows", 1500, "--sites", 3, "--closed-form", "--out", tmp_path / "out")
    assert done.code == 1
    assert "hospital-1: Different labelled rows" in done.sentence
    assert not list(tmp_path.glob("out/node-*"))


@pytest.mark.slow
def test_model_in_closed_form_is_made_in_one_round(medward: Run, tmp_path: Path) -> None:
    words = ("demo", *LARGER, "--closed-form", "--features", 64, "--protect", "none", "--json")
    done = medward(*words, "--out", tmp_path / "first")
    assert done.code == 0, done.err
    assert [entry["task"] for entry in done.document["rounds_log"]] == ["survey"] * 3 + ["gram"]
    assert done.document["rounds"] == 1
    assert "1 of 1 training round" in (tmp_path / "first" / "report.html").read_text()
    again = medward(*_told_to_run_again(tmp_path / "first"), "--out", tmp_path / "again", "--json")
    assert again.document["model_name"] == done.document["model_name"]


@pytest.mark.processes
def test_four_nodes_make_the_model_in_closed_form_of_a_simulation_and_the_audit_finds_it(
    medward: Run, tmp_path: Path
) -> None:
    words = ("demo", "--rows", 6000, "--seed", 1, "--closed-form", "--features", 64, "--json")
    nodes = medward(*words, "--out", tmp_path / "nodes")
    assert nodes.code == 0, nodes.err
    simulated = medward(*words, "--out", tmp_path / "simulated", "--simulate", "--protect", "none")
    pair = [json.loads((tmp_path / way / "model" / "model.json").read_text()) for way in ("nodes", "simulated")]
    assert pair[0]["weights"] == pair[1]["weights"] == simulated.document["model_name"]
    audit = medward("audit", "--home", tmp_path / "nodes", "--json")
    assert audit.code == 0, audit.out + audit.err


@pytest.mark.processes
def test_demo_on_encrypted_rows_is_signed_and_the_audit_checks_all_that_it_wrote(medward: Run, tmp_path: Path) -> None:
    words = ("demo", "--closed-form", "--protect", "outsourced", "--sites", 3, "--rows", 6000, "--json")
    done = medward(*words, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    (task,) = done.document["tasks_log"]
    assert set(task["rows"]) == {"hospital-1", "hospital-2", "hospital-3"}
    assert "1 task on encrypted rows" in (tmp_path / "out" / "report.html").read_text()
    found = medward("audit", "--home", tmp_path / "out", "--json")
    assert found.code == 0, found.out + found.err
    checked = found.document["checks"]["demo"]["checked"]
    assert (checked["signatures"], checked["tasks"], checked["model files"], checked["pages"]) == (3, 1, 2, 1)
    beside = [one["path"] for one in found.document["unchecked"] if not one["path"].startswith("node-")]
    assert beside == []
