import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MakeInterpreter = Callable[..., Path]


@pytest.fixture
def interpreter(tmp_path: Path) -> MakeInterpreter:
    """A maker of interpreters that run a program of ours: with a stand-in for OpenFHE, or a shell's lines instead."""

    def make(instead: str | None = None, *, eager: bool = False) -> Path:
        library = Path(__file__).with_name("stand_in_openfhe.py").read_text(encoding="utf-8")
        (tmp_path / "openfhe.py").write_text(library.replace("EAGER = False", f"EAGER = {eager}"), encoding="utf-8")
        (tmp_path / "openfhe-9.8.7.dist-info").mkdir(exist_ok=True)
        (tmp_path / "openfhe-9.8.7.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nVersion: 9.8.7\n")
        # It is started with -I, which would not look for modules in the folder.
        run = f'shift\nPYTHONPATH={shlex.quote(str(tmp_path))} exec {shlex.quote(sys.executable)} -S "$@"'
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{run if instead is None else instead}\n")
        path.chmod(0o755)
        return path

    return make
