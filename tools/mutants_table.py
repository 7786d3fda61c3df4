"""The safety checks that tools/mutants.py takes out, each with the rule that it enforces and the tests that notice.

The text of a check must occur in its file exactly once. Tests are named as pytest takes them, the quickest that notice.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Mutant:
    """A safety check, and what the code is without it.

    Args:
        name: what is missing.
        rule: where the rule stands that the check enforces.
        file: where the check is.
        old: its text, which occurs once.
        new: what stands there without it.
        tests: the tests that notice.
        campaign: the simulated campaign that is run on it, too.
    """

    name: str
    rule: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    campaign: Literal["", "ledger", "federation"] = ""


MUTANTS: tuple[Mutant, ...] = ()
