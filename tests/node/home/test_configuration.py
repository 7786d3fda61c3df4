"""node.toml: what is read, and what a mistake is told."""

import re
from pathlib import Path

import msgspec
import pytest

from medward.node.computing.settings import ComputingSettings
from medward.node.errors import InvalidConfiguration
from medward.node.home.configuration import Configuration, read_configuration, render
from medward.node.training.data import ParticipantSettings
from medward.node.trial.founding import Seat
from tests.node.conftest import seats

USUAL = seats("north")[0].configuration()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_configuration(written(tmp_path, render(USUAL))) == USUAL


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("request_timeout = 2000", 'request_timeout = "2 s"', "ledger.request_timeout: expected int, got str"),
        ("request_timeout = 2000", "request_timeout = 1", "ledger.request_timeout: expected int >= 10"),
        ("request_timeout = 2000", "reqest_timeout = 2000", "ledger.reqest_timeout: expected no such key"),
        ('address = "127.0.0.1:21000"', "", "ledger.address: expected this key, which is missing"),
        ('name = "north"', 'name = "North Hospital"', "name: expected 1 to 40 lower-case letters"),
        ('listen = "127.0.0.1:21000"', 'listen = "127.0.0.1"', "ledger.listen: expected host:port"),
        ('listen = "127.0.0.1:21001"', 'listen = "127.0.0.1:99999"', "store.listen: expected host:port"),
        ('engine = "pbft"', 'engine = "raft"', "ledger.engine: invalid enum value 'raft'"),
        ('listen = "127.0.0.1:21002"', 'listen = "0.0.0.0:21002"', "api.certificate: expected a PEM file"),
        ('certificate = ""', 'certificate = "api.pem"', "api.key: expected certificate and key together"),
        ("[api]", "[api", "expected a TOML file"),
        ('key = ""', 'key = "a\\u0000b"', "api.key: expected certificate and key together"),
        ("[participant]", '[participant]\ndata = "a\\u0000b"', "participant.data: expected characters that show"),
        ("[participant]", '[participant]\ndata = "a\\u001b[2J"', "participant.data: expected characters that show"),
        ('swarm = "', 'swarm = "\\u202e', "store.swarm: expected characters that show"),
    ],
)
def test_a_mistake_is_told_with_file_key_and_what_was_expected(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    text = render(USUAL)
    assert before in text
    path = written(tmp_path, text.replace(before, after, 1))
    with pytest.raises(InvalidConfiguration) as caught:
        read_configuration(path)
    assert str(caught.value).startswith(f"{path}: {told}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_how_to_make_a_home(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="federation init"):
        read_configuration(tmp_path / "node.toml")


def test_the_participants_table_is_handed_on_as_it_is(tmp_path: Path) -> None:
    found = read_configuration(written(tmp_path, render(USUAL) + 'data = "flows/"\nepochs = 3\n'))
    assert found.participant == {"data": "flows/", "epochs": 3}


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("north=10.0.0.1:7450", "10.0.0.1:7450"),
        ("north=ledger.north.example:7450", "0.0.0.0:7450"),
        ("north=[::1]:7450", "[::1]:7450"),
    ],
)
def test_a_member_listens_on_its_number_or_on_all_where_it_has_a_name(text: str, listen: str) -> None:
    seat = Seat.of(text)
    configuration: Configuration = seat.configuration()
    assert configuration.ledger.address == text.partition("=")[2]
    assert configuration.ledger.listen == listen
    assert configuration.store.address.endswith(":7451")
    assert configuration.api.listen == "127.0.0.1:7452"


@pytest.mark.parametrize("text", ["north", "north=10.0.0.1", "North=10.0.0.1:7450", "north=10.0.0.1:65534", "=a:1"])
def test_a_seat_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="--member"):
        Seat.of(text)


def test_every_key_that_is_taken_is_explained_and_no_other() -> None:
    page = (Path(__file__).parents[3] / "docs" / "run-a-node.md").read_text()
    _, _, section = page.partition("### The keys of node.toml")
    explained = set()
    for cell in re.findall(r"(?m)^\| (`[^|]*) \|", section.partition("\n## ")[0]):
        table = re.match(r"`\[(\w+)\]`", cell)
        prefix = f"{table[1]}." if table else ""
        explained |= {prefix + key for key in re.findall(r"`(\w+)`", cell)}
    kinds = (ParticipantSettings, ComputingSettings)
    taken = {f"participant.{field.name}" for kind in kinds for field in msgspec.structs.fields(kind)}
    for field in msgspec.structs.fields(Configuration):
        if field.name != "participant":
            kind = field.type
            inside = msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else ()
            taken |= {f"{field.name}.{key.name}" for key in inside} or {field.name}
    assert explained == taken
