"""The one encoding of a shared model: equal models have equal bytes, whose name the members agree on."""

import json
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from medward.agents.closed_form.features import states_of
from medward.agents.closed_form.model import Regression
from medward.federation.errors import FederationError
from medward.federation.model.courier import NO_SIGNALS, Signals, blocks_of
from medward.federation.model.gram import ClosedForm, Gather, begin_gathering
from medward.federation.model.plan import TrainingPlan, plan_digest
from medward.federation.model.shared_model import Census, SharedModel
from medward.federation.model.survey import Survey
from medward.federation.model.train import Train
from medward.flows.scaling import Scaler
from medward.flows.sketch import Grid

#: No shared model is longer; those of the data sets that are known have 0.3 to 2.4 million bytes.
MOST_BYTES = 2**24
_MOST_HEADER = 2**16
#: No federation makes so many steps, or skips so many.
_MOST_STEPS = 10**6
#: Courier reckons with signals in 64 bits; sums of 30 bits lead to smaller ones.
_LARGEST_SIGNAL = 2**44
#: The arrays of a shared model: type and number of dimensions.
_ARRAYS = {
    "grid.cells": (np.int64, 1),
    "grid.edges": (np.int64, 1),
    "classes": (np.int64, 1),
    "scaler.numbers": (np.int64, 1),
    "scaler.indicators": (np.int64, 1),
    "scaler.flags": (np.int64, 1),
    "scaler.knots": (np.float32, 2),
    "scaler.knot_count": (np.int64, 1),
    "scaler.mean": (np.float32, 1),
    "scaler.scale": (np.float32, 1),
    "scaler.bins": (np.float32, 2),
    "scaler.bin_count": (np.int64, 1),
    "weights": (np.float32, 1),
    "momentum": (np.float32, 1),
    "tail": (np.float64, 1),
    "coefficients": (np.float64, 3),
    "shortfall": (np.float64, 1),
}


def encode_model(shared: SharedModel) -> bytes:
    """Return the shared model's one encoding; equal models have equal bytes.

    Raises:
        FederationError: it would be longer than any that is read.
    """
    head: dict[str, object] = {"plan": plan_digest(shared.plan), "step": shared.step}
    match shared:
        case Survey():
            grid, census = shared.grid, shared.census
            head |= {"averaged": 0, "skipped": 0, "sent": (), "signals": NO_SIGNALS.fields()}
            arrays: dict[str, NDArray[Any]] = {}
        case Train():
            grid, census = Grid(()), shared.census
            head |= {"averaged": shared.averaged, "skipped": shared.skipped}
            head |= {"sent": shared.sent, "signals": shared.signals.fields()}
            arrays = {"weights": shared.weights, "momentum": shared.momentum}
            # Until the last rounds are averaged the tail is nothing but zeros.
            arrays |= {"tail": shared.tail} if shared.averaged else {}
        case Gather() | ClosedForm():
            grid, census = Grid(()), shared.census
            head |= {"averaged": 0, "skipped": 0, "sent": (), "signals": NO_SIGNALS.fields()}
            arrays = {}
            if isinstance(shared, ClosedForm):
                arrays["coefficients"] = shared.found.coefficients
                arrays["shortfall"] = np.array([shared.found.shortfall])
        case _:
            raise TypeError(f"no encoding for {type(shared)}")
    arrays |= {
        "grid.cells": np.array([len(edges) for edges in grid.edges], np.int64),
        "grid.edges": np.concatenate([np.zeros(0, np.int64), *grid.edges]),
        "classes": np.array(() if census is None else census.classes, np.int64),
    }
    if census is None:
        head |= {"most_rows": 0, "rows": 0, "windows": 0, "surveyed": 0}
    else:
        head |= {"most_rows": census.most_rows, "rows": census.rows}
        head |= {"windows": census.windows, "surveyed": census.hospitals}
        arrays |= {f"scaler.{name}": value for name, value in vars(census.scaler).items() if name != "kind"}
    # One key only: safetensors writes several in no fixed order.
    content = safetensors.numpy.save(
        {name: np.ascontiguousarray(value) for name, value in arrays.items()},
        {"head": json.dumps(head, sort_keys=True)},
    )
    if len(content) > MOST_BYTES:
        raise FederationError(f"A shared model of {len(content)} bytes is too long; at most {MOST_BYTES} are read.")
    return content


def decode_model(plan: TrainingPlan, content: bytes) -> SharedModel:
    """Read what `encode_model` wrote.

    Raises:
        FederationError: the bytes are damaged or belong to another plan.
    """
    if len(content) > MOST_BYTES:
        raise FederationError(f"A shared model has at most {MOST_BYTES} bytes, and this one {len(content)}.")
    try:
        size = int.from_bytes(content[:8], "little")
        if size > _MOST_HEADER:
            raise ValueError(f"its header says that it has {size} bytes")
        head = msgspec.json.decode(msgspec.json.decode(content[8 : 8 + size], type=_Header).metadata.head, type=_Head)
        arrays = safetensors.numpy.load(content)
        for name, array in arrays.items():
            _check_array(name, array)
        if head.plan != plan_digest(plan):
            raise FederationError("The shared model was made under another plan: use the same data, options and seed.")
        head.check()
        census = _census(plan, head, arrays)
        grid = _grid(arrays["grid.cells"], arrays["grid.edges"])
        if plan.features and head.step >= plan.recipe.scaling.surveys:
            return _closed_form(plan, head, census, arrays)
        if "weights" not in arrays:
            return _survey(plan, head, grid, census)
        if grid.edges:
            raise ValueError("it has the cells of a survey beside weights")
        return _train(plan, head, census, arrays)
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError, msgspec.MsgspecError) as error:
        raise FederationError(f"The shared model is damaged ({error}): start the federation again.") from None


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    """What stands beside a shared model's arrays."""

    plan: str
    step: int
    averaged: int
    most_rows: int
    rows: int
    windows: int
    surveyed: int
    skipped: int
    sent: tuple[int, ...]
    signals: Signals

    def check(self) -> None:
        """Raise ValueError for numbers that no federation comes to."""
        counts, signals = (self.most_rows, self.rows, self.windows, self.surveyed), self.signals
        fits = (
            0 <= self.step <= _MOST_STEPS
            and 0 <= self.skipped <= _MOST_STEPS
            and all(0 <= count < 2**63 for count in (*counts, signals.spent))
            and 0 <= signals.covered <= _MOST_STEPS
            and all(abs(signal) < _LARGEST_SIGNAL for signal in (signals.energy, signals.cost, signals.drop))
        )
        if not fits:
            raise ValueError("its numbers are out of range")


