"""What a watch sees of a window: logits within their range, and no opinion on classes that the model does not know."""

import numpy as np
import pytest

from medward.agents.watch.perception import glances_of
from tests.alerts.hand_made import CLASSES, hand_made_model

MODEL = hand_made_model()
ROWS = np.random.default_rng(0).normal(0, 1e6, (30, len(MODEL.space.columns))).astype(np.float32)


def test_logits_are_within_their_range_and_escalating_costs_nothing_once_evidence_is_there() -> None:
    seen = glances_of(MODEL, ROWS, CLASSES)
    assert seen.shape == (30, 2, len(CLASSES) + 1)
    assert (np.abs(seen) <= 7).all()
    assert (seen[:, 1, -1] == 0).all()


def test_class_that_the_model_does_not_know_has_the_lowest_logit() -> None:
    classes = (CLASSES[0], "another", *CLASSES[1:])
    wide, plain = glances_of(MODEL, ROWS, classes), glances_of(MODEL, ROWS, CLASSES)
    assert (wide[:, :, 1] == -7).all()
    np.testing.assert_array_equal(np.delete(wide, 1, axis=2), plain)


def test_no_rows_are_no_glances_and_a_class_that_is_left_out_is_an_error() -> None:
    assert glances_of(MODEL, ROWS[:0], CLASSES).shape == (0, 2, len(CLASSES) + 1)
    with pytest.raises(ValueError, match="tuple"):
        glances_of(MODEL, ROWS, CLASSES[:1])
