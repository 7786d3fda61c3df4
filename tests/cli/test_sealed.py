"""`medward data seal` and what belongs to it, where they cannot work: one sentence, and nothing left behind."""

from pathlib import Path

import pytest

from medward.node.trial.founding import Seat, found_on_one_machine
from medward.node.trial.ports import free_ports

from .conftest import Run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a node that does not run."""
    ports = free_ports(3)
    seat = Seat("north", *(f"127.0.0.1:{port}" for port in ports))
    return found_on_one_machine(tmp_path / "ward", "ward", [seat], "bank")["north"].folder


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["seal", "{tmp}/nothing", "--home", "{home}"], 2, "no file or folder"),
        (["seal", "{file}", "--home", "{tmp}/nowhere"], 1, "node.toml"),
        (["seal", "{file}", "--home", "{home}"], 1, "does not answer"),
        (["unseal", "nonsense", "--home", "{home}"], 1, "not a content identifier"),
        (["unseal", "bafkqaaa", "--home", "{home}"], 1, "holds no store"),
        (["unseal", "{file}", "--home", "{home}"], 1, "no sealed data"),
        (["withdraw", "bafkqaaa", "--home", "{home}"], 1, "does not answer"),
        (["key", "--home", "{home}"], 1, "does not answer"),
    ],
)
def test_mistake_is_answered_in_one_sentence(
    medward: Run, home: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    file = tmp_path / "file.csv"
    file.write_text("a,b\n1,2\n")
    done = medward("data", *(text.format(tmp=tmp_path, home=home, file=file) for text in arguments))
    assert done.code == code
    assert said in done.sentence
    assert done.out == ""
    assert not (home / "data" / "unsent").exists()


@pytest.mark.parametrize("command", ["seal", "unseal", "withdraw", "key"])
def test_every_command_explains_itself_with_an_example(medward: Run, command: str) -> None:
    shown = medward("data", command, "--help")
    assert shown.code == 0
    assert "Example: medward data" in shown.out
