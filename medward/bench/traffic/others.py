"""Argus and Suricata on a capture: the CPU seconds and the peak memory of the whole process."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from medward.bench.programs import output_of


@dataclass(frozen=True)
class Spent:
    """What a process took.

    Args:
        seconds: of the CPU, in user and system mode.
        mebibytes: resident at its peak.
    """

    seconds: float
    mebibytes: float


@dataclass(frozen=True)
class OtherMeter:
    """A meter that is compared with.

    Args:
        name: with its version.
        command: its words, in which CAPTURE and FOLDER stand for a capture and an empty folder.
    """

    name: str
    command: tuple[str, ...]

    def measure(self, capture: Path, folder: Path) -> Spent:
        """Run it on a capture.

        Raises:
            MedwardError: it fails.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        places = {"CAPTURE": str(capture), "FOLDER": str(folder)}
        words = [places.get(word, word) for word in self.command]
        what, advice = f"{self.name} on {capture}", f"remove {self.name}, or mend its installation"
        return Spent(**json.loads(output_of(what, "medward.bench.traffic.spent_program", *words, advice=advice)))


def installed_meters() -> list[OtherMeter]:
    """Return those that are installed: Argus and Suricata without rules, both on one thread."""
    found: list[OtherMeter] = []
    command: tuple[str, ...]
    argus = shutil.which("argus") or shutil.which("argus", path="/usr/sbin")
    if argus is not None:
        command = (argus, "-r", "CAPTURE", "-w", "/dev/null")
        found.append(OtherMeter(f"Argus {_version([argus, '-h'])}", command))
    suricata = shutil.which("suricata")
    if suricata is not None:
        command = (suricata, "-r", "CAPTURE", "-l", "FOLDER", "-S", "/dev/null", "-k", "none", "--runmode", "single")
        found.append(OtherMeter(f"Suricata {_version([suricata, '-V'])}, no rules", command))
    return found


def _version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    number = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return number.group() if number else "of unknown version"
