"""The one form in which every benchmark prints its figures."""

import json
import math
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medward.errors import printable

Progress = Callable[[str], None]
"""Is told what is being measured now."""


@dataclass(frozen=True)
class BenchmarkRow:
    """One measured figure beside another's, taken in the same run.

    Args:
        what: what was measured, for a reader who has not seen the code.
        ours: medward's figure, in `unit`; NaN where the run gave none, for example where nothing was answered.
        other: the alternative's figure in `unit`, or None where there is nothing to compare with.
        other_name: the alternative and its version.
        ratio: above 1 where medward is better, whichever direction is better for `unit`; None without another.
        unit: for example "updates/s" or "bytes a weight".
    """

    what: str
    ours: float
    other: float | None
    other_name: str | None
    ratio: float | None
    unit: str


def machine_description() -> dict[str, str | int]:
    """Return what a reader needs to know of this machine to judge absolute figures."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def print_benchmark(title: str, rows: Sequence[BenchmarkRow], as_json: bool) -> None:
    """Print `rows` on standard output: one JSON document, in which NaN is null, or a table for a person."""
    if as_json:
        document = {"machine": machine_description(), "rows": [_row_for_json(row) for row in rows]}
        json.dump(document, sys.stdout, indent=2, allow_nan=False)
        print()
        return
    table = Table("what", "medward", "other", "ratio", "unit", title=title)
    for row in rows:
        other = "" if row.other is None else f"{row.other:,.4g} ({_plain(str(row.other_name))})"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(_plain(row.what), f"{row.ours:,.4g}", other, ratio, row.unit)
    Console().print(table)
    machine = machine_description()
    Console().print(
        f"{_plain(str(machine['cpu']))}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    )


def _row_for_json(row: BenchmarkRow) -> dict[str, Any]:
    values = asdict(row).items()
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values}


def _plain(text: str) -> str:
    """Return text of others (versions that programs print) as it stands, without what a terminal or rich would obey."""
    return escape(printable(text))
