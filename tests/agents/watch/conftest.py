"""One stream whose windows say plainly what they are, so that the best policy is known."""

import numpy as np
import pytest

from medward.agents.watch.costs import WatchCosts
from medward.agents.watch.environment import Watched, watched
from medward.agents.watch.episodes import Episodes

# Easy numbers to add up; no other device's alerts.
COSTS = WatchCosts(
    miss=1.0,
    late=0.25,
    false_alarm=3.0,
    wrong_class=0.5,
    repeat=0.125,
    early_bonus=2.0,
    early=4,
    handling=3,
    backlog=8,
    background=0.0,
    kept=2,
    byte_price=0.001,
)
ESCALATION = 0.0625


def made(label: list[list[int]], background: list[list[bool]] | None = None) -> Episodes:
    """Episodes whose windows are rows 0, 1, 2, ... with these labels."""
    y = np.array(label, np.int32)
    before = np.concatenate([np.zeros((len(y), 1), np.int32), y[:, :-1]], axis=1)
    begins = (y > 0) & (y != before)
    place = np.arange(y.shape[1])[None, :]
    onset = np.where(y > 0, place - np.maximum.accumulate(np.where(begins, place, 0), axis=1), 0)
    return Episodes(
        row=np.arange(y.size, dtype=np.int32).reshape(y.shape),
        label=y,
        onset=onset.astype(np.int32),
        begins=begins,
        background=np.zeros(y.shape, bool) if background is None else np.array(background),
        block=np.arange(len(y), dtype=np.int32),
    )


def plain(episodes: Episodes, classes: int = 3, cheap: float = 0.0, informed: float = 6.0) -> Watched:
    """Windows whose true class has the logit `cheap` without, `informed` with the evidence; the others minus that."""
    label = episodes.label.ravel()
    glance = np.zeros((label.size, 2, classes + 1), np.float32)
    for bought, sure in enumerate((cheap, informed)):
        glance[:, bought, :classes] = -sure
        glance[np.arange(label.size), bought, label] = sure
    return watched(episodes, glance, ESCALATION)


@pytest.fixture(scope="session")
def attacked() -> Episodes:
    """Many episodes with one attack each, at a random time, of a random class."""
    rng = np.random.default_rng(0)
    label = np.zeros((64, 24), int)
    for own in label:
        start, length = rng.integers(2, 14), rng.integers(5, 10)
        own[start : start + length] = rng.integers(1, 3)
    return made(label.tolist())
