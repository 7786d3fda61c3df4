"""The table of safety checks that mutants.py takes out: the folder `mutants`, a file for each part of the project."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "mutants"


@dataclass(frozen=True)
class Mutant:
    """A safety check, and what the code is without it.

    Args:
        name: what is missing.
        rule: where the rule stands that the check enforces.
        file: where the check is.
        old: its text, which occurs once.
        new: what stands there without it.
        tests: the tests that notice, as pytest takes them.
        campaign: "ledger" or "federation" where that simulated campaign is run on it, too.
    """

    name: str
    rule: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    campaign: str = ""


def read_table(folder: Path = FOLDER) -> tuple[Mutant, ...]:
    """Return the mutants of all parts."""
    rows = [row for path in sorted(folder.glob("*.toml")) for row in tomllib.loads(path.read_text("utf-8"))["mutant"]]
    return tuple(Mutant(**{**row, "tests": tuple(row["tests"])}) for row in rows)
