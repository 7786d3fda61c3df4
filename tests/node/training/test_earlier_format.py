"""Homes of the format with a joint key are refused in one sentence that says what to do."""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from medward.federation.sums.journal import AnswerJournal
from medward.node.errors import EarlierFormat
from medward.node.home.federation_file import ApplicationTerms, FederationFile
from medward.node.home.folder import Home
from medward.node.node import Node
from medward.node.training.data import read_settings
from medward.node.training.files import TrainingFiles
from medward.node.training.rules import TrainingRules
from tests.node.training.test_rules import training_parameters

SENTENCE = r"^.* belongs to an earlier format of encrypted sums.*models.*stay readable.*federation init.*join"


def with_keys(folder: Path) -> None:
    (folder / "keys").mkdir(parents=True)


def with_journal(folder: Path) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "answers.sqlite") as journal:
        journal.execute("CREATE TABLE answers (federation BLOB, kind TEXT, scope INTEGER, epoch INTEGER)")
        journal.execute("PRAGMA user_version = 1")
    journal.close()


@pytest.mark.parametrize("make", [with_keys, with_journal])
def test_participant_of_the_earlier_format_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    folder = tmp_path / "participant"
    make(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(EarlierFormat, match=SENTENCE):
        TrainingFiles(folder)
    assert sorted(folder.rglob("*")) == before


def test_journal_of_this_format_is_taken(tmp_path: Path) -> None:
    files = TrainingFiles(tmp_path / "participant")
    AnswerJournal(files.answers).close()
    assert TrainingFiles(tmp_path / "participant").secret() == files.secret()


@pytest.mark.parametrize("read", [TrainingRules, read_settings])
def test_federation_file_or_settings_with_a_key_set_are_refused(read: Callable[[Mapping[str, str]], object]) -> None:
    with pytest.raises(EarlierFormat, match=SENTENCE):
        read({**training_parameters(), "key_set": "AGG-M"})


def test_node_of_such_a_federation_does_not_start(homes: dict[str, Home]) -> None:
    home = homes["north"]
    federation = home.federation()
    parameters = {**training_parameters(), "key_set": "AGG-M"}
    home.federation_file.unlink()
    home.install(_of_training(federation, parameters))
    with pytest.raises(EarlierFormat, match=SENTENCE):
        Node(home, home.configuration())


def _of_training(federation: FederationFile, parameters: dict[str, str]) -> FederationFile:
    return msgspec.structs.replace(federation, application=ApplicationTerms("training", parameters))
