"""Which files a tier of tests is in: the others need not be read, and reading all takes as long as many tests do."""

import ast
import re
from collections.abc import Iterable, Set
from itertools import combinations
from pathlib import Path

import pytest

#: The marks of the slower tiers; a test without any of them is a fast one.
SLOWER = ("slow", "processes", "engines", "release")


def may_have(text: str, expression: str) -> bool:
    """Tell whether a file of tests may have one that a tier wants.

    Args:
        text: the file's; a test has those marks of slower tiers at most that it names.
        expression: the tier's `-m`, of names joined by `and`, `or` and `not`; in another form, every file may.
    """
    try:
        wanted = ast.parse(expression or "True", mode="eval").body
        others = {one.id for one in ast.walk(wanted) if isinstance(one, ast.Name)} - set(SLOWER)
        possible = [*named(text), *others]
        return any(_holds(wanted, had) for count in range(len(possible) + 1) for had in _sets(possible, count))
    except (SyntaxError, TypeError):
        return True


def named(text: str) -> list[str]:
    """Return the marks of slower tiers that a file of tests names, given its text."""
    return [mark for mark in SLOWER if re.search(rf"\bmark\.{mark}\b", text)]


def unseen(file: Path, items: Iterable[pytest.Item]) -> list[str]:
    """Return the marks that tests of a file have and its text does not name: their tiers would overlook them."""
    had = {mark for item in items for mark in SLOWER if item.get_closest_marker(mark)}
    return sorted(had - set(named(file.read_text(encoding="utf-8"))))


def _sets(marks: list[str], count: int) -> Iterable[Set[str]]:
    return map(frozenset, combinations(marks, count))


def _holds(wanted: ast.expr, had: Set[str]) -> bool:
    match wanted:
        case ast.Name(id=mark):
            return mark in had
        case ast.Constant(value=True):
            return True
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _holds(part, had)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_holds(part, had) for part in parts)
        case ast.BoolOp(op=ast.Or(), values=parts):
            return any(_holds(part, had) for part in parts)
    raise TypeError(wanted)
