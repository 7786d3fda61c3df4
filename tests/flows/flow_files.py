"""Small files in the forms that the data sets are published in, and rows made up for tests."""

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medward.flows.cells import Labels
from medward.flows.datasets import WUSTL, Dataset
from medward.flows.errors import BadFile
from medward.flows.reading import read_flows
from medward.flows.schema import Flows

Table = dict[str, list[str]]


def table_of(dataset: Dataset, rows: int, seed: int = 0) -> Table:
    """Make up cells for every column that the data set's schema speaks of."""
    rng = np.random.default_rng(seed)
    schema = dataset.schema
    table: Table = {name: [f"{name} {i % 7}" for i in range(rows)] for name in schema.never}
    if schema.device is not None:
        table[schema.device] = [f"device {k}" for k in rng.integers(0, 4, rows)]
    if schema.source is not None:
        table[schema.source] = [f"capture {i * 3 // max(rows, 1)}" for i in range(rows)]
    if schema.order is not None:
        table[schema.order] = [str(k) for k in rng.permutation(rows) + 1]
    for feature in schema.features:
        if feature.categories:
            values = (*feature.categories, "something else", *feature.fillers)
            table[feature.name] = [values[k] for k in rng.integers(0, len(values), rows)]
        else:
            cells = [f"{value:.6g}" for value in rng.normal(0, 1000, rows)]
            table[feature.name] = ["" if feature.optional and rng.random() < 0.3 else cell for cell in cells]
    table[schema.label] = [schema.classes[k] for k in rng.integers(0, len(schema.classes), rows)]
    return table


def text_of(table: Table, end: str = "\n", header: bool = True, quoting: int = csv.QUOTE_MINIMAL) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=quoting)
    if header:
        writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return out.getvalue()


def write(path: Path, content: Table | str | bytes) -> Path:
    """Write a table as CSV or Parquet, or text or bytes as they are; compressed where the name ends in .gz."""
    if path.name.lower().endswith(".parquet") and isinstance(content, dict):
        pl.DataFrame(content).write_parquet(path)
        return path
    text = text_of(content) if isinstance(content, dict) else content
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data, compresslevel=1, mtime=0) if path.name.lower().endswith(".gz") else data)
    return path


def typed(dataset: Dataset, table: Table) -> pl.DataFrame:
    """The table as a data frame whose number columns hold numbers."""
    numbers = [feature.name for feature in dataset.schema.features if not feature.categories]
    frame = pl.DataFrame(table)
    return frame.with_columns(
        pl.when(pl.col(name) == "").then(None).otherwise(pl.col(name)).cast(pl.Float64).alias(name) for name in numbers
    )


def assert_same(one: Flows, other: Flows) -> None:
    assert (one.sources, one.devices) == (other.sources, other.devices)
    assert one.x.tobytes() == other.x.tobytes()
    for name in ("y", "source", "device", "order", "official"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def refusal(dataset: Dataset, path: Path, labels: Labels = "required") -> BadFile:
    """Read a file that must be refused, in one sentence that names it; return the error."""
    with pytest.raises(BadFile) as caught:
        read_flows(dataset, path, labels)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert text.endswith(".")
    assert "; expected " in text
    assert len(text.splitlines()) == 1
    assert "Traceback" not in text
    assert "Error(" not in text
    return caught.value


def made_flows(
    x: np.ndarray,
    y: Sequence[int] | np.ndarray | None = None,
    source: Sequence[int] | np.ndarray | None = None,
    device: Sequence[int] | np.ndarray | None = None,
    order: Sequence[float] | np.ndarray | None = None,
    dataset: Dataset = WUSTL,
) -> Flows:
    """Flows from arrays, without a file; `x` may have fewer columns than the schema, the others are zero."""
    rows = len(x)
    full = np.zeros((rows, len(dataset.schema.columns)), np.float32)
    full[:, : x.shape[1]] = x
    source = np.zeros(rows, np.int32) if source is None else np.asarray(source, np.int32)
    device = np.zeros(rows, np.int32) if device is None else np.asarray(device, np.int32)
    return Flows(
        schema=dataset.schema,
        x=full,
        y=np.zeros(rows, np.int32) if y is None else np.asarray(y, np.int32),
        source=source,
        sources=tuple(f"capture {k}" for k in range(int(source.max(initial=0)) + 1)),
        device=device,
        devices=tuple(f"device {k}" for k in range(int(device.max(initial=0)) + 1)),
        order=None if order is None else np.asarray(order, np.float64),
    )
