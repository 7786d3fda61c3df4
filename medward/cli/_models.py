"""The option `--model`: a model's folder; of anything else, a sentence on what it is."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medward.agents.sentinel.model import SentinelModel

MODEL_HELP = "The folder of a trained model, such as model/ in a node's home or in what `medward train --out` wrote."
#: A content identifier of version 1 in base 32.
_CID = re.compile(r"b[a-z2-7]{50,}")
_MOST_HEADER = 1 << 16
_GET_ONE = "`medward node model --home HOME --out MODEL_DIR` writes one"


def refuse_no_model(path: Path) -> None:
    """Refuse what is no model's folder.

    Raises:
        BadModel: the sentence says what it is instead.
    """
    from medward.agents.networks.interface import DESCRIPTION
    from medward.agents.sentinel.model import BadModel

    if not (path / "model.json").is_file() and not (path / DESCRIPTION).is_file():
        raise BadModel(f"{path} {_what(path)}.")


def open_model(path: Path) -> "SentinelModel":
    """Read the folder of a Sentinel, which buys evidence and alerts; other networks only tell classes apart.

    Raises:
        BadModel: it is none, or damaged; the sentence says what it is instead.
    """
    from medward.agents.networks.interface import DESCRIPTION
    from medward.agents.sentinel.model import BadModel, load_model

    refuse_no_model(path)
    if (path / DESCRIPTION).is_file():
        raise BadModel(
            f"{path} holds a plain network or one of your own ({DESCRIPTION}), and this command needs a Sentinel, such "
            "as `medward train` writes. `medward evaluate` measures a plain network; in Python, "
            "medward.load_model reads networks of both kinds, and their `predict` decides."
        )
    return load_model(path)


def _what(path: Path) -> str:
    """Say what a path is that is no model's folder, and what to give, as the rest of a sentence."""
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _file(path)
    if _CID.fullmatch(path.name):
        return f"is the name of a blob, and no folder: a shared model becomes one for use as {_GET_ONE}"
    return f"is not there: give a model's folder; {_GET_ONE}"


def _folder(path: Path) -> str:
    if (path / "node.toml").is_file():
        if (path / "model").exists():
            return f"is a node's home, which holds no model.json itself: give {path / 'model'}"
        return (
            "is a node's home that has no model yet: it gets one, HOME/model, with the first final training round; "
            "`medward federation status` says where that stands"
        )
    if (path / "model" / "model.json").is_file():
        return f"holds a model and is none itself, having no model.json: give {path / 'model'}"
    homes = [home for home in sorted(path.glob("*/node.toml"))[:64] if (home.parent / "model" / "model.json").is_file()]
    if homes:
        one = homes[0].parent / "model"
        return f"is a folder of nodes' homes, without a model.json of its own: give one's model, such as {one}"
    if (path / "pins.sqlite").is_file():
        return f"is a store of blobs, and holds no model.json: {_GET_ONE}"
    if (path / "answers.sqlite").is_file():
        return f"is what a node keeps for itself of the sums, and holds no model.json: give {path.parent / 'model'}"
    if (path / "weights.safetensors").is_file():
        return "holds a model's weights without their model.json: copy the whole folder again"
    return f"is a folder that holds no model.json: give a model's folder; {_GET_ONE}"


def _file(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8 + _MOST_HEADER)
    size = int.from_bytes(start[:8], "little")
    header = start[8 : 8 + size] if 0 < size <= _MOST_HEADER else b""
    if header.startswith(b"{") and b'"__metadata__"' in header and b'"scaler.' in header:
        return (
            "is a shared model, which members work from, without what detecting needs beside it: "
            f"{_GET_ONE.replace('one', 'the model for use')}"
        )
    if header.startswith(b"{") and b'"network.' in header:
        return f"is a model's weights file: give the folder that it stands in, {path.parent}, with model.json beside it"
    if path.name == "model.json":
        return f"is the description of a model: give the folder that it stands in, {path.parent}"
    if _CID.fullmatch(path.name) or path.suffix == ".block":
        return f"is a block of a store, and no model: {_GET_ONE}"
    if path.name in ("federation.json", "card.json"):
        return f"is public data of a federation, and no model: {_GET_ONE}"
    if path.name.lower().endswith((".csv", ".csv.gz", ".parquet", ".txt", ".txt.gz")):
        return "is a table, and no model: give a model's folder here, and the table as --flows or --data"
    return f"is a file of {path.stat().st_size} bytes, and no model: give a model's folder; {_GET_ONE}"
