"""The program that runs another meter: it tells what that took, and ends as that ends."""

import json
import subprocess
import sys

import pytest


def spent_on(*words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-S", "-m", "medward.bench.traffic.spent_program", *words]
    return subprocess.run(program, input="not for the meter", capture_output=True, text=True, check=False)


def test_seconds_and_peak_are_those_of_the_command_alone() -> None:
    """The command holds 40 MiB at once; it is shown no standard input, and what it prints is dropped."""
    done = spent_on(sys.executable, "-S", "-c", "import sys; print(sys.stdin.read()); b'x' * (40 << 20)")
    found = json.loads(done.stdout)
    assert set(found) == {"seconds", "mebibytes"}
    assert found["seconds"] > 0
    assert 40 < found["mebibytes"] < 100
    assert done.returncode == 0


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", 9)])
def test_it_ends_as_the_command_ends(script: str, code: int) -> None:
    done = spent_on("/bin/sh", "-c", f"echo out of rules >&2; {script}")
    assert (done.returncode, done.stderr) == (code, "out of rules\n")


def test_a_command_that_is_not_there_is_a_failure() -> None:
    done = spent_on("/nowhere/argus")
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].endswith("No such file or directory: '/nowhere/argus'")
