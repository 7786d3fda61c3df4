"""How rows are prepared before they are encrypted: a model's scaler, columns and classes, without a weight."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from medward.agents.sentinel.model import BadModel, SentinelModel, model_of
from medward.ledger.encoding import Structure, decode, encode
from medward.ledger.errors import NotCanonical

#: What a preparation may weigh.
MOST_BYTES = 1 << 24
#: What its texts may weigh, which can be made to take 30 times as much memory: a description of 4,096 columns fits.
_MOST_DESCRIPTION = 1 << 21
_MOST_HEADER = 1 << 16


class PreparationFiles(Structure, frozen=True):
    """The two files of a model whose weights are all zero."""

    description: Annotated[bytes, msgspec.Meta(max_length=_MOST_DESCRIPTION)]
    arrays: bytes


def write_preparation(model: SentinelModel) -> bytes:
    """Return the public part of a model: everything but what was learned of the network."""
    zeros: dict[str, Any] = {
        name: tuple(map(np.zeros_like, value)) if isinstance(value, tuple) else np.zeros_like(value)
        for name, value in vars(model.weights).items()
        if name != "squares"
    }
    files = replace(model, weights=replace(model.weights, **zeros)).files()
    return encode(PreparationFiles(files["model.json"], files["weights.safetensors"]))


def model_without_weights(data: bytes, place: str) -> SentinelModel:
    """Return the model that `write_preparation` made bytes of.

    Args:
        data: from another member, who is not trusted with this one's memory.
        place: where they are from, for the sentence of an error.

    Raises:
        BadModel: they are none.
    """
    try:
        files = decode(data, PreparationFiles, thinnest=MOST_BYTES)
    except NotCanonical as error:
        raise BadModel(str(error)) from None
    if (header := int.from_bytes(files.arrays[:8], "little")) > _MOST_HEADER:
        raise BadModel(f"{place} has a list of arrays of {header:,} bytes, and at most {_MOST_HEADER:,} are read")
    return model_of(files.description, files.arrays, Path(place))
