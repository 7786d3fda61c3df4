"""Which files a tier of tests is in: the others need not be read, and reading all takes as long as many tests do."""

import re
from pathlib import Path

import pytest

#: The marks of the slower tiers; a test without any of them is a fast one.
SLOWER = ("slow", "processes", "engines", "release")


def asked_for(expression: str) -> frozenset[str]:
    """Return the marks of which a test must have one, as a tier's `-m` says; none where it only says which not.

    Args:
        expression: names of marks joined by `and`, `or` and `not`.
    """
    without = re.sub(r"\bnot\s+\w+", "", expression)
    return frozenset(re.findall(r"\w+", without)) & frozenset(SLOWER)


def is_in(text: str, marks: frozenset[str]) -> bool:
    """Tell whether a file of tests, given its text, has one with such a mark; where none is asked for, it may."""
    return not marks or any(re.search(rf"\bmark\.{mark}\b", text) for mark in marks)


def unseen(file: Path, items: list[pytest.Item]) -> list[str]:
    """Return the marks that tests of a file have and its text does not name: their tiers would overlook them."""
    text = file.read_text(encoding="utf-8")
    had = {mark for item in items for mark in SLOWER if item.get_closest_marker(mark)}
    return sorted(mark for mark in had if not is_in(text, frozenset([mark])))
