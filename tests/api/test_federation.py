"""Federating Sentinel, a plain network and a user's own, under encrypted sums and in the open."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import medward
from medward.agents.networks.interface import FlatWeights, Inputs, Labels
from medward.federation.simulation.machines import RoundReport
from medward.federation.simulation.training import FederatedTraining, Options
from tests.api.conftest import Files
from tests.api.test_model import QUICK

NAMES = ("hospital-1", "hospital-2", "hospital-3", "hospital-4")


@pytest.fixture(scope="module")
def split(files: Files) -> Any:
    return medward.split(medward.load(files.table, files.schema))


class Centroids:
    """A network of a user's own: the classes' centres; whoever is nearest decides."""

    def start(self, inputs: int, classes: int, seed: int) -> FlatWeights:
        del seed
        return np.zeros(inputs * classes, np.float32)

    def train(self, weights: FlatWeights, x: Inputs, y: Labels, classes: int, seed: int) -> FlatWeights:
        del seed
        centres = weights.reshape(classes, -1).copy()
        for k in np.unique(y):
            centres[k] = x[y == k].mean(axis=0)
        return centres.ravel()

    def scores(self, weights: FlatWeights, x: Inputs, classes: int) -> Any:
        return -((x[:, None] - weights.reshape(1, classes, -1)) ** 2).sum(axis=2)


def _macro_f1(done: medward.Federation) -> float:
    return float(done.model.evaluate(done.split).metrics["multiclass"]["macro_f1"])


@pytest.mark.slow
@pytest.mark.parametrize("protect", ["none", "aggregate"])
def test_sentinel_is_that_of_the_command_line(split: Any, protect: Any) -> None:
    done = medward.federate(split, rounds=2, protect=protect, model=medward.Sentinel(QUICK), seed=4)
    told = FederatedTraining(split, QUICK, Options(4, 2, protect=protect, seed=4))
    assert done.model.name == told.run(None, lambda _: None).name
    assert [share.tolist() for share in done.shares.values()] == [share.tolist() for share in told.shares]
    assert tuple(done.shares) == NAMES


def test_encryption_changes_no_bit_of_a_network(split: Any) -> None:
    found = {
        protect: medward.federate(split, rounds=3, protect=protect, model=medward.PlainNetwork())
        for protect in ("none", "aggregate")
    }
    assert found["none"].model.name == found["aggregate"].model.name
    assert _macro_f1(found["aggregate"]) > 0.9
    assert all(report.cohort == NAMES for report in found["aggregate"].rounds)
    sent = {protect: sum(report.bytes_up for report in done.rounds) for protect, done in found.items()}
    assert sent["aggregate"] > sent["none"]


def test_hospitals_with_tables_of_their_own_train_on_those(split: Any) -> None:
    kinds = split.flows.y[split.split.train]
    shares = [split.split.train[kinds != left_out] for left_out in (0, 1, 2)]
    done = medward.federate(split, 3, rounds=3, model=medward.PlainNetwork(), shares=shares)
    assert [share.tolist() for share in done.shares.values()] == [share.tolist() for share in shares]
    assert done.model.classes == tuple(split.flows.schema.classes)
    other = medward.federate(split, 3, rounds=3, model=medward.PlainNetwork(), shares=shares[::-1], protect="none")
    assert done.model.name != other.model.name


def test_own_network_learns_and_is_kept(split: Any, tmp_path: Path) -> None:
    seen: list[RoundReport] = []
    done = medward.federate(split, rounds=2, model=Centroids(), clip=10.0, progress=seen.append)
    assert tuple(seen) == done.rounds
    assert [report.task for report in seen] == ["survey", "survey", "train", "train"]
    assert seen[-1].validation is not None
    assert _macro_f1(done) > 0.9
    done.model.save(tmp_path)
    with pytest.raises(medward.MedwardError, match=r"network=Centroids\(\)"):
        medward.load_model(tmp_path)
    again = medward.load_model(tmp_path, network=Centroids())
    assert again.predict(_rows(split)).equals(done.model.predict(_rows(split)))
    (tmp_path / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(medward.MedwardError, match="is not the file"):
        medward.load_model(tmp_path, network=Centroids())


def _rows(split: Any) -> dict[str, Any]:
    """Return some rows of the table as columns."""
    x = split.flows.x[:50]
    return {"size": x[:, 0], "noise": x[:, 1], "proto": ["icmp"] * len(x)}


def test_plain_network_needs_nothing_to_be_read_again(split: Any, tmp_path: Path) -> None:
    done = medward.federate(split, rounds=2, protect="none", model=medward.PlainNetwork(hidden=7))
    name = done.model.save(tmp_path)
    again = medward.load_model(tmp_path)
    assert again.name == name
    assert again.evaluate(split) == done.model.evaluate(split)


@pytest.fixture(scope="module")
def plain(split: Any) -> Any:
    return medward.federate(split, rounds=1, protect="none", model=medward.PlainNetwork(hidden=7)).model


@pytest.mark.parametrize(
    "altered",
    [
        lambda own: {"weights": own.weights[:-1]},
        lambda own: {"weights": own.weights[None]},
        lambda own: {"weights": own.weights.astype(np.float64)},
        lambda own: {"weights": own.weights + np.float32(np.nan)},
        lambda own: {"weights": own.weights[:2]},
        lambda own: {"_classes": ("benign", "benign")},
        lambda own: {"_classes": ("benign", "unheard of")},
        lambda own: {"_classes": ([], {})},
        lambda own: {"scaler": replace(own.scaler, mean=own.scaler.mean * np.float32(np.inf))},
    ],
)
def test_saved_network_whose_parts_do_not_fit_is_refused(plain: Any, tmp_path: Path, altered: Any) -> None:
    own = copy.copy(plain)
    vars(own).update(altered(plain))
    own.save(tmp_path)
    with pytest.raises(medward.MedwardError, match="copy the whole folder again") as found:
        medward.load_model(tmp_path)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "null", "\x00", "{}"])
def test_description_of_a_network_that_is_none_is_refused(plain: Any, tmp_path: Path, content: str) -> None:
    plain.save(tmp_path)
    (tmp_path / "network.json").write_text(content)
    with pytest.raises(medward.MedwardError, match="does not describe a model"):
        medward.load_model(tmp_path)


def test_weights_of_another_network_of_the_same_name_are_refused(plain: Any, tmp_path: Path) -> None:
    plain.save(tmp_path)
    with pytest.raises(medward.MedwardError, match="its network has"):
        medward.load_model(tmp_path, network=medward.PlainNetwork(hidden=8))


def _poison(hospital: str, update: Any) -> Any:
    return -30 * update if hospital == NAMES[2] else update


def test_median_holds_against_a_poisoner_that_the_mean_follows(split: Any) -> None:
    words: dict[str, Any] = {"rounds": 3, "protect": "none", "model": medward.PlainNetwork(), "tamper": _poison}
    assert _macro_f1(medward.federate(split, combine=medward.Median(), **words)) > 0.9
    try:
        poisoned = _macro_f1(medward.federate(split, **words))
    except medward.MedwardError as error:
        assert "found the next model worse" in str(error)  # noqa: PT017  either way, the mean does not hold
    else:
        assert poisoned < 0.7


@pytest.mark.slow
def test_median_of_honest_sentinels_learns_too(split: Any) -> None:
    done = medward.federate(split, rounds=6, protect="none", model=medward.Sentinel(QUICK), combine=medward.Median())
    assert _macro_f1(done) > 0.8


def test_mean_in_the_open_is_what_sums_give(split: Any) -> None:
    def own_mean(updates: Any) -> Any:
        return updates.mean(axis=0)

    words: dict[str, Any] = {"rounds": 2, "protect": "none", "model": medward.PlainNetwork()}
    named, own = (medward.federate(split, combine=rule, **words) for rule in (medward.Mean(), own_mean))
    assert named.model.name == own.model.name


class _Wrong(Centroids):
    """A network that does one thing wrong."""

    def __init__(self, what: str) -> None:
        self.what = what

    def train(self, weights: FlatWeights, x: Inputs, y: Labels, classes: int, seed: int) -> FlatWeights:
        new = super().train(weights, x, y, classes, seed)
        return {"short": new[1:], "nan": new * np.float32("nan"), "matrix": new[None]}.get(self.what, new)

    def scores(self, weights: FlatWeights, x: Inputs, classes: int) -> Any:
        scores = super().scores(weights, x, classes)
        return scores[:, 1:] if self.what == "scores" else scores


@pytest.mark.parametrize(
    ("what", "sentence"),
    [("short", "return as many"), ("nan", "not all finite"), ("matrix", "one flat vector"), ("scores", "scores have")],
)
def test_wrong_network_is_told_in_one_sentence(split: Any, what: str, sentence: str) -> None:
    with pytest.raises(medward.MedwardError, match=sentence) as found:
        medward.federate(split, rounds=1, protect="none", model=_Wrong(what))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"combine": medward.Median()}, "Median needs each of them"),
        ({"protect": "hope"}, "aggregate or none"),
        ({"partition": "halves"}, "partition is one of"),
        ({"hospitals": 2}, "at least 3"),
        ({"shares": [[0], [1]]}, "shares for 2 hospitals of 4"),
        ({"shares": [[0], [1], [], [2]]}, "there must be one at least"),
        ({"shares": [[0], [1], [2], [1 << 30]]}, "none of some of the numbers given"),
        ({"rounds": 0}, "at least 1 round"),
        ({"bits": 5}, "5 bits"),
        ({"protect": "none", "combine": lambda updates: updates}, "rule that combines updates returned shape"),
        ({"protect": "none", "tamper": lambda _, update: update[1:]}, "changed update has shape"),
    ],
)
def test_what_cannot_be_federated_is_refused_in_one_sentence(split: Any, words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(medward.MedwardError, match=sentence) as found:
        medward.federate(split, model=medward.PlainNetwork(), **{"rounds": 1} | words)
    assert "\n" not in str(found.value)
