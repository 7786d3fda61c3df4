"""The schema file: a table of a hospital's own, described in TOML, so that everything here can read it.

    name = "icu-gateway"              letters, digits and -
    label = "Attack"                  the column of class names; leave it out where rows have none
    benign = ["Benign"]               the classes that are no attack; the first names them all
    time = "START"                    a column of numbers, or of dates and times; with a device, rows get a history
    device = "DEVICE"
    block = 200                       rows that an honest split keeps together, inside each file
    step = 1.0                        the usual difference of `time` between two rows of a device
    classes = ["Benign", "scan"]      every class, the benign one first
    [columns]
    cheap = ["IN_BYTES"]              numbers that are always at hand
    expensive = ["PULSE"]             numbers, or categories, that are evidence to be bought
    categories = ["PROTOCOL"]         columns of few values, each value an indicator
    forbidden = ["L4_SRC_PORT"]       columns that must never be features
    [values]
    PROTOCOL = ["6", "17"]            the values of a category that get an indicator

`step`, `classes` and `[values]` may be left out: `completed` takes them from rows. What several hospitals agree on has
them all, since the same file must mean the same columns everywhere. Columns that the file does not name are ignored.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from medward.errors import printable
from medward.flows.datasets import DATASETS, Cut, Dataset
from medward.flows.errors import BadSchema
from medward.flows.schema import Feature, Group, Schema

#: A category of more values than this is cut to its most frequent ones: each is a column of the network.
MOST_VALUES = 64
#: More classes than this are no classes, but some other column.
MOST_CLASSES = 128
_MOST_BYTES = 1 << 20
#: A network has an input for each number and each value; whoever is handed a schema trains that network.
MOST_FEATURES = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
#: What a model calls traffic that is no attack, where rows have no labels to take a name from.
UNNAMED_BENIGN = "benign"


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of a table, by what becomes of them; see the module's head."""

    cheap: tuple[str, ...] = ()
    expensive: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


class SchemaFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schema file, as it was read; see the module's head for its fields."""

    name: str
    columns: Columns
    label: str | None = None
    benign: tuple[str, ...] = ()
    time: str | None = None
    device: str | None = None
    block: int = 200
    step: float | None = None
    classes: tuple[str, ...] | None = None
    values: dict[str, tuple[str, ...]] = {}

    @property
    def history(self) -> bool:
        """Whether rows are a device's stream in order, so that what came before may be remembered."""
        return self.time is not None and self.device is not None

    @property
    def complete(self) -> bool:
        """Whether it says all that the columns mean, without a look at any rows."""
        return (
            set(self.values) >= set(self.columns.categories)
            and (self.label is None or self.classes is not None)
            and (not self.history or self.step is not None)
        )


