"""A trained Sentinel on disk and in hand: MODEL_DIR, without pickle.

    MODEL_DIR/model.json           what the model is: schema, classes, recipe, provenance, weights' hash
    MODEL_DIR/weights.safetensors  the network's and the scaler's arrays

The model's name is the SHA-256 of its weights file; model.json repeats it, and loading refuses a mismatch.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from medward.agents.sentinel.recipe import Recipe
from medward.agents.sentinel.recipe_format import flat_of, recipe_from
from medward.agents.sentinel.scorer import Scorer, Weights
from medward.errors import MedwardError
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler
from medward.flows.schema import Schema
from medward.whole_file import write_whole

FORMAT = 1
#: Models of before, with trees that corrected the network (docs/adr/0013-trees-on-the-network.md).
WITH_TREES = 2
_SCALER_ARRAYS = ("numbers", "indicators", "flags", "knots", "knot_count", "mean", "scale", "bins", "bin_count")


class BadModel(MedwardError):
    """A MODEL_DIR that is missing, damaged, or of another version."""


@dataclass(frozen=True)
class Provenance:
    """Where a model came from.

    Args:
        how: "federated", "central" or "local".
        round: the federated round that made it, None where there was none.
        sites: how many hospitals took part.
        protect: how updates were protected: "none" or "aggregate".
        synthetic: whether it was trained on synthetic data.
        seed: what data, splits and training were drawn from.
        protocol: "honest" or "paper".
        shared_model: the CID of the shared model that it was taken from, None where there was none.
    """

    how: str
    round: int | None
    sites: int
    protect: str
    synthetic: bool
    seed: int
    protocol: str = "honest"
    shared_model: str | None = None


@dataclass(frozen=True)
class SentinelModel:
    """A trained Sentinel with all that scoring needs.

    Args:
        space: the features it takes.
        classes: the names of the classes it tells apart, the benign one first; a subset of the schema's.
        scaler: fitted on training rows.
        weights: the network.
        recipe: what it was trained with, its cost matrix included.
        provenance: where it came from.
    """

    space: FeatureSpace
    classes: tuple[str, ...]
    scaler: Scaler
    weights: Weights
    recipe: Recipe
    provenance: Provenance

    def scorer(self) -> Scorer:
        """Return what decides windows with this model, without JAX."""
        always_informed = self.recipe.learning.informed_share == 1
        return Scorer(self.space, self.scaler, self.weights, self.recipe.target_costs.highest, always_informed)

    def labels(self, y: NDArray[np.int32]) -> NDArray[np.int32]:
        """Translate the schema's class numbers into the model's.

        A class that the model was never shown gets the number `len(classes)`: an attack that any alert detects and no
        decision names.
        """
        place = {name: number for number, name in enumerate(self.classes)}
        table = np.array([place.get(name, len(self.classes)) for name in self.space.schema.classes], np.int32)
        return table[y]

    @property
    def name(self) -> str:
        """The SHA-256 of the weights file, as `sha256:...`."""
        return weights_name(self._arrays())

    def _arrays(self) -> bytes:
        arrays = {f"scaler.{name}": getattr(self.scaler, name) for name in _SCALER_ARRAYS}
        for part in ("slope", "offset", "value", "value_bias", "advantage", "advantage_bias"):
            arrays[f"network.{part}"] = getattr(self.weights, part)
        for number, (matrix, bias) in enumerate(zip(self.weights.matrices, self.weights.biases, strict=True)):
            arrays[f"network.hidden{number}.weight"], arrays[f"network.hidden{number}.bias"] = matrix, bias
        return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})

    def files(self) -> dict[str, bytes]:
        """Return the two files of a MODEL_DIR by their names, the description last; equal models have equal files."""
        arrays = self._arrays()
        description = {
            "format": FORMAT,
            "weights": weights_name(arrays),
            "classes": self.classes,
            "history": self.space.history,
            "scaler": self.scaler.kind,
            "hidden": len(self.weights.matrices),
            "recipe": flat_of(self.recipe),
            "provenance": asdict(self.provenance),
            "schema": msgspec.to_builtins(self.space.schema, enc_hook=encode_enum),
        }
        return {"weights.safetensors": arrays, "model.json": json.dumps(description, indent=1).encode()}

    def save(self, folder: Path) -> str:
        """Write the model into `folder`, replacing a model there; return its name.

        Both files are written beside their places and moved there, the description last, so that a reader never finds
        a description without its weights.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files().items():
            write_whole(folder / name, content)
        return self.name


