"""Build sdist and wheel, and use each alone: the wheel in a clean environment, the sdist by some of its tests.

    python tools/check_distribution.py [--out dist]

With the wheel it does what docs/tutorial.md says, in a folder of its own: a demo of five rounds whose hospitals are
real nodes, an audit, an audit of a forged copy, alerts. The wheel is built from the sdist, so an sdist that lacks
something is noticed. Every command is printed before it runs, and the first that fails ends it with exit code 1.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Enough to see that the tests find their package and each other; all of them run in the checkout.
SDIST_TESTS = ("tests/ledger/test_snapshots.py", "tests/ledger/test_encoding.py", "tests/cli/test_root.py")
# What an sdist must have, beside the package, to be built, tested and understood.
SDIST_PARTS = ("CITATION.cff", "LICENSE", "README.md", "SECURITY.md", "docs", "examples", "spec", "tests", "tools")
MOST_SDIST_BYTES = 8 << 20


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Print a command and run it in `folder`."""
    print("$", *command, flush=True)
    subprocess.run(command, cwd=folder, env=environment, check=True)


def build(out: Path) -> tuple[Path, Path]:
    """Return a new sdist, and a wheel that was built from it."""
    # That what builds it is named in pyproject.toml, the installation of the checkout has shown.
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)], ROOT)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    run([sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)], ROOT)
    return sdist, wheel


def check_wheel_content(wheel: Path) -> None:
    """Check that a wheel has every file of the package, and nothing else beside its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = subprocess.run(["git", "ls-files", "medward"], cwd=ROOT, check=True, capture_output=True, text=True)
    due = set(listed.stdout.split("\n")) - {""}
    if held != due:
        sys.exit(f"the wheel lacks {sorted(due - held)} and has, besides the package, {sorted(held - due)}")


def check_sdist(sdist: Path, folder: Path) -> None:
    """Unpack an sdist, and run a few of its tests on its own package."""
    if sdist.stat().st_size > MOST_SDIST_BYTES:
        sys.exit(f"the sdist has {sdist.stat().st_size} bytes; what in it is larger than it should be?")
    shutil.unpack_archive(sdist, folder)  # without a filter, which Python 3.11.2 of Debian 12 does not know
    (unpacked,) = folder.iterdir()
    lacking = [part for part in SDIST_PARTS if not (unpacked / part).exists()]
    if lacking:
        sys.exit(f"the sdist lacks {', '.join(lacking)}")
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    run([sys.executable, "-m", "pytest", "-n", "0", "-q", *SDIST_TESTS], unpacked, environment)


def tutorial() -> list[str]:
    """Return the shell blocks of docs/tutorial.md, but for the first, which installs."""
    return re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), flags=re.DOTALL)[1:]


def use_wheel(wheel: Path, folder: Path) -> None:
    """Install a wheel alone, and do with it, far from the checkout, what the tutorial says."""
    home, desk = folder / "environment", folder / "desk"
    desk.mkdir()
    venv.create(home, with_pip=False)
    bin = home / "bin"
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    clean["PATH"] = f"{bin}:{clean['PATH']}"
    # The pip of this environment, which README's commands have updated: a newer one is faster.
    pip = [sys.executable, "-m", "pip", "--python", str(bin / "python")]
    # Most of what comes is never imported here; what is, Python compiles then.
    run([*pip, "install", "-q", "--no-compile", str(wheel)], desk, clean)
    run([*pip, "check"], desk, clean)
    where = "import medward, sys; sys.exit(not medward.__file__.startswith(sys.prefix))"
    run([str(bin / "python"), "-c", where], desk, clean)
    run(["medward", "--version"], desk, clean)
    run(["medward", "--help"], desk, clean)
    for commands in tutorial():
        # The audit of what was forged must fail, and does so with 1.
        script = commands.replace("medward audit --home forged", "medward audit --home forged && exit 2 || test $? = 1")
        run(["bash", "-euo", "pipefail", "-c", script], desk, clean)


def main() -> None:
    """Build, check and use sdist and wheel."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="where sdist and wheel are left; nowhere by default")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        out = folder / "dist" if chosen.out is None else chosen.out.resolve()
        if out.exists() and any(out.iterdir()):
            sys.exit(f"{out} is not empty; name an empty folder, so that no older file is taken for a new one")
        for name in ("sdist", "wheel"):
            (folder / name).mkdir()
        try:
            sdist, wheel = build(out)
            check_wheel_content(wheel)
            check_sdist(sdist, folder / "sdist")
            use_wheel(wheel, folder / "wheel")
        except subprocess.CalledProcessError as error:
            sys.exit(f"failed with exit code {error.returncode}: {' '.join(map(str, error.cmd))}")
        print(f"{sdist.name} ({sdist.stat().st_size} bytes) and {wheel.name} ({wheel.stat().st_size} bytes) hold")


if __name__ == "__main__":
    main()
