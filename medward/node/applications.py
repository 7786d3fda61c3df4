"""The kinds of federation that `node up` can run, by the name that stands in the federation file."""

from collections.abc import Mapping

from medward.node.bank import BankRules, Watcher
from medward.node.errors import NodeError
from medward.node.seam import Program

PROGRAMS: Mapping[str, Program] = {"bank": Program(BankRules, Watcher)}


def program_of(name: str, programs: Mapping[str, Program] = PROGRAMS) -> Program:
    """Return the program of that name.

    Raises:
        NodeError: this version knows none.
    """
    if name not in programs:
        known = " or ".join(sorted(programs))
        raise NodeError(f"the federation runs '{name}', and this version of medward runs {known}; upgrade this node")
    return programs[name]
