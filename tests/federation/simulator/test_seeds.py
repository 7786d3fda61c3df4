"""Federations from seeds; `python -m tests.federation.simulator.scenario SEED` replays one that failed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.federation.simulator.checker import isolated
from tests.federation.simulator.liars import LIES
from tests.federation.simulator.scenario import run_seed
from tests.ledger.simulator.checker import Violation

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "benchmarks" / "federation" / "results" / "federation-campaign.json"
#: With one liar too many a promise is broken within so many seeds.
WITHIN = 200


@pytest.mark.parametrize(
    "first",
    [
        0,
        pytest.param(4, marks=pytest.mark.slow),
        *(pytest.param(first, marks=pytest.mark.release) for first in (8, 12)),
    ],
)
def test_no_seed_breaks_a_promise_of_the_federation(first):
    for seed in range(first, first + 4):
        assert run_seed(seed).height > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "last"),
    [(16, 23), *(pytest.param(*seeds, marks=pytest.mark.release) for seeds in ((24, 31), (32, 65), (66, 115)))],
)
def test_no_seed_of_the_longer_run_breaks_a_promise_of_the_federation(first, last):
    for seed in range(first, last + 1):
        assert run_seed(seed).height > 0


@pytest.mark.slow
@pytest.mark.parametrize("lie", sorted(LIES))
def test_f_members_with_any_lie_are_survived(lie):
    outcome = run_seed(1, 4, lie)
    assert lie in outcome.liars


def _broken(lie):
    """Return the first promise that f+1 of four break with a lie, within the number of seeds that is allowed."""
    for seed in range(WITHIN):
        try:
            run_seed(seed, 4, lie, extra_liars=1)
        except Violation as violation:
            return str(violation)
    return "none"


@pytest.mark.parametrize(
    ("lie", "promise"),
    [
        ("usurper", "although no honest member wanted it"),
        ("forger", "is none that the sum leads to"),
        ("slanderer", "which is honest, is at fault"),
        pytest.param(
            "crooked dealer", "dealt wrongly for everybody|which is honest, is at fault", marks=pytest.mark.slow
        ),
        pytest.param("mute", "deadlines: round", marks=pytest.mark.slow),
        pytest.param("leaver", "although no honest member wanted it", marks=pytest.mark.slow),
    ],
)
def test_one_liar_too_many_breaks_a_promise(lie, promise):
    broken = _broken(lie)
    assert any(part in broken for part in promise.split("|")), broken


@pytest.mark.slow
def test_a_printed_seed_of_a_federation_replays_the_same_run_bit_for_bit():
    def fingerprint(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.federation.simulator.scenario", "44"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first = fingerprint("1")
    assert "fingerprint" in first
    assert first == fingerprint("2")
    assert run_seed(45).fingerprint not in first


def test_isolated_groups_are_found():
    whole = frozenset("abcdefg")
    assert isolated({whole}, 5) == 0
    assert isolated({whole, whole - {"a"}}, 5) == 1
    assert isolated({whole, frozenset("abc") | {"x", "y"}}, 3) == 0
    # Any two of these tell of three or more, and all three together of one.
    assert isolated({whole, frozenset("abc"), frozenset("def")}, 3) == 1


def test_the_kept_campaign_of_federations_is_whole_and_found_no_violation():
    result = json.loads(KEPT.read_text(encoding="utf-8"))
    first, last = result["seeds"]
    assert last - first + 1 >= 5000
    assert result["violations"] == []
    assert sum(result["runs by members"].values()) == last - first + 1
    assert set(LIES) | {"nobody", "clock still"} <= set(result["runs by liar"])
    assert {"final", "void", "rolled back"} <= set(result["rounds"])
    assert result["changes of members"] > 0
    assert result["audits of answers"] > 0
    assert result["shows"] > 0
