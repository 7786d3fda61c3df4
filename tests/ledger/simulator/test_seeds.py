"""Some hundreds of scenarios from seeds; `python -m tests.ledger.simulator.scenario SEED` replays one that failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medward.ledger.bank import Deposit
from medward.ledger.membership import tolerated_faults
from tests.ledger.simulator.behaviours import BEHAVIOURS
from tests.ledger.simulator.checker import Violation
from tests.ledger.simulator.scenario import run_seed
from tests.ledger.simulator.siege import run_siege
from tests.ledger.simulator.world import World

ROOT = Path(__file__).parents[3]


def _in_fives(slow, last):
    """The seeds of the fast tests, those that the slow ones go on with, and the others, before a release."""
    slower = [pytest.param(first, marks=pytest.mark.slow) for first in range(5, slow, 5)]
    return [0, *slower, *(pytest.param(first, marks=pytest.mark.release) for first in range(slow, last, 5))]


@pytest.mark.parametrize("first", _in_fives(45, 80))
def test_no_seed_violates_an_invariant(first):
    for seed in range(first, first + 5):
        assert run_seed(seed).height > 0


@pytest.mark.parametrize("first", _in_fives(20, 30))
def test_no_siege_violates_an_invariant(first):
    for seed in range(first, first + 5):
        assert run_siege(seed).height > 0


@pytest.mark.release
@pytest.mark.parametrize("first", [30, 55, 80, 105])
def test_no_siege_of_the_longer_run_violates_an_invariant(first):
    for seed in range(first, first + 25):
        assert run_siege(seed).height > 0


@pytest.mark.release
@pytest.mark.parametrize("first", range(80, 280, 25))
def test_no_seed_of_the_longer_run_violates_an_invariant(first):
    for seed in range(first, first + 25):
        assert run_seed(seed).height > 0


@pytest.mark.parametrize("seed", [933, 1303])
def test_a_view_change_shown_to_one_replica_alone_strands_nobody(seed):
    # A twin completed the quorum of one replica, which went on to the next view and left the others one short.
    run_seed(seed)


@pytest.mark.parametrize("seed", [133, 2177])
def test_restarts_around_the_end_of_an_epoch_hold_nobody_up(seed):
    # Replicas that executed the end of an epoch before they might vote again never signed it, and all waited for them.
    run_seed(seed)


@pytest.mark.parametrize(
    "runs", [((1, 4), (2, 5)), pytest.param(((3, 7), (4, 4)), marks=pytest.mark.slow)], ids=["fewer", "more"]
)
@pytest.mark.parametrize("kind", sorted(BEHAVIOURS))
def test_f_liars_of_every_kind_are_survived(kind, runs):
    for seed, members in runs:
        outcome = run_seed(seed, members, kind)
        assert outcome.liars == (kind,) * ((members - 1) // 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(BEHAVIOURS))
def test_f_liars_of_every_kind_are_survived_by_ten(kind):
    for seed in (5, 6):
        run_seed(seed, 10, kind)


@pytest.mark.parametrize("members", [4, 7, 10])
def test_with_one_liar_too_many_the_checker_finds_a_fork(members):
    world = World(1, members)
    for name in sorted(world.nodes)[: tolerated_faults(members) + 1]:
        world.nodes[name].behaviour = BEHAVIOURS["colluder"]()
    client = world.add_client("client", [Deposit("a", 1) for _ in range(10)])
    world.issue(client)
    with pytest.raises(Violation, match="agreement"):
        world.run(20_000)


def test_with_one_liar_too_many_random_scenarios_find_forks_too():
    found = 0
    for seed in range(8):
        try:
            run_seed(seed, 4, "colluder", extra_liars=1)
        except Violation as violation:
            found += "agreement" in str(violation)
    assert found >= 1


def test_with_one_plotter_too_many_a_siege_finds_a_fork():
    for seed in range(40):
        try:
            run_siege(seed, 4, extra_liars=1)
        except Violation as violation:
            if "agreement" in str(violation):
                return
    raise AssertionError("no fork in 40 seeds")


def test_with_one_silent_member_too_many_nothing_is_decided():
    with pytest.raises(Violation, match="liveness"):
        run_seed(1, 4, "silent", extra_liars=1)


def test_a_printed_seed_replays_the_same_run_bit_for_bit():
    def fingerprint(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.ledger.simulator.scenario", "44"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first = fingerprint("1")
    assert "fingerprint" in first
    assert first == fingerprint("2")
    assert run_seed(45).fingerprint not in first
