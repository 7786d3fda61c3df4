"""The kinds of federation that `node up` can run, by the name that stands in the federation file."""

from collections.abc import Mapping

from medward.node.bank import BankRules, Watcher
from medward.node.errors import NodeError
from medward.node.interfaces import Host, Participant, Program, Rules

# Numba, JAX and the data readers take seconds to load, and are loaded by a node that trains alone.


def _training_rules(parameters: Mapping[str, str]) -> Rules:
    from medward.node.training.rules import TrainingRules  # noqa: PLC0415

    return TrainingRules(parameters)


def _training_participant(host: Host) -> Participant:
    from medward.node.training.participant import TrainingParticipant  # noqa: PLC0415

    return TrainingParticipant(host)


PROGRAMS: Mapping[str, Program] = {
    "bank": Program(BankRules, Watcher),
    "training": Program(_training_rules, _training_participant),
}


def program_of(name: str, programs: Mapping[str, Program] = PROGRAMS) -> Program:
    """Return the program of that name.

    Raises:
        NodeError: this version knows none.
    """
    if name not in programs:
        known = " or ".join(sorted(programs))
        raise NodeError(f"the federation runs '{name}', and this version of medward runs {known}; upgrade this node")
    return programs[name]
