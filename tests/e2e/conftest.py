"""What federations here train: the recipe of the ward, or a short one; compiled before any deadline runs.

It is compiled once and kept where tests/conftest.py says, in which the nodes look.
"""

from collections.abc import Iterator

import pytest

from medward.agents.sentinel.recipe import RECIPES
from tests.e2e.ward import undisturbed

#: Updates of a round of short training: enough for every hospital's to differ. The ward's recipe makes 120.
_FEW_STEPS = 10


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Have JAX compile what the recipe of the ward trains."""
    undisturbed(1)


@pytest.fixture(scope="module")
def short_training() -> Iterator[None]:
    """Let a ward's hospitals train for a short time a round, where a test asks for equal models and not for good ones.

    It is so in this process and in the nodes that ward.py starts, and nowhere else: not in commands of `medward`.
    """
    recipe = RECIPES["ward"]
    RECIPES["ward"] = recipe.change(local_steps=_FEW_STEPS)
    undisturbed(1)
    yield
    RECIPES["ward"] = recipe
