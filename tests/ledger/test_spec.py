"""The specification and the code point to each other: each transition is defined once and carried out by a function."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "spec" / "ledger.md").read_text()
TRANSITION = re.compile(r"\b([NJCVTM][1-9])\b")
MODULES = sorted((ROOT / "medward" / "ledger").rglob("*.py"))


def docstrings():
    """The docstrings of functions and methods; what a module's says of a whole range does not count."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.stem}.{node.name}", ast.get_docstring(node) or ""


def defined() -> list[str]:
    return re.findall(r"^- \*\*([NJCVTM][1-9])\b", SPEC, re.MULTILINE)


def test_each_transition_is_defined_once():
    assert len(defined()) == len(set(defined()))
    assert len(defined()) > 25


def test_each_transition_is_carried_out_by_a_function_whose_docstring_names_it():
    named = {transition for _, text in docstrings() for transition in TRANSITION.findall(text)}
    assert set(defined()) - named == set()


def test_no_module_names_a_transition_that_the_specification_does_not_define():
    strange = {
        (path.name, transition)
        for path in MODULES
        for transition in TRANSITION.findall(path.read_text())
        if transition not in defined()
    }
    assert strange == set()


def test_each_kind_of_message_stands_in_the_specification():
    messages = (ROOT / "medward" / "ledger" / "pbft" / "messages.py").read_text()
    tags = re.findall(r'tag="([a-z-]+)"', messages)
    section = SPEC.split("## Messages")[1].split("\n## ")[0]
    assert len(tags) > 15
    assert [tag for tag in tags if f"`{tag}`" not in section] == []


def test_each_record_of_the_journal_stands_in_the_specification():
    effects = (ROOT / "medward" / "ledger" / "pbft" / "effects.py").read_text()
    tags = re.findall(r'tag="([a-z-]+)"', effects)
    section = SPEC.split("## The journal")[1].split("\n## ")[0]
    assert [tag for tag in tags if tag not in section] == []
