"""Which federations a node can run."""

import pytest

from medward.node.applications import PROGRAMS, program_of
from medward.node.bank import BankRules, Watcher
from medward.node.errors import NodeError


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
