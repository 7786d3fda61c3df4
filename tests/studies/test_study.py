"""Methods of a study: each has one short name, by which it is found, and a key that no other run has."""

from itertools import product

import pytest

from medward.flows.datasets import DATASETS, NSLKDD
from medward.studies.study import DEFAULT_METHODS, METHODS, Study, left_out, method_named, short_name


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_found_by_its_short_and_its_full_name(method: str) -> None:
    word = short_name(method)
    assert " " not in word
    assert word == word.lower()
    assert method_named(word, METHODS) == method_named(word.upper(), METHODS) == method_named(method, METHODS) == method


def test_other_words_name_no_method() -> None:
    for word in ("", "federate", "federated ", METHODS[0] + ","):
        assert method_named(word, METHODS) is None
    assert method_named(short_name(METHODS[0]), []) is None


def test_runs_have_keys_of_their_own() -> None:
    studies = [
        Study(protocol, (1, 2), quick=quick, without_fingerprints=without)
        for protocol, quick, without in product(("honest", "random", "paper"), (True, False), (True, False))
    ]
    keys = {
        study.key(name, seed, method) for study, name, seed, method in product(studies, DATASETS, (1, 2, 12), METHODS)
    }
    assert len(keys) == len(studies) * len(DATASETS) * 3 * len(METHODS)


@pytest.mark.parametrize("name", DATASETS)
def test_method_that_is_left_out_is_left_out_for_a_reason(name: str) -> None:
    reasons = {method: left_out(method, DATASETS[name]) for method in METHODS}
    assert all(reason is None or len(reason) > 5 for reason in reasons.values())
    assert any(reasons[method] is None for method in DEFAULT_METHODS)


def test_data_without_history_leaves_out_what_needs_one() -> None:
    assert not NSLKDD.schema.history
    assert any("history" in (left_out(method, NSLKDD) or "") for method in METHODS)
