"""The vocabulary of flows: what a data set's columns mean, and flows as arrays. Open this file first.

A *flow* is one row: what a gateway saw of one connection, packet or window of a device. A *schema* says which columns
may be features, in which group each stands (cheap: always at hand; expensive: bought with ESCALATE), which values a
text column takes, which classes there are, and which columns must never become features and why. `Flows` holds rows
that were checked against a schema, as arrays.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64, Int8, Int32
from numpy.typing import NDArray

UNLABELLED = -1

#: Among a schema's aliases, it stands for every name that is none of the others and no class.
OTHER_NAMES = "*"


class Group(Enum):
    """What a feature costs: CHEAP is always visible, EXPENSIVE only after ESCALATE bought the evidence."""

    CHEAP = "cheap"
    EXPENSIVE = "expensive"


@dataclass(frozen=True)
class Feature:
    """One column of the file that may be used as a feature.

    Args:
        name: the column's name in the file.
        group: what it costs to see it.
        categories: for a text column, the values that get an indicator each (any other value gets none); empty for a
            number.
        optional: whether a cell may be empty (a monitor that sent nothing); the value is then missing, not zero.
        fillers: texts that mean "nothing there" in a text column.
        event: for a text column, whether its values are events whose last occurrence is worth remembering.
    """

    name: str
    group: Group = Group.CHEAP
    categories: tuple[str, ...] = ()
    optional: bool = False
    fillers: tuple[str, ...] = ()
    event: bool = False


@dataclass(frozen=True)
class Column:
    """One column of the feature matrix: a number, the indicator of a category, or history of either.

    Args:
        name: unique in its matrix.
        group: what it costs to see it.
        indicator: whether it is 0 or 1 by construction.
        event: whether it is the indicator of an event (see `Feature.event`).
        history: whether it sums up earlier rows of the device's stream.
    """

    name: str
    group: Group
    indicator: bool = False
    event: bool = False
    history: bool = False


@dataclass(frozen=True)
class Schema:
    """What a data set's columns mean.

    Args:
        dataset: the short name, as the command line takes it.
        title: the name that people know.
        features: the columns that may be features, in the order of the feature matrix.
        label: the column that holds the class.
        classes: the class names; the first is the benign one.
        aliases: other spellings or finer labels, each mapped to one of `classes`; OTHER_NAMES stands for all that are
            not listed, which are an error without it.
        never: columns that must not become features, each with the reason.
        device: the column that names the device a flow belongs to, where there is one.
        order: the numeric column that orders the flows of a device, where there is one.
        step: the difference of `order` that memories count as one row.
        source: the column that names the capture file a row came from, where the rows were pooled.
        history: whether running averages over a device's stream are honest features of this data set.
        synthetic: whether the data was made by a program; then every output says so.
        citation: the paper to cite.
    """

    dataset: str
    title: str
    features: tuple[Feature, ...]
    label: str
    classes: tuple[str, ...]
    never: Mapping[str, str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None
    order: str | None = None
    step: float = 1.0
    source: str | None = None
    history: bool = False
    synthetic: bool = False
    citation: str = ""

    def __post_init__(self) -> None:
        names = [feature.name for feature in self.features]
        forbidden = set(names) & (set(self.never) | {self.label})
        if forbidden or len(set(names)) != len(names):
            raise ValueError(f"schema {self.dataset}: features repeat or may never be features: {sorted(forbidden)}")
        if set(self.aliases.values()) - set(self.classes):
            raise ValueError(f"schema {self.dataset}: an alias names no class")

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the feature matrix: one for a number, one for each category of a text column."""
        out: list[Column] = []
        for feature in self.features:
            if feature.categories:
                out += [
                    Column(f"{feature.name}={value}", feature.group, indicator=True, event=feature.event)
                    for value in feature.categories
                ]
            else:
                out.append(Column(feature.name, feature.group))
        return tuple(out)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of all that decides what a row means: two parties with equal digests read the same features."""
        said = {key: value for key, value in asdict(self).items() if key not in ("title", "citation", "never")}
        text = json.dumps({**said, "never": sorted(self.never)}, sort_keys=True, default=lambda group: group.value)
        return hashlib.sha256(f"medward schema 1\n{text}".encode()).digest()

    @property
    def benign(self) -> str:
        """The class that is no attack."""
        return self.classes[0]

    def without(self, names: Sequence[str], reason: str) -> "Schema":
        """Return this schema with some features moved to the columns that are never used."""
        unknown = set(names) - {feature.name for feature in self.features}
        if unknown:
            raise ValueError(f"schema {self.dataset} has no features {sorted(unknown)}")
        kept = tuple(feature for feature in self.features if feature.name not in names)
        return replace(self, features=kept, never={**self.never, **dict.fromkeys(names, reason)})


@dataclass(frozen=True)
class Flows:
    """Rows of one data set, checked and turned into arrays.

    Args:
        schema: what the columns mean.
        x: the feature matrix, `schema.columns` wide; NaN where a value is missing.
        y: the class of each row as an index into `schema.classes`, UNLABELLED where it is unknown.
        source: for each row, the index into `sources` of the capture file it came from.
        sources: the names of those files.
        device: for each row, the index into `devices`.
        devices: the devices' names; a single "" where the data set names none.
        order: for each row the key that orders its device's flows, or None where the data set has none.
        official: for each row 0 (train) or 1 (test) where the publishers fixed a split, else None.
        trust: for each row how far its class is to be trusted in training, in (0, 1], or None where all are alike.
    """

    schema: Schema
    x: Float32[np.ndarray, "rows columns"]
    y: Int32[np.ndarray, " rows"]
    source: Int32[np.ndarray, " rows"]
    sources: tuple[str, ...]
    device: Int32[np.ndarray, " rows"]
    devices: tuple[str, ...]
    order: Float64[np.ndarray, " rows"] | None = None
    official: Int8[np.ndarray, " rows"] | None = None
    trust: Float32[np.ndarray, " rows"] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "Flows":
        """Return the given rows, in the given order."""
        return replace(
            self,
            x=self.x[rows],
            y=self.y[rows],
            source=self.source[rows],
            device=self.device[rows],
            order=None if self.order is None else self.order[rows],
            official=None if self.official is None else self.official[rows],
            trust=None if self.trust is None else self.trust[rows],
        )


def concatenate(parts: Sequence[Flows]) -> Flows:
    """Join flows of one schema, keeping the rows' order; source and device names are merged."""
    first = parts[0]
    if len(parts) == 1:
        return first
    sources, source = _merge_names([(part.sources, part.source) for part in parts])
    devices, device = _merge_names([(part.devices, part.device) for part in parts])
    orders = [part.order for part in parts if part.order is not None]
    officials = [part.official for part in parts if part.official is not None]
    return Flows(
        schema=first.schema,
        x=np.concatenate([part.x for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        source=source,
        sources=sources,
        device=device,
        devices=devices,
        order=np.concatenate(orders) if len(orders) == len(parts) else None,
        official=np.concatenate(officials) if len(officials) == len(parts) else None,
        trust=_joined_trust(parts),
    )


def _joined_trust(parts: Sequence[Flows]) -> NDArray[np.float32] | None:
    """Return the trust of all rows; where a part says nothing of it, its rows have all."""
    if all(part.trust is None for part in parts):
        return None
    return np.concatenate([np.ones(len(part), np.float32) if part.trust is None else part.trust for part in parts])


def _merge_names(
    parts: Sequence[tuple[tuple[str, ...], NDArray[np.int32]]],
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    # In sorted order: how a file was cut into batches must not show in the codes, which splits are drawn by.
    place = {name: code for code, name in enumerate(sorted({name for names, _ in parts for name in names}))}
    merged = []
    for names, codes in parts:
        merged.append(np.array([place[name] for name in names], np.int32)[codes])
    return tuple(place), np.concatenate(merged)
