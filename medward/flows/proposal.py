"""A schema file proposed for a table that nobody has described, with warnings about columns that give things away.

The proposal is a beginning: whoever knows the table reads it, moves columns, and keeps it. It looks at each column
alone: how many values it has, whether they are numbers, and how well it separates attacks from the rest, or one capture
from the others, all by itself. A column that needs no others was made by the laboratory, not by the attack.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medward.errors import printable
from medward.flows.cells import seconds_of
from medward.flows.datasets._dataset import plain_file
from medward.flows.errors import BadFile, BadSchema
from medward.flows.reading import column_frames, data_files
from medward.flows.schema_file import MOST_CLASSES, MOST_VALUES, Columns, SchemaFile
from medward.flows.separation import GIVES_AWAY, LEAST_ROWS, WITHOUT_ERROR, class_told_apart, groups_of, separation

#: So many rows are looked at, evenly spread over the files.
MOST_ROWS = 400_000
_COPY = 2
#: Whole numbers of which so large a share is there once may be identifiers.
_NEAR_UNIQUE = 0.95
_FEW = 12
_BENIGN = re.compile(r"^(benign|normal|no[ _-]?attack|0|legitimate|background)$", re.IGNORECASE)
# Names of columns that tell of the testbed: addresses, ports, running numbers, hop limits.
_TESTBED = re.compile(
    r"(^|[_ .])(ports?|sport|dport|addr(ess)?|macs?|ttl|ids?|index|uid|session|host|ip(v?[46])?)$"
    r"|^(no|number|seq|source|destination|src|dst)[. ]?$|^(src|dst|source|dest|destination)[_ ]?(ip|mac|port|addr)",
    re.IGNORECASE,
)
_CODES = re.compile(r"(proto(col)?|flags?|type|code|state|service|method|opcode)", re.IGNORECASE)
_TIMES = re.compile(r"(^|[_ .])(time(stamp)?|start|stime|date|ts)([_ .]|$)", re.IGNORECASE)
_DEVICES = re.compile(r"(^|[_ .])(device|dev|host|src_?ip|source_?ip|src_?mac|client)([_ .]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class ColumnFacts:
    """What one column of a table looks like.

    Args:
        name: the column's name.
        numeric: whether every cell that is not empty is a number.
        whole: whether those are whole numbers.
        values: how many different values there are in the rows that were looked at.
        empty: the share of empty cells.
        frequent: the most frequent values, at most `MOST_VALUES`, the most frequent first.
        tells_label: how well this column alone separates attacks from benign rows, .5 (not at all) to 1; None without
            labels of both kinds.
        tells_class: a class that this column alone tells from all others without an error, None where there is none.
        tells_capture: the same as `tells_label` for one file of the table against the others; None where there is one.
        rises: whether it grows from row to row, as a clock or a counter does.
    """

    name: str
    numeric: bool
    whole: bool
    values: int
    empty: float
    frequent: tuple[str, ...]
    tells_label: float | None
    tells_class: str | None
    tells_capture: float | None
    rises: bool


@dataclass(frozen=True)
class SchemaProposal:
    """A proposed schema file.

    Args:
        file: the schema file, complete for the rows that were looked at.
        rows: how many rows were looked at.
        columns: the facts about every column but the label.
        reasons: for each column that is no feature, why not.
        warnings: sentences about columns that give the label or the capture away.
    """

    file: SchemaFile
    rows: int
    columns: tuple[ColumnFacts, ...]
    reasons: dict[str, str]
    warnings: tuple[str, ...]


def propose(path: Path, label: str | None, name: str | None = None, benign: tuple[str, ...] = ()) -> SchemaProposal:
    """Look at a table and propose its schema file.

    Args:
        path: a file, or a folder of files with the same columns.
        label: the column of class names; None where rows have none.
        name: the schema's name; by default one made of the file's.
        benign: the classes that are harmless; by default the one whose name says so.

    Raises:
        BadFile: the table cannot be read, or has no such column.
        BadSchema: the label has too many values to be one, or none of them is benign.
    """
    frame, capture = _sample(path)
    if label is not None and label not in frame.columns:
        near = ", ".join(frame.columns[-4:])
        raise BadFile(path, "the label's column is missing", f"one of its columns, such as {near}", column=label)
    texts = {column: _texts(frame, column) for column in frame.columns}
    if label is not None:
        benign, classes = _classes(path, texts[label], benign)
        texts[label] = texts[label].replace(dict.fromkeys(benign, benign[0]))
    else:
        classes = None
    truth = None if label is None or classes is None else _Truth(classes, texts[label])
    facts = tuple(_facts(column, texts[column], truth, capture) for column in frame.columns if column != label)
    reasons, warnings = _reasons(facts, frame.height)
    time, device = _clock_and_device(facts, texts)
    lists: dict[str, list[str]] = {"cheap": [], "categories": [], "forbidden": []}
    for fact in facts:
        if fact.name in (time, device):
            continue
        if fact.name in reasons:
            if fact.values > 1:
                lists["forbidden"].append(fact.name)
        elif _is_category(fact):
            lists["categories"].append(fact.name)
        else:
            lists["cheap"].append(fact.name)
    if not lists["cheap"] and not lists["categories"]:
        raise BadSchema(f"{path} has no column that could be a feature: {'; '.join(warnings) or 'all are constant'}.")
    columns = Columns(**{key: tuple(names) for key, names in lists.items()})
    values = {fact.name: fact.frequent for fact in facts if fact.name in columns.categories}
    file = SchemaFile(
        name=name or _name(path),
        columns=columns,
        label=label,
        benign=() if classes is None else benign,
        time=time,
        device=device,
        step=_step(texts, time, device),
        classes=classes,
        values=values,
    )
    return SchemaProposal(file, frame.height, facts, reasons, warnings)


def completed(file: SchemaFile, path: Path) -> SchemaFile:
    """Return the schema file with what it leaves out taken from rows: classes, values of categories, the step of time.

    Raises:
        BadFile: the table cannot be read, or lacks a column.
        BadSchema: the label has too many values, or none of them is benign.
    """
    if file.complete:
        return file
    frame, _ = _sample(path)
    for column in [*file.columns.categories, *(c for c in (file.label, file.time, file.device) if c is not None)]:
        if column not in frame.columns:
            raise BadFile(path, "the column is missing", f"the columns of {file.name}", column=column)
    changes: dict[str, object] = {}
    if file.label is not None and file.classes is None:
        found = _labels(path, _texts(frame, file.label))
        changes["classes"] = (file.benign[0], *sorted(set(found) - set(file.benign)))
    values = {
        name: file.values[name] if name in file.values else _frequent(_texts(frame, name))
        for name in file.columns.categories
    }
    for name, chosen in values.items():
        if not chosen:
            raise BadFile(path, "every cell of the category is empty", "at least one value", column=name)
    changes["values"] = values
    if file.history and file.step is None:
        texts = {name: _texts(frame, name) for name in (file.time, file.device) if name is not None}
        changes["step"] = _step(texts, file.time, file.device)
    fields = {key: getattr(file, key) for key in file.__struct_fields__}
    return SchemaFile(**(fields | changes))


def _sample(path: Path) -> tuple[pl.DataFrame, NDArray[np.int32]]:
    """Return rows of a table, all as text, spread evenly over its files, and the number of each row's file."""
    files = data_files(path)
    most, parts, captures = max(1, MOST_ROWS // len(files)), [], []
    first: list[str] | None = None
    for number, file in enumerate(files):
        rows = pl.concat(list(_thinned(file, most)), how="vertical")
        if first is None:
            first = rows.columns
        elif rows.columns != first:
            raise BadFile(file, "its columns differ from those of the first file", f"the columns of {files[0].name}")
        parts.append(rows)
        captures.append(np.full(rows.height, number, np.int32))
    frame = pl.concat(parts, how="vertical")
    if not frame.height:
        raise BadFile(path, "there are no rows", "at least one row after the header")
    return frame, np.concatenate(captures)


def _thinned(file: Path, most: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file, every k-th of them once there are more than `most`."""
    every, seen, kept = 1, 0, 0
    for frame in column_frames(plain_file(file)):
        nested = [name for name in frame.columns if frame.schema[name].is_nested() or frame.schema[name] == pl.Binary]
        if nested:
            raise BadFile(file, f"the column holds {frame.schema[nested[0]]}", "numbers or text", column=nested[0])
        start = -seen % every
        part = frame.cast(pl.String).gather_every(every, start)
        seen += frame.height
        kept += part.height
        if kept > most * every:
            every *= 2
        yield part


def _texts(frame: pl.DataFrame, name: str) -> pl.Series:
    return frame[name].fill_null("").str.strip_chars()


def _labels(path: Path, texts: pl.Series) -> list[str]:
    found = sorted(set(texts.unique().to_list()) - {""})
    if not found:
        raise BadFile(path, "no row has a label", "a class in each row", column=texts.name)
    if len(found) > MOST_CLASSES:
        raise BadSchema(
            f"{path}: the label {texts.name!r} has {len(found)} different values, more than {MOST_CLASSES}: name the "
            "column that holds classes."
        )
    return found


def _classes(path: Path, texts: pl.Series, named: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels that are benign, as named or as a name tells, and the classes, the benign one first."""
    found = _labels(path, texts)
    values = f"{', '.join(map(printable, found[:6]))}{', ...' if len(found) > 6 else ''}"
    if unknown := [name for name in named if name not in found]:
        raise BadSchema(f"{path}: the label {texts.name!r} has no value {unknown[0]!r}; it has {values}.")
    benign = tuple(dict.fromkeys(named)) or tuple(name for name in found if _BENIGN.match(name))[:1]
    if not benign:
        raise BadSchema(
            f"{path}: no value of the label {texts.name!r} looks benign ({values}): say which one is, with --benign, "
            "or name another column."
        )
    return benign, (benign[0], *(name for name in found if name not in benign))


class _Truth:
    """The rows' classes.

    Args:
        classes: their names, the benign one first.
        texts: each row's class.
    """

    def __init__(self, classes: tuple[str, ...], texts: pl.Series) -> None:
        number = {name: code for code, name in enumerate(classes)}
        # A row without a class is no benign one.
        self._classes, self._rows = classes, texts.replace_strict(number, default=-1, return_dtype=pl.Int64).to_numpy()

    def told_by(self, group: NDArray[np.int64]) -> float | None:
        """Return how well groups alone tell attacks from benign rows; None without both kinds."""
        attack = self._rows != 0
        return separation(group, attack) if 0 < attack.sum() < len(attack) else None

    def class_told_by(self, group: NDArray[np.int64]) -> str | None:
        """Return an attack that groups alone tell from all other rows."""
        number = class_told_apart(group, self._rows)
        return None if number is None else self._classes[number]


def _facts(name: str, texts: pl.Series, truth: _Truth | None, capture: NDArray[np.int32]) -> ColumnFacts:
    numbers = texts.cast(pl.Float64, strict=False)
    full = texts != ""
    numeric = bool(full.any()) and not bool((numbers.is_null() & full).any())
    values = numbers.fill_null(float("nan")).to_numpy() if numeric else np.empty(0)
    finite = values[np.isfinite(values)] if numeric else values
    groups = _grouped(texts, values if numeric else None)
    captures = None
    if len(np.unique(capture)) > 1:
        captures = max(separation(groups, capture == number) for number in np.unique(capture))
    return ColumnFacts(
        name=name,
        numeric=numeric,
        whole=numeric and bool((finite == np.floor(finite)).all()),
        values=int(texts.n_unique()),
        empty=1 - float(full.to_numpy().mean()),
        frequent=_frequent(texts),
        tells_label=None if truth is None else truth.told_by(groups),
        tells_class=None if truth is None else truth.class_told_by(groups),
        tells_capture=captures,
        rises=numeric and len(finite) > 2 and bool((np.diff(finite) >= 0).mean() > 0.999) and finite[-1] > finite[0],
    )


def _grouped(texts: pl.Series, values: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """Return a group for each row: that of its number, or its text."""
    if values is not None:
        return groups_of(values)
    return _numbered(texts)


def _numbered(texts: pl.Series) -> NDArray[np.int64]:
    """Return the number of each text among all, in alphabetical order.

    NumPy would give every row as much room as the longest text takes: one long cell would fill the memory.
    """
    return texts.rank("dense").to_numpy().astype(np.int64) - 1


def _frequent(texts: pl.Series) -> tuple[str, ...]:
    counted = texts.filter(texts != "").value_counts(sort=True).sort(["count", texts.name], descending=[True, False])
    return tuple(counted[texts.name].head(MOST_VALUES).to_list())


def _reasons(facts: Sequence[ColumnFacts], rows: int) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return why columns are no features, and sentences about those that give something away."""
    reasons: dict[str, str] = {}
    warnings: list[str] = []
    for fact in facts:
        if fact.values <= 1:
            reasons[fact.name] = "is constant"
            continue
        if fact.tells_label is not None and fact.tells_label > GIVES_AWAY:
            if fact.tells_label > WITHOUT_ERROR:
                reasons[fact.name] = "is the label in other words"
            warnings.append(
                f"{fact.name!r} alone separates attacks from benign rows (area under its curve "
                f"{fact.tells_label:.3f}): "
                "it is the label in other words, or made so by the laboratory, and what is measured with it is worth "
                "little"
            )
        elif fact.tells_class is not None:
            if fact.values == _COPY:
                reasons[fact.name] = "is a class in other words"
            warnings.append(
                f"{fact.name!r} alone tells {fact.tells_class!r} from all other rows: it is the label in other words, "
                "or made so by the laboratory"
            )
        if fact.tells_capture is not None and fact.tells_capture > GIVES_AWAY:
            reasons.setdefault(fact.name, "tells which file a row is from")
            warnings.append(
                f"{fact.name!r} alone tells which file a row is from (area under its curve {fact.tells_capture:.3f}): "
                "a model would learn the capture by it"
            )
        elif fact.rises:
            reasons.setdefault(fact.name, "rises from row to row, as a clock or a counter")
        elif _TESTBED.search(fact.name):
            reasons.setdefault(
                fact.name, "by its name, belongs to the testbed, as addresses, ports and running numbers do"
            )
        elif not fact.numeric and fact.values > MOST_VALUES:
            reasons.setdefault(fact.name, f"is text of {fact.values} different values")
        elif fact.whole and fact.values >= max(LEAST_ROWS, _NEAR_UNIQUE * rows):
            warnings.append(
                f"{fact.name!r} has a value of its own in nearly every row ({fact.values} in {rows} rows): if it is an "
                "identifier, move it to forbidden"
            )
    return reasons, tuple(warnings)


def _is_category(fact: ColumnFacts) -> bool:
    if not fact.numeric:
        return True
    if _CODES.search(fact.name):
        return fact.values <= 4 * MOST_VALUES
    return fact.whole and 2 < fact.values <= _FEW


def _clock_and_device(facts: Sequence[ColumnFacts], texts: dict[str, pl.Series]) -> tuple[str | None, str | None]:
    """Return the columns of time and device, where both are there; one alone gives no history."""
    times = [fact.name for fact in facts if _TIMES.search(fact.name) and seconds_of(texts[fact.name]) is not None]
    devices = [fact.name for fact in facts if _DEVICES.search(fact.name) and 1 < fact.values <= 10_000]
    return (times[0], devices[0]) if times and devices else (None, None)


def _step(texts: dict[str, pl.Series], time: str | None, device: str | None) -> float | None:
    """Return the median difference of time between a device's rows, None without both."""
    if time is None or device is None:
        return None
    seconds = seconds_of(texts[time])
    if seconds is None:
        raise BadSchema(f"the column {time!r} is no time: it holds neither numbers nor dates; leave time out.")
    names = _numbered(texts[device])
    order = np.lexsort((seconds, names))
    gaps = np.diff(seconds[order])[names[order][1:] == names[order][:-1]]
    gaps = gaps[np.isfinite(gaps) & (gaps > 0)]
    return float(np.median(gaps)) if len(gaps) else 1.0


def _name(path: Path) -> str:
    made = re.sub(r"[^A-Za-z0-9]+", "-", path.name.split(".")[0]).strip("-")[:64].strip("-").lower()
    return made or "table"
