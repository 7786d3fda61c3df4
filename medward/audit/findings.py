"""The findings of an audit, and how much it checked."""

from collections.abc import Callable
from dataclasses import dataclass, field

from medward.store.limits import DagLimits

#: Returns a blob whose content was checked against its name, or None where nobody has it whole. What cannot be as long
#: as the limits say is nothing (b""), which fits nothing that a member may name.
Read = Callable[[str, DagLimits], bytes | None]


@dataclass(frozen=True)
class Finding:
    """Something that does not hold, or a remark.

    Args:
        what: one sentence.
        home: in whose home, where that matters.
        height: in which block.
        round: in which round.
        name: the CID that it is about.
        guilty: the members that it proves to have done wrong, if no more lied than may.
    """

    what: str
    home: str | None = None
    height: int | None = None
    round: int | None = None
    name: str | None = None
    guilty: tuple[str, ...] = ()

    def __str__(self) -> str:
        places = [self.home] if self.home is not None else []
        places += [f"height {self.height}"] if self.height is not None else []
        places += [f"round {self.round}"] if self.round is not None else []
        places += [self.name] if self.name is not None else []
        return f"{', '.join(places)}: {self.what}" if places else self.what


@dataclass
class AuditResult:
    """What an audit found, and how much it checked.

    Args:
        checked: how many things were checked, by kind.
        problems: what does not hold.
        remarks: what held although somebody did not do right.
    """

    checked: dict[str, int] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        """Whether there was nothing to check."""
        return not self.problems and not any(self.checked.values())

    @property
    def guilty(self) -> set[str]:
        """Everybody whom a problem or a remark proves to have done wrong."""
        return {member for finding in (*self.problems, *self.remarks) for member in finding.guilty}

    def count(self, kind: str, number: int = 1) -> None:
        """Count what was checked."""
        self.checked[kind] = self.checked.get(kind, 0) + number

    def take(self, other: "AuditResult") -> None:
        """Add what another part of the audit found."""
        for kind, number in other.checked.items():
            self.count(kind, number)
        self.problems += other.problems
        self.remarks += other.remarks