class _Metadata(msgspec.Struct):
    head: str


class _Header(msgspec.Struct):
    """The part of a safetensors header that is read here; the library reads the rest."""

    metadata: _Metadata = msgspec.field(name="__metadata__")


def _census(plan: TrainingPlan, head: _Head, arrays: dict[str, NDArray[Any]]) -> Census | None:
    """Return what the surveys told, or None before the first."""
    scaler = {name.removeprefix("scaler."): array for name, array in arrays.items() if name.startswith("scaler.")}
    classes = tuple(int(k) for k in arrays["classes"])
    if not scaler:
        return None
    fitted = Scaler(kind=plan.recipe.scaling.scaler, **scaler)
    fitted.check(len(plan.space.columns))
    if list(classes) != sorted(set(classes)) or not set(classes) <= set(range(len(plan.space.schema.classes))):
        raise ValueError("its classes are not the schema's")
    if not head.most_rows or not head.surveyed:
        raise ValueError("its surveys counted no hospital")
    return Census(fitted, classes, head.most_rows, head.rows, head.windows, head.surveyed)


def _survey(plan: TrainingPlan, head: _Head, grid: Grid, census: Census | None) -> Survey:
    if head.step >= plan.recipe.scaling.surveys:
        raise ValueError(f"it has no weights at step {head.step}, after the surveys")
    if len(grid.edges) != len(plan.space.columns):
        raise ValueError(f"it has cells of {len(grid.edges)} columns, and there are {len(plan.space.columns)}")
    return Survey(plan, head.step, grid, census)


def _train(plan: TrainingPlan, head: _Head, census: Census | None, arrays: dict[str, NDArray[Any]]) -> Train:
    if census is None or head.step < plan.recipe.scaling.surveys:
        raise ValueError(f"it has weights at step {head.step}, before the surveys were over")
    done = head.step - plan.recipe.scaling.surveys
    if not all(0 <= number <= done for number in (head.averaged, *head.sent)):
        raise ValueError(f"it has sums of other rounds than the {done} that are done")
    weights, momentum = arrays["weights"], arrays["momentum"]
    tail = arrays.get("tail", np.zeros(len(weights)))
    if not len(weights) == len(momentum) == len(tail):
        raise ValueError("its weights, their momentum and their sum differ in length")
    if not all(np.isfinite(one).all() for one in (weights, momentum, tail)):
        raise ValueError("some of its weights are no numbers")
    census.check_classes()
    stage = Train(
        plan=plan,
        step=head.step,
        census=census,
        weights=weights,
        momentum=momentum,
        tail=tail,
        averaged=head.averaged,
        sent=head.sent,
        signals=head.signals,
        skipped=head.skipped,
    )
    if len(weights) != stage.size or len(head.sent) != blocks_of(stage.size):
        raise ValueError(f"it has {len(weights)} weights, and its network has {stage.size}")
    return stage


def _closed_form(
    plan: TrainingPlan, head: _Head, census: Census | None, arrays: dict[str, NDArray[Any]]
) -> SharedModel:
    surveys = plan.recipe.scaling.surveys
    if census is None or head.step > surveys + 1:
        raise ValueError(f"a model in closed form has no step {head.step}, or it has no scaler")
    if head.step == surveys:
        return begin_gathering(plan, census)
    coefficients, shortfall = arrays["coefficients"], arrays["shortfall"]
    shape = (states_of(plan.space), 1 + plan.features, len(census.classes))
    if coefficients.shape != shape or shortfall.shape != (1,) or not np.isfinite(coefficients).all():
        raise ValueError(f"its coefficients are not finite numbers of shape {shape}")
    return ClosedForm(plan, head.step, census, Regression(coefficients, float(shortfall[0])))


def _check_array(name: str, array: NDArray[np.generic]) -> None:
    """Raise ValueError for an array of another kind than `encode_model` writes under this name."""
    if name not in _ARRAYS or array.dtype != _ARRAYS[name][0] or array.ndim != _ARRAYS[name][1]:
        raise ValueError(f"it holds an array {name!r} of {array.ndim} dimensions and type {array.dtype}")


def _grid(cells: NDArray[np.int64], edges: NDArray[np.int64]) -> Grid:
    if ((cells < 1) | (cells > len(edges))).any() or cells.sum() != len(edges):
        raise ValueError("its cells are not those of its columns")
    grid = Grid(tuple(np.split(edges, np.cumsum(cells)[:-1])) if len(cells) else ())
    grid.check()
    return grid