def read_schema(path: Path) -> SchemaFile:
    """Read a schema file.

    Raises:
        BadSchema: it cannot be read, or does not make sense; the sentence says where.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise BadSchema(
            f"{path} cannot be read ({error.strerror}): give a schema file, or make one with `medward data schema`."
        ) from None
    return schema_of(content, str(path))


def schema_of(content: bytes, place: str) -> SchemaFile:
    """Return what the bytes of a schema file say; `place` is what errors call it.

    Raises:
        BadSchema: it does not make sense.
    """
    if len(content) > _MOST_BYTES:
        raise BadSchema(f"{place} is longer than {_MOST_BYTES} bytes: give a schema file, not the table.")
    try:
        table = tomllib.loads(content.decode())
        file = msgspec.convert(table, SchemaFile)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSchema(
            f"{place} is no TOML file ({error}): mend it, or make a new one with `medward data schema`."
        ) from None
    except msgspec.ValidationError as error:
        raise BadSchema(f"{place}: {error}; `medward data schema` makes one to begin with.") from None
    for problem in _problems(file):
        raise BadSchema(f"{place}: {problem}.")
    return file


def _problems(file: SchemaFile) -> Iterator[str]:
    """Yield what is wrong with a file, each a clause without its full stop."""
    if not _NAME.fullmatch(file.name):
        yield f"name is {file.name!r}: use at most 64 letters, digits and -"
    if file.name in DATASETS:
        yield f"name is {file.name!r}, which is a data set that medward knows: use another one"
    if not 5 <= file.block <= 1_000_000:
        yield f"block is {file.block}: use 5 to 1000000 rows"
    if file.step is not None and not 0 < file.step < float("inf"):
        yield f"step is {file.step}: use a number above 0"
    yield from _problems_of_columns(file)
    yield from _problems_of_classes(file)
    yield from _problems_of_values(file)


def _problems_of_columns(file: SchemaFile) -> Iterator[str]:
    columns = file.columns
    lists = {"cheap": columns.cheap, "expensive": columns.expensive, "categories": columns.categories}
    features = [*columns.cheap, *columns.categories, *(c for c in columns.expensive if c not in columns.categories)]
    wide = len(features) + sum(len(values) for values in file.values.values())
    if wide > MOST_FEATURES:
        yield f"there are {wide} numbers and values of categories, more than {MOST_FEATURES}: leave columns out"
    if not features:
        yield "[columns] names no feature: name columns under cheap, expensive or categories"
    for key, names in lists.items():
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{name!r} stands twice in {key}"
    for name in sorted(set(columns.cheap) & (set(columns.categories) | set(columns.expensive))):
        yield f"{name!r} is cheap and something else: leave it in one list"
    for name in sorted(set(features) & set(columns.forbidden)):
        yield f"{name!r} is a feature and forbidden: leave it in one list"
    special = [name for name in (file.label, file.time, file.device) if name is not None]
    if len(set(special)) < len(special):
        yield "label, time and device are three columns, and two of them are the same"
    if file.label in features:
        yield f"{file.label!r} is the label and a feature: leave it in one place"
    if file.device in features:
        yield f"{file.device!r} is the device and a feature: a model would learn which device was attacked"


def _problems_of_classes(file: SchemaFile) -> Iterator[str]:
    if file.label is not None and not file.benign:
        yield 'benign is missing: say which classes are no attack, for example benign = ["Benign"]'
    if file.label is None and (file.benign or file.classes):
        yield "there are classes and no label: say in which column they stand"
    if file.classes is None:
        return
    if file.classes[:1] != file.benign[:1]:
        yield "classes must begin with the first of benign"
    if len(set(file.classes)) != len(file.classes) or set(file.benign[1:]) & set(file.classes):
        yield "classes must be different, with one name for what is benign"
    if len(file.classes) > MOST_CLASSES:
        yield f"there are {len(file.classes)} classes, more than {MOST_CLASSES}: is label the right column?"


def _problems_of_values(file: SchemaFile) -> Iterator[str]:
    for name, values in file.values.items():
        if name not in file.columns.categories:
            yield f"[values] has {name!r}, which is no category"
        if not values or len(set(values)) != len(values) or len(values) > MOST_VALUES:
            yield f"[values] {name!r} needs 1 to {MOST_VALUES} different values"


def dataset_of(file: SchemaFile) -> Dataset:
    """Return the data set that a complete schema file describes.

    Raises:
        BadSchema: classes, values or the step are missing.
    """
    if not file.complete:
        lacks = sorted(set(file.columns.categories) - set(file.values)) or [
            "classes" if file.classes is None else "step"
        ]
        raise BadSchema(
            f"the schema {file.name} does not say everything ({lacks[0]}): complete it with `medward data "
            "schema`, or give rows beside it."
        )
    columns = file.columns
    features = [Feature(name, optional=True) for name in columns.cheap]
    features += [
        Feature(
            name,
            Group.EXPENSIVE if name in columns.expensive else Group.CHEAP,
            categories=file.values[name],
            optional=True,
        )
        for name in columns.categories
    ]
    features += [
        Feature(name, Group.EXPENSIVE, optional=True) for name in columns.expensive if name not in columns.categories
    ]
    benign = file.benign[0] if file.benign else UNNAMED_BENIGN
    schema = Schema(
        dataset=file.name,
        title=file.name,
        features=tuple(features),
        label=file.label or "",
        classes=file.classes or (benign,),
        aliases=dict.fromkeys(file.benign[1:], benign),
        never=dict.fromkeys(columns.forbidden, "is forbidden by the schema file"),
        device=file.device,
        order=file.time,
        step=file.step or 1.0,
        history=file.history,
    )
    return Dataset(
        schema=schema, home="a hospital's own", cut=Cut.BLOCKS, block_rows=file.block, own=True, text=to_toml(file)
    )


def to_toml(file: SchemaFile, comments: Sequence[str] = ()) -> str:
    """Return a schema file's text; `comments` stand at its head, a line each."""
    # Names of columns come from whoever made the table: a line break in one would go on outside the comment.
    lines = [f"# {printable(line)}" for line in comments]
    for key in ("name", "label", "benign", "time", "device", "block", "step", "classes"):
        value = getattr(file, key)
        if value is not None and value != ():
            lines.append(f"{key} = {_toml(value)}")
    lines += ["", "[columns]"]
    lines += [f"{key} = {_toml(getattr(file.columns, key))}" for key in Columns.__struct_fields__]
    if file.values:
        lines += ["", "[values]", *(f"{_toml(name)} = {_toml(values)}" for name, values in file.values.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, str):
        # A basic string of TOML: JSON's escapes are among its own, once control characters are \u escapes.
        return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        inner = [_toml(item) for item in value]
        short = f"[{', '.join(inner)}]"
        return short if len(short) <= 100 else "[\n" + "".join(f"    {item},\n" for item in inner) + "]"
    return str(value)
