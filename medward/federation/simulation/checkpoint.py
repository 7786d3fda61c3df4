"""The state of a simulated federation between two rounds, as one file: a kill leaves it or the one before.

three parts, each behind its length (8 bytes): JSON (options, reports) | what hospitals carry | the shared model
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from medward.federation.errors import FederationError
from medward.federation.model.hospital import Carried
from medward.federation.simulation.machines import RoundReport
from medward.whole_file import write_whole


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on.

    Args:
        options: the run's options as one text; only a run with equal ones may go on.
        reports: of the rounds so far.
        carried: what each hospital carries to its next update.
        model: the shared model, encoded.
    """

    options: str
    reports: Sequence[RoundReport]
    carried: Sequence[Carried | None]
    model: bytes


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint durably in place of the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    head = {"options": checkpoint.options, "reports": [asdict(report) for report in checkpoint.reports]}
    arrays = {}
    for number, carried in enumerate(checkpoint.carried):
        if carried is not None:
            arrays[f"step.{number}"] = np.array(carried.step)
            arrays[f"before.{number}"], arrays[f"after.{number}"] = carried.before, carried.after
    parts = (json.dumps(head).encode(), safetensors.numpy.save(arrays), checkpoint.model)
    write_whole(folder / "state", b"".join(len(part).to_bytes(8, "little") + part for part in parts))


def forget(folder: Path) -> None:
    """Remove the checkpoint of an earlier run, so that nobody takes it for one of the run that begins now."""
    (folder / "state").unlink(missing_ok=True)


def load(folder: Path, options: str) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        FederationError: there is none, it is damaged, or it is of a run with other options.
    """
    try:
        content = (folder / "state").read_bytes()
    except FileNotFoundError:
        raise FederationError(
            f"{folder} holds no checkpoint to resume: start with --force in place of --resume."
        ) from None
    try:
        encoded, carried, model = _parts(content)
        head = json.loads(encoded)
        arrays = safetensors.numpy.load(carried)
        reports = [_report(fields) for fields in head["reports"]]
        sites = json.loads(head["options"])["sites"]
        hospitals = [_read_carried(arrays, number) for number in range(sites)]
    except (ValueError, TypeError, KeyError, SafetensorError):
        raise FederationError(f"{folder / 'state'} is damaged: start with --force in place of --resume.") from None
    if head["options"] != options:
        raise FederationError(f"{folder} is of a run with other options: use the same ones, or leave out --resume.")
    return Checkpoint(options, reports, hospitals, model)


def _report(fields: dict[str, Any]) -> RoundReport:
    return RoundReport(**{**fields, "cohort": tuple(fields["cohort"])})


def _read_carried(arrays: dict[str, Any], number: int) -> Carried | None:
    if f"step.{number}" not in arrays:
        return None
    return Carried(int(arrays[f"step.{number}"]), arrays[f"before.{number}"], arrays[f"after.{number}"])


def _parts(content: bytes) -> tuple[bytes, bytes, bytes]:
    """Cut a checkpoint into its three parts.

    Raises:
        ValueError: it is not made of them.
    """
    parts = []
    for _ in range(3):
        size = int.from_bytes(content[:8], "little")
        parts.append(content[8 : 8 + size])
        if len(parts[-1]) != size or len(content) < 8:
            raise ValueError("a checkpoint has three parts")
        content = content[8 + size :]
    if content:
        raise ValueError("a checkpoint has nothing behind its parts")
    return parts[0], parts[1], parts[2]
