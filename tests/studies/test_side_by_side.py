"""Runs side by side: the same numbers as one after the other, resumed after a kill, and every failure told."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info

from medward.errors import MedwardError
from medward.flows.datasets import DATASETS, Dataset, ward
from medward.flows.schema import Flows
from medward.studies.side_by_side import ONE_THREAD, Source, _hired, run_studies
from medward.studies.study import Study

ROOT = Path(__file__).parents[2]
ROWS = 2000
Load = Callable[[int], tuple[Dataset, Flows]]


def _small(seed: int) -> tuple[Dataset, Flows]:
    return DATASETS["ward"], ward.generate(ROWS, seed)


def _refused(seed: int) -> tuple[Dataset, Flows]:
    if seed == 1:
        raise MedwardError("The ward is closed.")
    return _small(seed)


def _broken(seed: int) -> tuple[Dataset, Flows]:
    if seed == 1:
        raise ZeroDivisionError("two\nlines")
    return _small(seed)


def _deadly(seed: int) -> tuple[Dataset, Flows]:
    if seed == 1:
        os._exit(7)
    return _small(seed)


def _telling(told: Path, seed: int) -> tuple[Dataset, Flows]:
    """Tell what a worker was started with, and how many threads linear algebra and OpenMP have in it."""
    pools = [pool["num_threads"] for pool in threadpool_info()]
    told.write_text(json.dumps({**{name: os.environ.get(name) for name in ONE_THREAD}, "pool": max(pools)}))
    return _small(seed)


def _slow(pids: Path, seed: int) -> tuple[Dataset, Flows]:
    """Tell which process works, and take time enough to be killed in."""
    (pids / str(os.getpid())).touch()
    time.sleep(1.0)
    return _small(seed)


def _run(results: Path | None, jobs: int, seeds: int, methods: list[str], load: Load = _small) -> list[dict[str, Any]]:
    study = Study("honest", range(seeds), methods, quick=True, results=results)
    return run_studies(study, [Source(DATASETS["ward"], ROWS, load)], jobs, lambda run: None)["ward"]


def _numbers(run: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in run.items() if "seconds" not in name}


def _kept(results: Path) -> dict[str, dict[str, Any]]:
    runs = [json.loads(line) for line in results.read_text().splitlines()]
    assert len({run["key"] for run in runs}) == len(runs)
    return {run["key"]: _numbers(run) for run in runs}


@pytest.mark.slow
def test_numbers_and_order_are_the_same_whatever_the_number_of_workers(tmp_path: Path) -> None:
    methods = ["Sentinel, pooled", "logistic regression", "random forest"]
    one, two = (_run(tmp_path / f"{jobs}.jsonl", jobs, 2, methods) for jobs in (1, 2))
    assert [(run["seed"], run["method"]) for run in one] == [(seed, name) for seed in (0, 1) for name in methods]
    assert [_numbers(run) for run in two] == [_numbers(run) for run in one]
    assert _kept(tmp_path / "2.jsonl") == _kept(tmp_path / "1.jsonl") == {run["key"]: _numbers(run) for run in one}


@pytest.mark.slow
def test_workers_use_one_thread_whatever_the_number_of_cores(tmp_path: Path) -> None:
    _run(None, 1, 1, ["majority"], partial(_telling, tmp_path / "told"))
    assert json.loads((tmp_path / "told").read_text()) == {**dict.fromkeys(ONE_THREAD, "1"), "pool": 1}
    assert "NPROC" not in os.environ


@pytest.mark.slow
def test_killed_study_leaves_no_workers_and_goes_on_where_it_was(tmp_path: Path) -> None:
    results, pids = tmp_path / "runs.jsonl", tmp_path / "pids"
    pids.mkdir()
    code = f"import tests.studies.test_side_by_side as t; from pathlib import Path; t._slowly({str(tmp_path)!r})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent:
        until = time.monotonic() + 120
        while len(list(pids.iterdir())) < 2 or not results.exists() or results.read_text().count("\n") < 2:
            assert parent.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        parent.send_signal(signal.SIGTERM)
    workers = [int(path.name) for path in pids.iterdir()]
    assert len(workers) == 2
    while any(map(_alive, workers)):
        assert time.monotonic() < until
        time.sleep(0.05)
    before = _kept(results)
    assert 2 <= len(before) < 8
    runs = _run(results, 2, 4, ["majority", "logistic regression"])
    assert len(runs) == 8
    assert before.items() <= _kept(results).items()
    assert [_numbers(run) for run in runs] == [
        _numbers(run) for run in _run(None, 1, 4, ["majority", "logistic regression"])
    ]


def _slowly(folder: str) -> None:
    """What the test above kills."""
    load = partial(_slow, Path(folder) / "pids")
    _run(Path(folder) / "runs.jsonl", 2, 4, ["majority", "logistic regression"], load)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended may wait for somebody to ask for its exit code.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(") ")[2][0] != "Z"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "why"),
    [
        (_refused, "The ward is closed"),
        (_broken, "ZeroDivisionError: two lines"),
        (_deadly, "the worker process ended with exit code 7 before its run did"),
    ],
)
def test_failure_is_one_sentence_and_all_other_runs_are_made(tmp_path: Path, load: Load, why: str) -> None:
    results = tmp_path / "runs.jsonl"
    with pytest.raises(MedwardError) as caught:
        _run(results, 1, 3, ["majority"], load)
    assert str(caught.value) == f"ward, seed 1, majority: {why}; finished runs are kept in {results}."
    assert set(_kept(results)) == {f"ward|honest|quick|{seed}|majority" for seed in (0, 2)}


@pytest.mark.slow
def test_several_failures_are_counted(tmp_path: Path) -> None:
    with pytest.raises(MedwardError) as caught:
        _run(None, 1, 2, ["majority", "logistic regression"], _refused)
    assert str(caught.value) == "ward, seed 1, majority: The ward is closed; 1 more of 4 runs failed."


@pytest.mark.slow
def test_worker_without_more_to_do_ends_in_silence() -> None:
    connection, process = _hired()
    connection.close()
    process.join(600)
    assert process.exitcode == 0  # an EOFError that nobody catches leaves 1
