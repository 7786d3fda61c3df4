"""The command line's frame: help, version, exit codes."""

import subprocess
import sys
from pathlib import Path

from medward import __version__


def _medward(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from medward.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_version_is_printed() -> None:
    done = _medward("--version")
    assert (done.returncode, done.stdout) == (0, f"medward {__version__}\n")


def test_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "medward", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"medward {__version__}\n")


def test_unknown_command_is_bad_usage_without_traceback() -> None:
    done = _medward("fly")
    assert done.returncode == 2
    assert "fly" in done.stderr
    assert "Traceback" not in done.stderr


def test_file_that_cannot_be_used_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x")
    cid = _medward("store", "add", str(tmp_path / "a.csv"), "--store", str(tmp_path / "store")).stdout.strip()
    # A name that ends in a file, and a file in a folder's place, also where the command tidies up behind itself.
    for out in (tmp_path / "a.csv" / "b", tmp_path / ("n" * 300)):
        done = _medward("store", "get", cid, "--store", str(tmp_path / "store"), "--out", str(out))
        assert done.returncode == 1
        assert done.stderr.startswith("medward: cannot ")
        assert done.stderr.count("\n") == 1


def test_help_does_not_import_the_heavy_parts() -> None:
    code = (
        "import sys; sys.argv = ['medward', '--help']\n"
        "from medward.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'jax', 'numba', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
