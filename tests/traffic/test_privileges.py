"""Privileges are given up by every set of the process, for good, and a thread that keeps some is told of."""

import os
import subprocess
import sys

import pytest

_BEGIN = """
import os
from pathlib import Path
from medward.traffic.sources.privileges import PrivilegesKept, drop_privileges

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("Cap", "NoNewPrivs"))}
"""


def ran(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", _BEGIN + code], capture_output=True, text=True, check=False)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="capabilities are Linux's")
def test_no_capability_is_left_and_none_can_be_had_again() -> None:
    done = ran(
        "drop_privileges()\n"
        "drop_privileges()  # a second time changes nothing\n"
        "now = held()\n"
        "assert now['NoNewPrivs'] == '1'\n"
        "assert all(int(now[name], 16) == 0 for name in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb')), now\n"
        "print('done')"
    )
    assert done.stdout == "done\n", done.stderr


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root has privileges to keep"
)
def test_thread_that_was_started_before_is_told_of() -> None:
    done = ran(
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "try:\n    drop_privileges()\nexcept PrivilegesKept as error:\n    print(error)\n"
    )
    assert "kept privileges" in done.stdout, done.stderr
