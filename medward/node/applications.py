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


def _scoring_rules(parameters: Mapping[str, str]) -> Rules:
    from medward.node.scoring.rules import ScoringRules  # noqa: PLC0415

    return ScoringRules(parameters)


def _scoring_participant(host: Host) -> Participant:
    from medward.node.scoring.participant import ScoringParticipant  # noqa: PLC0415

    return ScoringParticipant(host)


def _outsourced_rules(parameters: Mapping[str, str]) -> Rules:
    from medward.node.outsourced.rules import OutsourcedRules  # noqa: PLC0415

    return OutsourcedRules(parameters)


def _outsourced_participant(host: Host) -> Participant:
    from medward.node.outsourced.participant import OutsourcedParticipant  # noqa: PLC0415

    return OutsourcedParticipant(host)


PROGRAMS: Mapping[str, Program] = {
    "bank": Program(BankRules, Watcher),
    "outsourced": Program(_outsourced_rules, _outsourced_participant),
    "scoring": Program(_scoring_rules, _scoring_participant),
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
