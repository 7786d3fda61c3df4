"""A table that fits no schema, or not the one it should: which columns are missing, misspelt or extra."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from medward.errors import printable
from medward.flows.datasets import DATASETS, Dataset
from medward.flows.schema import Schema

#: How alike two names must be (0 to 1) for one to count as the other misspelt.
_ALIKE = 0.8
#: The least share of a data set's features that make a table one that may be meant for it.
_NEAR = 0.25
_MOST_NAMES = 5
_MOST_COMPARED = 2000


@dataclass(frozen=True)
class ColumnMismatch:
    """How a table's columns differ from those that are wanted.

    Args:
        missing: wanted columns that the table has not, misspelt ones included.
        misspelt: for some of them, the extra column that may be meant.
        extra: columns that the schema does not name, but for those that are misspelt.
    """

    missing: tuple[str, ...]
    misspelt: Mapping[str, str]
    extra: tuple[str, ...]

    def clauses(self) -> str:
        """Say it, as clauses that follow a semicolon; "" where there is nothing to say."""
        said = []
        absent = [name for name in self.missing if name not in self.misspelt]
        if absent:
            said.append(f"missing: {_some(absent)}")
        if self.misspelt:
            said.append("misspelt, perhaps: " + _some([f"{name} as {self.misspelt[name]}" for name in self.misspelt]))
        if self.extra:
            said.append(f"not in the schema: {_some(self.extra)}")
        return "; ".join(said)


def mismatch_of(schema: Schema, columns: Sequence[str], wanted: Sequence[str] | None = None) -> ColumnMismatch:
    """Compare a table's columns with a schema.

    Args:
        schema: what the columns should be.
        columns: those of the table.
        wanted: which of the schema's must be there; all features by default.
    """
    wanted = [feature.name for feature in schema.features] if wanted is None else wanted
    named = {*wanted, *schema.never, schema.label, schema.device or "", schema.order or ""}
    named |= {feature.name for feature in schema.features}
    missing = [name for name in wanted if name not in columns]
    extra = {_plain(name): name for name in columns[:_MOST_COMPARED] if name not in named}
    misspelt = {}
    for name in missing[:_MOST_COMPARED]:
        for found in get_close_matches(_plain(name), extra, 1, _ALIKE):
            misspelt[name] = extra.pop(found)
    return ColumnMismatch(
        tuple(missing),
        misspelt,
        tuple(name for name in columns if name not in named and name not in misspelt.values()),
    )


def nearest(columns: Sequence[str]) -> tuple[Dataset, ColumnMismatch] | None:
    """Return the known data set of which most columns are there, and how the table differs; None if none is near."""
    found: list[tuple[float, Dataset, ColumnMismatch]] = []
    for dataset in DATASETS.values():
        mismatch = mismatch_of(dataset.schema, columns)
        features = len(dataset.schema.features)
        share = 1 - (len(mismatch.missing) - len(mismatch.misspelt)) / features
        found.append((share, dataset, mismatch))
    share, dataset, mismatch = max(found, key=lambda one: one[0])
    return (dataset, mismatch) if share >= _NEAR else None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold()) or name


def _some(names: Iterable[str]) -> str:
    """Return the first names as one printable text, and how many more there are."""
    every = [printable(name)[:60] for name in names]
    more = f" and {len(every) - _MOST_NAMES} more" if len(every) > _MOST_NAMES else ""
    return ", ".join(every[:_MOST_NAMES]) + more
