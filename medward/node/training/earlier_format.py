"""Homes and federations of the format before this one, whose sums a joint key decrypted: told, and refused."""

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from medward.node.errors import EarlierFormat

#: What a federation file said of the joint key's parameters.
KEY_SET = "key_set"
_JOURNAL_VERSION = 1


def check_parameters(parameters: Mapping[str, object], where: str) -> None:
    """Refuse what a federation file, or a table of node.toml, says of a joint key.

    Args:
        parameters: the keys and what they say.
        where: the file.

    Raises:
        EarlierFormat: it says something of one.
    """
    if KEY_SET in parameters:
        raise _earlier(where)


def check_participant_folder(folder: Path, answers: Path) -> None:
    """Refuse a participant's folder with keys, or a journal, of the earlier format.

    Args:
        folder: HOME/participant; may be missing.
        answers: the journal of answers in it; may be missing.

    Raises:
        EarlierFormat: it is one.
    """
    if (folder / "keys").exists():
        raise _earlier(str(folder))
    if answers.exists():
        try:
            with contextlib.closing(sqlite3.connect(f"{answers.absolute().as_uri()}?mode=ro", uri=True)) as found:
                (version,) = found.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error:
            return  # whoever opens it says what is wrong
        if version == _JOURNAL_VERSION:
            raise _earlier(str(answers))


def _earlier(where: str) -> EarlierFormat:
    return EarlierFormat(
        f"{where} belongs to an earlier format of encrypted sums, under a joint key, and is not continued; the models "
        "that were made stay readable; begin a new federation with `medward federation init`, and `join` it with a new "
        "home"
    )
