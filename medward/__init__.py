"""Hospitals train one intrusion detector for medical devices together, without a central server.

As a library: `load` and `split` a table, `train` in one place or `federate` among simulated hospitals, keep and
`load_model`, and `audit` what nodes keep. docs/api.md shows each of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medward.errors import MedwardError

if TYPE_CHECKING:
    from medward.agents.networks.interface import Network
    from medward.agents.networks.plain import PlainNetwork
    from medward.api.data import Data, load, split
    from medward.api.federation import Federation, Sentinel, federate
    from medward.api.loading import load_model
    from medward.api.model import Model
    from medward.api.training import train
    from medward.audit.homes import audit
    from medward.federation.simulation.combining import Combine, Mean, Median

__version__ = "0.1.0"
__all__ = [
    "Combine",
    "Data",
    "Federation",
    "Mean",
    "Median",
    "MedwardError",
    "Model",
    "Network",
    "PlainNetwork",
    "Sentinel",
    "audit",
    "federate",
    "load",
    "load_model",
    "split",
    "train",
]

#: Where each public name is defined; it is imported when it is first used, since some take a second.
_PLACES = {
    "Combine": "medward.federation.simulation.combining",
    "Data": "medward.api.data",
    "Federation": "medward.api.federation",
    "Mean": "medward.federation.simulation.combining",
    "Median": "medward.federation.simulation.combining",
    "Model": "medward.api.model",
    "Network": "medward.agents.networks.interface",
    "PlainNetwork": "medward.agents.networks.plain",
    "Sentinel": "medward.api.federation",
    "federate": "medward.api.federation",
    "load": "medward.api.data",
    "load_model": "medward.api.loading",
    "split": "medward.api.data",
    "train": "medward.api.training",
}


def __getattr__(name: str) -> Any:
    if name == "audit":
        return import_module("medward.audit")  # a package that can be called
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
