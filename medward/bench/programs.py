"""Programs that are measured in a process of their own, so that nothing else counts."""

import subprocess
import sys

from medward.errors import MedwardError, printable

_ADVICE = "see that there is memory and room on the disk, and start the benchmark again"


def output_of(what: str, module: str, *arguments: object, advice: str = _ADVICE) -> str:
    """Run one of medward's programs for a figure and return what it printed.

    Args:
        what: what is measured, for a reader.
        module: the program, for `python -m`.
        arguments: its arguments, which are made text.
        advice: what a reader can do where it fails.

    Raises:
        MedwardError: it ended with another exit status than 0.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MedwardError(f"{what} could not be measured: {module} ended with {ended} ({printable(last)}); {advice}.")
    return done.stdout
