"""Finished runs in a file of JSON lines, so that a study that was killed goes on where it stopped."""

import json
from pathlib import Path
from typing import Any

from medward.errors import MedwardError


def kept_runs(results: Path | None) -> dict[str, dict[str, Any]]:
    """Return the finished runs by their keys; a last line that a kill cut off is passed over.

    Raises:
        MedwardError: another line is no run.
    """
    if results is None or not results.exists():
        return {}
    lines = results.read_text(encoding="utf-8").split("\n")
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            run = json.loads(line)
            found[run["key"]] = run
        except (json.JSONDecodeError, KeyError, TypeError):
            if number < len(lines):
                raise MedwardError(f"{results}, line {number}, is no run: mend or delete it.") from None
    return found


def keep_run(results: Path | None, run: dict[str, Any]) -> None:
    """Append a run; where a kill cut off the line before it, that goes first."""
    if results is None:
        return
    if results.exists():
        content = results.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            results.write_bytes(whole)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")
