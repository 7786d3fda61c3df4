"""The documents name commands, files and links that there are, in words that one page explains."""

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
            for part in re.split(r"&&|[|>]", line.removeprefix("$ ")):
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


def pages() -> list[Path]:
    """Return every page of the project, folder READMEs included."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "spec").glob("*.md")]
    return sorted([*found, *(ROOT / "medward").rglob("README.md")])


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_there(name: str, page: Path) -> bool:
    """Say whether a page names a file that there is.

    A path is looked for beside the page, in the repository, in the package, in benchmarks/ and in examples/. A bare
    name may also be of any file of the package, or, in a folder's README, of that folder.
    """
    places = (page.parent, ROOT, ROOT / "medward", ROOT / "benchmarks", ROOT / "examples")
    if any((place / name).is_file() for place in places):
        return True
    around = page.parent if ROOT / "medward" in page.parents else ROOT / "medward"
    return "/" not in name and any(around.rglob(name))


#: The test of an earlier scheme, which a decision tells of.
GONE = {"tests/federation/test_ceremony_attacks.py"}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"(?<![\w*])[\w.-]*/?(?:[\w.-]+/)*[\w-]+\.py\b", page.read_text(encoding="utf-8")))
    assert sorted(name for name in named - GONE if not is_there(name, page)) == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_a_file_that_there_is_not_is_found_out() -> None:
    assert not is_there("node/ledgers_of_old.py", ROOT / "docs" / "audit.md")
    assert not is_there("homes.py", ROOT / "medward" / "fhe" / "README.md")
    assert is_there("audit/homes.py", ROOT / "docs" / "audit.md")


def test_layout_in_the_readme_names_every_part() -> None:
    layout = re.findall(r"(?m)^  (\w+)/ ", (ROOT / "README.md").read_text(encoding="utf-8"))
    parts = {folder.parent.name for folder in (ROOT / "medward").glob("*/__init__.py")}
    assert set(layout) == parts


def glossary() -> list[tuple[list[str], str]]:
    """Return the rows of the glossary: the words that each explains, in small letters, and what they mean."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (.+?) \| (.+?) \|$", text)
    return [
        ([word.strip().lower() for word in words.split(",")], meaning) for words, meaning in rows if words != "word"
    ]


def test_glossary_explains_each_word_once_in_one_sentence() -> None:
    words = [word for row, _ in glossary() for word in row]
    assert len(words) == len(set(words))
    assert len(words) > 60
    assert [meaning for _, meaning in glossary() if re.search(r"\. |\.$", meaning)] == []


def test_every_word_of_the_glossary_is_used() -> None:
    others = [page for page in pages() if page != ROOT / "docs" / "glossary.md"]
    text = " ".join(" ".join(page.read_text(encoding="utf-8").lower().split()) for page in others)
    words = [re.sub(r" \(.*\)$", "", word) for row, _ in glossary() for word in row]
    # A word may have an ending, and another one may stand between two: "reconstructs the secret", "decrypt one sum".
    looked = {word: r"\b" + r"\w*\W+(?:\w+\W+)?".join(map(re.escape, word.split())) for word in words}
    assert [word for word in words if not re.search(looked[word], text)] == []


def test_every_special_word_of_the_pages_for_people_is_in_the_glossary() -> None:
    explained = {re.sub(r" \(.*\)$", "", word) for row, _ in glossary() for word in row}
    special = (
        "attestation, beacon, certificate, checkpoint, cohort, commitment, content identifier, contribution, "
        "courier, dealing, epoch, eve, federation, fingerprint, guard, holder, home, http api, incarnation, journal, "
        "ledger, member, multiaddress, nat, node, ntp, packet, parquet, payload, pem file, port, prometheus, quorum, "
        "record, round, schema file, sealed, sentinel, sha-256, share, span port, survey, swarm key, systemd unit, "
        "tar archive, token, update, view, ward, watch, wish, witness, "
        "audit of answers, benign, class, cost, final, label, labelled, model, open, order, poison, split, "
        "state, store, task, test rows, transaction, weight, "
        "action, adr, agent, agreement, batch, certified, dealer, demo, environment variable, example application, "
        "exit code, fhe, firewall, flatfs, gdpr, hard limit, height, hipaa, honest, interval, intrusion detector, "
        "layer, manifest, mqtt, name, neural network, operator, part, participant, peer, period, personal data, "
        "private key, process, public key, recall, ring, rules, safetensors, scaler, signature, simulated, snapshot, "
        "standard error, suricata, utc, verdict, virtual machine, vote"
    )
    assert [word for word in special.split(", ") if word not in explained] == []


@pytest.mark.parametrize("page", ["README.md", "docs/privacy.md", "docs/audit.md", "docs/run-a-node.md"])
def test_sums_are_decrypted_and_only_files_are_opened(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    opened = r"(?i)\bopen(?:s|ed|ing)? (?:only )?(?:the|a) (?:sum|secret|round)|\bsums? (?:is|was|were) opened"
    assert re.findall(opened, text) == []
