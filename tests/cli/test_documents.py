"""Every command that the documents and the files for operations show is one that the command line takes."""

import configparser
import json
import re
import shlex
import tomllib
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


def test_image_takes_all_that_an_installation_needs() -> None:
    image = (OPERATIONS / "Dockerfile").read_text()
    taken = [word for line in re.findall(r"(?m)^COPY (.*)$", image) for word in line.split()[:-1]]
    assert all((ROOT / word).exists() for word in taken)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = {(ROOT / "medward").name}
    assert set(taken) >= {"pyproject.toml", project["readme"], *project["license-files"], *packages}


def test_container_has_the_home_and_the_ports_that_its_commands_use() -> None:
    image, compose = ((OPERATIONS / name).read_text() for name in ("Dockerfile", "compose.yaml"))
    context, dockerfile = (re.findall(rf"(?m)^ +{key}: (.*)$", compose)[0] for key in ("context", "dockerfile"))
    assert (OPERATIONS / context).resolve() == ROOT
    assert (ROOT / dockerfile).is_file()
    home = json.loads(re.findall(r"(?m)^CMD (.*)$", image)[-1])[-1]
    assert f"VOLUME {home}\n" in image
    assert re.search(rf"(?m)^ +- \$\{{MEMBER_HOME:\?.*\}}:{home}$", compose)
    ledger, store = map(int, re.findall(r"(?m)^EXPOSE (\d+) (\d+)$", image)[0])
    published = re.findall(r'(?m)^ +- "(\d+):(\d+)"', compose)
    assert published == [(str(port), str(port)) for port in (ledger, store)]
    # PORT, PORT + 1, PORT + 2: as a card for PORT sets them.
    assert store == ledger + 1
    assert f"http://127.0.0.1:{ledger + 2}/health" in image
