"""What a node has kept already, it does not reckon again when it comes back."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medward.agents.sentinel.model import load_model
from medward.node.training.outcomes import Outcomes
from medward.node.training.round_history import RoundHistory
from tests.node.training.test_model_folder import ModelFolder, SentinelModel, model, of_round
from tests.node.training.test_participant import Part

__all__ = ["model"]


def state_after(number: int, shared_model: str) -> Any:
    """The part of the ledger's state that is looked at, when a round is over."""
    return SimpleNamespace(model=shared_model, round=SimpleNamespace(number=number, over=True))


@pytest.fixture
def home(tmp_path: Path, model: SentinelModel) -> Path:
    """A home whose node kept the model of round 3 and the rounds until then."""
    ModelFolder(tmp_path / "model").replace(of_round(model, 3))
    RoundHistory(tmp_path).add([{"round": number, "outcome": "final"} for number in range(4)])
    return tmp_path


def outcomes(home: Path) -> Outcomes:
    return Outcomes(SimpleNamespace(), RoundHistory(home), home / "model")  # type: ignore[arg-type]


def test_restarted_node_that_kept_everything_lacks_nothing(home: Path) -> None:
    assert not outcomes(home).lack(state_after(3, "m3"))


@pytest.mark.parametrize(("number", "shared_model"), [(4, "m3"), (3, "m4"), (4, "m4")])
def test_what_came_while_it_was_away_is_lacking(home: Path, number: int, shared_model: str) -> None:
    assert outcomes(home).lack(state_after(number, shared_model))


def test_model_without_its_round_and_round_without_its_model_are_lacking(home: Path, model: SentinelModel) -> None:
    (home / "rounds.jsonl").write_bytes((home / "rounds.jsonl").read_bytes()[:-3])
    assert outcomes(home).lack(state_after(3, "m3"))
    (home / "model").unlink()
    assert outcomes(home).lack(state_after(2, "m3"))


def test_age_of_the_last_final_round_and_of_the_model_and_its_measures_are_told(home: Path) -> None:
    RoundHistory(home).add(
        [
            {"round": 4, "outcome": "final", "task": "train", "ended": 1000.0, "validation": {"rows": 9}},
            {"round": 5, "outcome": "void", "task": "train", "ended": 1010.0},
            {"round": 6, "outcome": "final", "task": "survey", "ended": 1020.0},
        ]
    )
    assert outcomes(home).told(1100.0) == {
        "last_final_round": 6,
        "last_final_seconds": 80.0,
        "model_round": 4,
        "model_seconds": 100.0,
        "validation": {"rows": 9},
    }


def test_round_that_ended_while_nobody_took_the_time_has_no_age(home: Path) -> None:
    told = outcomes(home).told(1100.0)
    assert (told["last_final_round"], told["last_final_seconds"], told["validation"]) == (3, None, None)


def test_damaged_history_costs_nothing_but_the_ages(tmp_path: Path) -> None:
    (tmp_path / "rounds.jsonl").mkdir()
    assert Outcomes(SimpleNamespace(), RoundHistory(tmp_path), None).told(1.0)["last_final_round"] is None  # type: ignore[arg-type]


def test_model_is_kept_after_every_final_round_and_not_at_the_end_alone(tmp_path: Path, model: SentinelModel) -> None:
    """A hospital uses the model of the last round while the next one goes on, for hours."""

    async def for_use(name: str, *_: object) -> SentinelModel:
        return of_round(model, int(name[1:]))

    async def validation(_: SentinelModel) -> None:
        return None

    bench: Any = SimpleNamespace(for_use=for_use, validation=validation)
    kept = Outcomes(bench, RoundHistory(tmp_path), tmp_path / "model")
    over: list[dict[str, Any]] = []

    def rounds() -> Sequence[dict[str, Any]]:
        return over[::-1]

    for number in range(3):
        state = state_after(number, f"m{number}")
        state.membership, state.agreement = SimpleNamespace(names=("north",)), SimpleNamespace(protect="none")
        state.next = SimpleNamespace(task="train")  # so that the plan is not fulfilled
        over.append({"round": number, "outcome": "final", "task": "train", "model": state.model})
        asyncio.run(Part(state, _outcomes=kept, rounds=rounds).see_a_block())
        assert load_model(tmp_path / "model").provenance.round == number
        assert [one["round"] for one in RoundHistory(tmp_path).rounds()] == [*range(number + 1)]
