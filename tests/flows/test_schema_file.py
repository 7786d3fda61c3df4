from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.flows.errors import BadSchema
from medward.flows.schema import Group
from medward.flows.schema_file import MOST_FEATURES, Columns, SchemaFile, dataset_of, read_schema, schema_of, to_toml

GOOD = """
name = "icu"
label = "what"
benign = ["ok", "test traffic"]
time = "when"
device = "who"
step = 2.5
classes = ["ok", "scan"]
[columns]
cheap = ["bytes"]
expensive = ["pulse", "mode"]
categories = ["proto", "mode"]
forbidden = ["port"]
[values]
proto = ["6", "17"]
mode = ["a"]
"""

WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=8)


def test_file_says_what_every_column_means() -> None:
    dataset = dataset_of(schema_of(GOOD.encode(), "here"))
    schema = dataset.schema
    assert {f.name: (f.group, f.categories) for f in schema.features} == {
        "bytes": (Group.CHEAP, ()),
        "proto": (Group.CHEAP, ("6", "17")),
        "mode": (Group.EXPENSIVE, ("a",)),
        "pulse": (Group.EXPENSIVE, ()),
    }
    assert all(feature.optional for feature in schema.features)
    assert schema.classes == ("ok", "scan")
    assert schema.aliases == {"test traffic": "ok"}
    assert (schema.order, schema.device, schema.step, schema.history) == ("when", "who", 2.5, True)
    assert set(schema.never) == {"port"}
    assert dataset.block_rows == 200
    assert schema_of(dataset.text.encode(), "its own text") == schema_of(GOOD.encode(), "here")


@pytest.mark.parametrize("line", ['time = "when"\n', 'device = "who"\n'])
def test_without_a_time_or_a_device_there_is_no_history(line: str) -> None:
    """Rows of nobody, or in no order, have nothing before them that could be remembered."""
    assert line in GOOD
    dataset = dataset_of(schema_of(GOOD.replace(line, "").encode(), "here"))
    assert not dataset.schema.history


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('name = "icu"', 'name = "../icu"', "letters, digits"),
        ('name = "icu"', 'name = "ward"', "a data set that medward knows"),
        ('name = "icu"', "", "missing required field `name`"),
        ('name = "icu"', 'name = "icu"\nlable = "x"', "unknown field `lable`"),
        ("step = 2.5", "step = 0", "above 0"),
        ("step = 2.5", "block = 1", "5 to 1000000"),
        ('benign = ["ok", "test traffic"]', "", "benign is missing"),
        ('classes = ["ok", "scan"]', 'classes = ["scan", "ok"]', "begin with the first of benign"),
        ('classes = ["ok", "scan"]', 'classes = ["ok", "test traffic"]', "one name for what is benign"),
        ('cheap = ["bytes"]', 'cheap = ["bytes", "bytes"]', "'bytes' stands twice in cheap"),
        ('cheap = ["bytes"]', 'cheap = ["port"]', "'port' is a feature and forbidden"),
        ('cheap = ["bytes"]', 'cheap = ["what"]', "'what' is the label and a feature"),
        ('cheap = ["bytes"]', 'cheap = ["who"]', "'who' is the device and a feature"),
        ('cheap = ["bytes"]', 'cheap = ["pulse"]', "'pulse' is cheap and something else"),
        ('time = "when"', 'time = "who"', "two of them are the same"),
        ('mode = ["a"]', 'mode = ["a"]\nbytes = ["1"]', "'bytes', which is no category"),
        ('mode = ["a"]', "mode = []", "1 to 64 different values"),
        ("[values]", "[values", "is no TOML file"),
    ],
)
def test_file_that_makes_no_sense_gets_one_sentence(old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    with pytest.raises(BadSchema, match=sentence) as caught:
        schema_of(GOOD.replace(old, new).encode(), "icu.toml")
    assert str(caught.value).startswith("icu.toml")
    assert "\n" not in str(caught.value)


def test_file_that_is_no_schema_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSchema, match="cannot be read"):
        read_schema(tmp_path / "absent.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(BadSchema, match="longer than"):
        read_schema(tmp_path / "large.toml")
    (tmp_path / "table.csv").write_bytes(b"a,b\n\xff,2\n")
    with pytest.raises(BadSchema, match="no TOML file"):
        read_schema(tmp_path / "table.csv")


def test_file_that_leaves_something_out_is_not_yet_a_data_set() -> None:
    for line in ("step = 2.5\n", 'classes = ["ok", "scan"]\n', 'proto = ["6", "17"]\n'):
        with pytest.raises(BadSchema, match="does not say everything"):
            dataset_of(schema_of(GOOD.replace(line, "").encode(), "here"))


@given(names=st.lists(WORDS, min_size=4, max_size=8, unique=True), values=st.lists(WORDS, min_size=1, unique=True))
def test_written_file_says_the_same_when_it_is_read(names: list[str], values: list[str]) -> None:
    label, cheap, category, *forbidden = names
    columns = Columns((cheap,), (), (category,), tuple(forbidden))
    file = SchemaFile("table", columns, label, ("ok",), classes=("ok", "x"), values={category: tuple(values)})
    assert schema_of(to_toml(file, ["a comment"]).encode(), "here") == file


def test_name_of_a_foreign_column_cannot_leave_its_comment() -> None:
    file = SchemaFile("table", Columns(("bytes",)))
    text = to_toml(file, ['x\nforbidden = ["bytes"]\r\x1b[2Jlabel = "y": rises', "y\u2028z"])
    assert schema_of(text.encode(), "here") == file
    assert text.splitlines()[:2] == [r'# x\nforbidden = ["bytes"]\r\x1b[2Jlabel = "y": rises', r"# y\u2028z"]


def test_schema_that_would_make_a_vast_network_is_refused_from_wherever_it_comes() -> None:
    names = [f"c{number}" for number in range(MOST_FEATURES + 1)]
    assert schema_of(to_toml(SchemaFile("t", Columns(tuple(names[:-1])))).encode(), "here").columns.cheap
    with pytest.raises(BadSchema, match="4097 numbers and values"):
        schema_of(to_toml(SchemaFile("t", Columns(tuple(names)))).encode(), "here")
    with pytest.raises(BadSchema, match="longer than"):
        schema_of(b"#" * (2 << 20), "the federation's schema")


def test_rows_without_labels_are_of_one_class() -> None:
    file = SchemaFile("quiet", Columns(("bytes",)))
    dataset = dataset_of(file)
    assert dataset.schema.classes == ("benign",)
    assert dataset.schema.label == ""
