"""Every command that the documents and the files for operations show is one that the command line takes."""

import configparser
import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from medward.cli import app

#: Typer brings its own Click, of which it shows only a part.
UsageError = typer.BadParameter.__mro__[1]

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "docs" / "operations"


def shown_in_blocks(text: str) -> list[list[str]]:
    """Return the commands of medward in the shell blocks of a page."""
    found = []
    for block in re.findall(r"(?ms)^ *```(?:sh|bash|console)\n(.*?)^ *```", text):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|", line.removeprefix("$ ")):
                words = shlex.split(part, comments=True)
                if words[:1] == ["medward"]:
                    found.append(words[1:])
    return found


def everything_shown() -> list[list[str]]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [words for page in pages for words in shown_in_blocks(page.read_text())]
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(OPERATIONS / "medward-node@.service")
    found.append(shlex.split(unit["Service"]["ExecStart"])[1:])
    image = (OPERATIONS / "Dockerfile").read_text()
    entry, command = (json.loads(re.findall(rf"(?m)^{key} (.*)$", image)[-1]) for key in ("ENTRYPOINT", "CMD"))
    assert entry == ["medward"]
    found.append(command)
    compose = (OPERATIONS / "compose.yaml").read_text()
    found += [shlex.split(line) for line in re.findall(r"exec node medward (.*)$", compose, re.MULTILINE)]
    return found


def parse(words: list[str]) -> None:
    """Read the words as the command line does, and run nothing."""
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        name, *words = words
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    command.make_context(command.name, list(words))


def test_enough_is_shown() -> None:
    assert len(everything_shown()) > 25


@pytest.mark.parametrize("words", everything_shown(), ids=" ".join)
def test_every_command_that_is_shown_is_one(words: list[str]) -> None:
    parse(words)


def test_a_command_that_is_none_is_found_out() -> None:
    for words in (["node", "up", "--house", "x"], ["federation", "dissolve"], ["node", "up"]):
        with pytest.raises((UsageError, AssertionError)):
            parse(words)
