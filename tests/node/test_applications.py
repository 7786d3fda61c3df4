"""Which federations a node can run."""

import importlib
import subprocess
import sys

import pytest

from medward.node.applications import PROGRAMS, program_of
from medward.node.bank import BankRules, Watcher
from medward.node.errors import NodeError
from medward.node.interfaces import Rules

PARTS = ("rules", "participant")


def test_program_is_found_by_the_name_in_the_federation_file() -> None:
    assert program_of("bank").make_rules is BankRules
    assert program_of("bank").make_participant is Watcher
    assert program_of("training") is PROGRAMS["training"]


@pytest.mark.parametrize("name", ["", "Bank", "mining"])
def test_unknown_program_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(
        NodeError,
        match=f"runs '{name}', and this version of medward runs bank or outsourced or scoring or training; upgrade",
    ):
        program_of(name)


def test_ledger_of_every_federation_but_the_bank_is_for_its_members_only() -> None:
    assert not BankRules.members_only
    others = [importlib.import_module(f"medward.node.{name}.rules") for name in PROGRAMS if name != "bank"]
    rules = [one for part in others for one in vars(part).values() if isinstance(one, type) and issubclass(one, Rules)]
    assert len(rules) > len(others)
    assert all(one.members_only for one in rules)


def test_no_program_waits_for_what_only_judges_or_chooses() -> None:
    """scikit-learn, and the SciPy that it loads, take a second to load and 60 MiB in every node."""
    parts = [f"medward.node.{program}.{part}" for program in PROGRAMS if program != "bank" for part in PARTS]
    code = f"""
import sys
import {", ".join(["medward.node.process", *parts])}
print("jax" in sys.modules, set(("sklearn", "scipy.stats")) & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True set()", done.stderr
