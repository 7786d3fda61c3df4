"""A trained network of flat weights: deciding, and its folder.

    FOLDER/network.json          schema, classes, where it came from, weights' hash
    FOLDER/weights.safetensors   the weights and the scaler's arrays

A folder holds no code, so whoever loads it gives the network again.
"""

import json
from os import PathLike
from pathlib import Path

import msgspec
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from medward.agents.costs import Costs
from medward.agents.networks.interface import DESCRIPTION, FlatWeights, Network
from medward.agents.networks.plain import PlainNetwork
from medward.agents.sentinel.model import BadModel, Provenance, classes_of, encode_enum, weights_name
from medward.agents.sentinel.scorer import Scores
from medward.api.model import Model
from medward.errors import printable
from medward.federation.networks.shared import scores_of
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler
from medward.flows.schema import Schema
from medward.whole_file import write_whole

FORMAT = 1
WEIGHTS = "weights.safetensors"


class TrainedNetwork(Model):
    """A trained network of flat weights.

    Args:
        network: what the weights are of.
        weights: float32[n].
        scaler: makes its inputs of rows.
        space: the features that it takes.
        classes: the classes that it tells apart, the benign one first.
        provenance: where it came from.
    """

    def __init__(
        self,
        network: Network,
        weights: FlatWeights,
        scaler: Scaler,
        space: FeatureSpace,
        classes: tuple[str, ...],
        provenance: Provenance,
    ) -> None:
        self.network, self.weights, self.scaler = network, weights, scaler
        self._space, self._classes, self.provenance = space, classes, provenance

    @property
    def space(self) -> FeatureSpace:
        """The features that it takes."""
        return self._space

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that it tells apart."""
        return self._classes

    @property
    def costs(self) -> Costs:
        """What its decisions cost: the same as Sentinel's, where a recipe names no others."""
        return Costs()

    @property
    def name(self) -> str:
        """The hash of its weights."""
        return weights_name(self._arrays())

    def scores(self, x: NDArray[np.float32]) -> Scores:
        """Decide rows of its feature matrix; it sees the expensive columns of every row, and buys none."""
        q = scores_of(self.network, self.weights, self.scaler.encode(x), len(self.classes))
        suspicion = q[:, 1:].max(axis=1) - q[:, 0]
        return Scores(q.argmax(axis=1).astype(np.int32), np.zeros(len(x), np.bool_), q, suspicion)

    def save(self, folder: str | PathLike[str]) -> str:
        """Write `network.json` and `weights.safetensors` into a folder; return the model's name."""
        place, arrays = Path(folder), self._arrays()
        place.mkdir(parents=True, exist_ok=True)
        description = {
            "format": FORMAT,
            "weights": weights_name(arrays),
            "network": type(self.network).__name__,
            "classes": self.classes,
            "history": self.space.history,
            "scaler": self.scaler.kind,
            "provenance": msgspec.to_builtins(self.provenance),
            "schema": msgspec.to_builtins(self.space.schema, enc_hook=encode_enum),
        }
        for name, content in ((WEIGHTS, arrays), (DESCRIPTION, json.dumps(description, indent=1).encode())):
            write_whole(place / name, content)
        return weights_name(arrays)

    def _arrays(self) -> bytes:
        arrays = {f"scaler.{name}": value for name, value in vars(self.scaler).items() if name != "kind"}
        arrays["weights"] = self.weights
        return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def load_network(folder: Path, network: Network | None) -> TrainedNetwork:
    """Read what `TrainedNetwork.save` wrote.

    Raises:
        BadModel: a file is missing or damaged, or the folder is of another network.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_bytes())
        content = (folder / WEIGHTS).read_bytes()
        kind = description["network"]
        if description["format"] != FORMAT:
            raise BadModel(f"{folder / DESCRIPTION} is of another version than this medward reads ({FORMAT}).")
        if weights_name(content) != description["weights"]:
            raise BadModel(f"{folder / WEIGHTS} is not the file that {DESCRIPTION} describes: copy the folder again.")
        arrays = safetensors.numpy.load(content)
        weights = arrays.pop("weights")
        fields = {name.removeprefix("scaler."): array for name, array in arrays.items()}
        scaler = Scaler(kind=description["scaler"], **fields)
        schema = msgspec.convert(description["schema"], Schema)
        space = FeatureSpace(schema, msgspec.convert(description["history"], bool))
        scaler.check(len(space.columns))
        provenance = msgspec.convert(description["provenance"], Provenance)
        classes = classes_of(description["classes"], schema)
        if weights.dtype != np.float32 or weights.ndim != 1 or not np.isfinite(weights).all():
            raise ValueError("its weights are not one flat vector of finite numbers")
    except FileNotFoundError as error:
        raise BadModel(f"{folder} holds no {Path(str(error.filename)).name}: copy the whole folder again.") from None
    except OSError as error:
        raise BadModel(f"cannot read {error.filename}: {error.strerror}; check the folder.") from None
    except (KeyError, TypeError, ValueError, RecursionError, msgspec.ValidationError, SafetensorError) as error:
        raise BadModel(f"{folder} does not describe a model ({error}): copy the whole folder again.") from None
    if network is None and kind == PlainNetwork.__name__:
        network = PlainNetwork(hidden=_hidden(len(weights), scaler.width, len(classes)))
    if type(network).__name__ != kind:
        named = printable(str(kind))
        raise BadModel(f"{folder} holds the weights of a {named}: give it, as load_model(folder, network={named}()).")
    assert network is not None
    wanted = len(network.start(scaler.width, len(classes), 0))
    if len(weights) != wanted:
        raise BadModel(
            f"{folder} holds {len(weights)} weights, and its network has {wanted}: copy the whole folder again, "
            "and give the network that was trained."
        )
    return TrainedNetwork(network, weights, scaler, space, classes, provenance)


def _hidden(weights: int, inputs: int, classes: int) -> int:
    """Return the width of a plain network's hidden layer, from how many weights it has."""
    return max((weights - classes) // (inputs + 1 + classes), 1)
