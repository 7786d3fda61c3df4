"""Argus and Suricata on a capture: the CPU seconds and the peak memory of the whole process."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from medward.errors import MedwardError


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
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert process.stderr is not None
        told = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        if process.returncode != 0:
            last = told.decode(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
            raise MedwardError(f"{self.name} failed on {capture}: {last[0]}; remove it, or mend its installation.")
        return Spent(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


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
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    number = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return number.group() if number else "of unknown version"
