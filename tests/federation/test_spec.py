"""What spec/round.md names stands in the code, and what docs/privacy.md must name stands there."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from medward.federation import records
from medward.federation.round.state import Phase

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "spec" / "round.md").read_text(encoding="utf-8")
#: A function, method, class or file in code font, with or without what it is given.
_CODE = re.compile(r"[A-Za-z_][\w.]*(\(.*\))?")


@cache
def _defined() -> frozenset[str]:
    """Every way to say a class, function or method of medward: any end of its dotted path, such as `rules.apply`."""
    paths: set[str] = set()

    def note(node: ast.AST, path: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                inside = (*path, child.name)
                paths.update(".".join(inside[start:]) for start in range(len(inside)))
                note(child, inside)

    for file in sorted((ROOT / "medward").rglob("*.py")):
        module = file.relative_to(ROOT).with_suffix("").parts
        note(ast.parse(file.read_text(encoding="utf-8")), module)
    return frozenset(paths)


@cache
def _tests() -> frozenset[str]:
    return frozenset(
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE)
    )


def _named() -> list[str]:
    return sorted({text for text in re.findall(r"`([^`\n]+)`", SPEC) if _CODE.fullmatch(text)})


@pytest.mark.parametrize("text", _named())
def test_what_the_page_names_is_there(text: str) -> None:
    name = text.split("(", maxsplit=1)[0]
    assert name in (_tests() if name.startswith("test_") else _defined()), f"spec/round.md names {text}"


def test_page_names_enough_for_the_check_to_mean_something() -> None:
    assert len(_named()) > 60
    assert "Member._no_such_method" not in _defined()


@pytest.mark.parametrize("file", sorted(set(re.findall(r"medward/[\w/]+\.py", SPEC))))
def test_files_that_the_page_names_are_there(file: str) -> None:
    assert (ROOT / file).is_file()


def test_page_has_every_record_and_every_phase() -> None:
    kinds = [kind.__name__ for kind in get_args(records.Record)]
    assert [kind for kind in kinds if not re.search(rf"\b{kind}s?\b", SPEC)] == []
    phases = [phase.name for phase in Phase]
    assert [name for name in phases if name not in SPEC] == []


@pytest.mark.parametrize("kind", [kind.__name__ for kind in get_args(records.Record)])
def test_page_on_privacy_says_what_each_record_reveals(kind: str) -> None:
    table = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8").split("## Records")[1].split("\n## ")[0]
    assert re.search(rf"`{kind}`", table), f"docs/privacy.md, Records: {kind} is not in the table"
