"""The few inputs of a network on encrypted rows: those that tell the classes, the same for the same seed."""

import numpy as np

from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.selection import most_telling
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler
from medward.flows.schema import Feature, Group, Schema
from tests.agents.conftest import RECIPE

SCHEMA = Schema(
    dataset="toy",
    title="Toy",
    features=(
        *(Feature(f"noise {k}") for k in range(3)),
        Feature("size"),
        Feature("kind", categories=("a", "b")),
        Feature("pulse", Group.EXPENSIVE, optional=True),
    ),
    label="class",
    classes=("benign", "flood", "scan", "tamper"),
    never={"id": "is the label"},
)
SPACE = FeatureSpace(SCHEMA, history=False)


def rows(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows whose size tells floods, whose kind scans, and whose pulse is missing where somebody tampers."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, count).astype(np.int32)
    x = rng.normal(size=(count, 7)).astype(np.float32)
    x[:, 3] += 8 * (y == 1)
    x[:, 4], x[:, 5] = y == 2, y != 2
    x[y == 3, 6] = np.nan
    return x, y


def fitted(x: np.ndarray) -> Scaler:
    return fitted_scaler(SPACE, x, RECIPE.change(scaler="quantile"))


def kept(scaler: Scaler) -> set[str]:
    places = (*scaler.numbers, *scaler.indicators, *scaler.flags)
    return {SPACE.columns[place].name for place in places}


def test_inputs_that_tell_the_classes_are_kept_of_every_kind() -> None:
    x, y = rows()
    scaler = fitted(x)
    assert len(scaler.numbers) + len(scaler.indicators) + len(scaler.flags) > 4
    chosen = most_telling(scaler, x, y, 4, 1)
    assert len(chosen.numbers) + len(chosen.indicators) + len(chosen.flags) == 4
    assert not any(name.startswith("noise") for name in kept(chosen))
    assert any(name.startswith("size") for name in kept(chosen))
    assert [SPACE.columns[place].name.split()[0] for place in chosen.flags] == ["pulse"]


def test_the_same_seed_chooses_the_same_and_what_is_kept_scales_as_before() -> None:
    x, y = rows()
    scaler = fitted(x)
    chosen, again = (most_telling(scaler, x, y, 3, 7) for _ in range(2))
    np.testing.assert_array_equal(chosen.encode(x), again.encode(x))
    whole = scaler.encode(x)
    for place, number in enumerate(chosen.numbers):
        at = int(np.flatnonzero(scaler.numbers == number)[0])
        np.testing.assert_array_equal(chosen.encode(x)[:, place], whole[:, at])


def test_scaler_that_has_no_more_inputs_stays() -> None:
    x, y = rows()
    scaler = fitted(x)
    inputs = len(scaler.numbers) + len(scaler.indicators) + len(scaler.flags)
    assert most_telling(scaler, x, y, inputs, 1) is scaler
    assert most_telling(scaler, x, y, inputs - 1, 1) is not scaler
