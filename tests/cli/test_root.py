"""The command line's frame: help, version, exit codes."""

import subprocess
import sys

from medward import __version__


def _medward(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from medward.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_version_is_printed() -> None:
    done = _medward("--version")
    assert (done.returncode, done.stdout) == (0, f"medward {__version__}\n")


def test_unknown_command_is_bad_usage_without_traceback() -> None:
    done = _medward("fly")
    assert done.returncode == 2
    assert "fly" in done.stderr
    assert "Traceback" not in done.stderr


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
