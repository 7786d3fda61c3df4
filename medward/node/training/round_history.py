"""The rounds of a home, HOME/participant/rounds.jsonl: what became of each, as `medward node report` reads it.

One line of JSON for each round that was over while this node ran, or that its ledger told of when it started. What the
node measured itself, seconds, bytes and validation, is there for the rounds that it lived through. The ledger has the
rest for good; this file is a convenience, and nothing else depends on it.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medward.node.errors import NodeError

FILE = "rounds.jsonl"
#: No line is longer: a round of 64 members has some ten thousand bytes.
_LONGEST = 1 << 20


class RoundHistory:
    """The file of rounds.

    Args:
        folder: HOME/participant; the file is made with the first round.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._numbers: set[int] | None = None

    def rounds(self) -> list[dict[str, Any]]:
        """Return every round that is in the file, the earliest first; damaged lines are passed over."""
        found: dict[int, dict[str, Any]] = {}
        try:
            with self._path.open("rb") as file:
                while line := file.readline(_LONGEST):
                    report = _report(line)
                    if report is not None:
                        found[report["round"]] = report
        except FileNotFoundError:
            pass
        except OSError as error:
            raise NodeError(f"cannot read {self._path}: {error.strerror}; check its rights") from None
        self._numbers = set(found)
        return [found[number] for number in sorted(found)]

    def add(self, reports: Iterable[Mapping[str, Any]]) -> None:
        """Append the rounds that are not in the file yet.

        Raises:
            NodeError: the file cannot be written.
        """
        known = {report["round"] for report in self.rounds()} if self._numbers is None else self._numbers
        new = sorted((one for one in reports if one["round"] not in known), key=lambda one: int(one["round"]))
        if not new:
            return
        try:
            with self._path.open("ab") as file:
                # A line that a crash cut short ends here, so that the next one is whole.
                ends = file.tell() == 0 or _last_byte(self._path) == b"\n"
                file.write((b"" if ends else b"\n") + b"".join(json.dumps(one).encode() + b"\n" for one in new))
        except OSError as error:
            raise NodeError(f"cannot write {self._path}: {error.strerror}; check the disk and its rights") from None
        self._path.chmod(0o600)
        self._numbers = known | {one["round"] for one in new}


def _report(line: bytes) -> dict[str, Any] | None:
    try:
        report = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(report, dict) and isinstance(report.get("round"), int) and not isinstance(report["round"], bool)
    return report if whole else None


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1)
