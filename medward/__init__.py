"""Hospitals train one intrusion detector for medical devices together, without a central server.

As a library: `load` and `split` a table, `train` in one place or `federate` among simulated hospitals, keep and
`load_model`, and `audit` what nodes keep. docs/api.md shows each of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medward.errors import MedwardError

if TYPE_CHECKING:
    from medward.api.data import Data, load, split
    from medward.api.model import Model, load_model
    from medward.api.training import train
    from medward.audit.homes import audit

__version__ = "0.1.0"
__all__ = ["Data", "MedwardError", "Model", "audit", "load", "load_model", "split", "train"]

#: Where each public name is defined; it is imported when it is first used, since some take a second.
_PLACES = {
    "Data": "medward.api.data",
    "load": "medward.api.data",
    "split": "medward.api.data",
    "Model": "medward.api.model",
    "load_model": "medward.api.model",
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