def load_model(folder: Path) -> SentinelModel:
    """Read a MODEL_DIR.

    Raises:
        BadModel: a file is missing, damaged, of another version, or does not belong to the other.
    """
    text, arrays = _read_files(folder)
    return model_of(text, arrays, folder)


def model_of(text: bytes, arrays: bytes, folder: Path) -> SentinelModel:
    """Return the model that the contents of both files describe.

    Args:
        text: of model.json.
        arrays: of weights.safetensors.
        folder: where they are from, for the sentence of an error.

    Raises:
        BadModel: see `load_model`.
    """
    try:
        description: dict[str, Any] = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise BadModel(f"{folder / 'model.json'} is damaged: copy the whole folder again.") from None
    number = description.get("format") if isinstance(description, dict) else None
    if number == WITH_TREES:
        raise BadModel(
            f"{folder / 'model.json'} describes a model with trees (format {WITH_TREES}), which are no longer read, "
            "because the sums that trees grew from could give away single rows of a hospital: train it again."
        )
    if number != FORMAT:
        raise BadModel(
            f"{folder / 'model.json'} is of another version than this medward reads ({FORMAT}): train it again."
        )
    if weights_name(arrays) != description.get("weights"):
        raise BadModel(
            f"{folder / 'weights.safetensors'} is not the file that model.json describes: copy the whole folder again."
        )
    try:
        return _decode(description, safetensors.numpy.load(arrays))
    except (KeyError, TypeError, ValueError, msgspec.ValidationError, SafetensorError) as error:
        raise BadModel(f"{folder} does not describe a model ({error}): copy the whole folder again.") from None


def _read_files(folder: Path) -> tuple[bytes, bytes]:
    """Return both files of one model, also where the folder is a link that is moved to another model meanwhile."""
    while True:
        # Both are read in the place that the link leads to now; whoever moves it leaves that place for a while.
        place = folder.resolve()
        try:
            return (place / "model.json").read_bytes(), (place / "weights.safetensors").read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            if folder.resolve() == place:
                missing = Path(str(error.filename)).name
                raise BadModel(
                    f"{folder} holds no {missing}: give a model's folder, as `medward train --out` or `medward node "
                    "model --out` writes it."
                ) from None


def _decode(description: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> SentinelModel:
    schema = msgspec.convert(description["schema"], Schema)
    scaler = Scaler(kind=description["scaler"], **{name: arrays[f"scaler.{name}"] for name in _SCALER_ARRAYS})
    hidden, recipe = range(description["hidden"]), recipe_from(description["recipe"])
    weights = Weights(
        **{
            field: arrays[f"network.{field}"]
            for field in ("slope", "offset", "value", "value_bias", "advantage", "advantage_bias")
        },
        matrices=tuple(arrays[f"network.hidden{number}.weight"] for number in hidden),
        biases=tuple(arrays[f"network.hidden{number}.bias"] for number in hidden),
        squares=recipe.network.activation == "square",
    )
    space = FeatureSpace(schema, msgspec.convert(description["history"], bool))
    classes = classes_of(description["classes"], schema)
    scaler.check(len(space.columns))
    weights.check(scaler, len(classes) + 1)
    return SentinelModel(
        space=space,
        classes=classes,
        scaler=scaler,
        weights=weights,
        recipe=recipe,
        provenance=msgspec.convert(description["provenance"], Provenance),
    )


def classes_of(written: object, schema: Schema) -> tuple[str, ...]:
    """Return the classes that a description names.

    Raises:
        ValueError: one is named twice, or is none of the schema's.
        msgspec.ValidationError: they are no names.
    """
    classes = msgspec.convert(written, tuple[str, ...])
    if len(set(classes)) != len(classes) or not set(classes) <= set(schema.classes):
        raise ValueError("its classes are named twice, or are not those of its schema")
    return classes


def encode_enum(value: object) -> object:
    """Return an enumeration's value, for msgspec."""
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"no encoding for {type(value)}")


def weights_name(arrays: bytes) -> str:
    """Return the name of a model: the hash of its file of arrays."""
    return f"sha256:{hashlib.sha256(arrays).hexdigest()}"
