"""Reading a model's folder, whatever kind of model it holds."""

from os import PathLike
from pathlib import Path

from medward.agents.networks.interface import DESCRIPTION, Network
from medward.agents.sentinel import model
from medward.api.model import Model, TrainedSentinel
from medward.api.network import load_network


def load_model(folder: str | PathLike[str], network: Network | None = None) -> Model:
    """Read a model that was saved: by `Model.save`, `medward train`, `medward demo` or a node.

    Args:
        folder: where it is.
        network: where the folder holds the weights of a network of your own, that network; a folder holds no code.

    Raises:
        BadModel: a file is missing, damaged or of another version, or the network is missing.
    """
    place = Path(folder)
    if (place / DESCRIPTION).is_file():
        return load_network(place, network)
    return TrainedSentinel(model.load_model(place))
