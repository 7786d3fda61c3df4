"""The process around a node: an unusable home is told of, and the service manager hears of the node's state."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from medward.errors import MedwardError
from medward.node.home.folder import Home
from medward.node.process import _tell_systemd, run_node


def test_folder_that_is_no_home_is_told(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        with pytest.raises(MedwardError, match=str(tmp_path)):
            run_node(tmp_path / "nowhere")
    finally:
        os.umask(mask)


def test_home_that_another_process_holds_is_told(homes: dict[str, Home]) -> None:
    home = homes["north"]
    mask = os.umask(0o077)
    try:
        with home.locked(), pytest.raises(MedwardError):
            run_node(home.folder)
    finally:
        os.umask(mask)


@pytest.mark.parametrize("abstract", [False, True])
def test_service_manager_is_told_where_there_is_one(
    tmp_path: Path, abstract: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"@medward-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        _tell_systemd("READY=1\nSTATUS=voting")
        assert manager.recv(100) == b"READY=1\nSTATUS=voting"


@pytest.mark.parametrize("name", ["", "/nowhere/notify", "x" * 500])
def test_service_manager_that_is_not_there_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    _tell_systemd("READY=1")


_ENDING = """
import logging, sys
from medward.node.process import end
logging.basicConfig(filename=sys.argv[1], level="INFO", format="%(message)s")
logging.getLogger().info("the last line")
sys.stdout.write("not flushed yet")
{before}
end(3)
"""


@pytest.mark.parametrize(
    ("before", "said"), [("", "not flushed yet"), ("import os; os.close(1)", ""), ("sys.stdout = None", "")]
)
def test_process_that_ends_at_once_has_said_all_and_tells_its_exit_code(tmp_path: Path, before: str, said: str) -> None:
    command = (sys.executable, "-c", _ENDING.format(before=before), str(tmp_path / "log"))
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=buffered)
    assert (done.returncode, done.stdout, done.stderr) == (3, said, "")
    assert (tmp_path / "log").read_text() == "the last line\n"
