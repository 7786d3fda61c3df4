"""`medward watch`: alerts of what a capture or an interface holds, and nothing else, as far as it can be read."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from medward.flows.datasets import CICIOMT
from tests.alerts.hand_made import CLASSES, FORGER, SCANNER, SECRET, SERVER, hand_made_model, ward
from tests.cli.conftest import Run
from tests.traffic.captures import BEGIN, SECOND, pcap, pcapng

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    hand_made_model().save(folder)
    return folder


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "attacked.pcap"
    path.write_bytes(pcap(ward()))
    return path


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_alerts_of_a_capture_are_written_as_eve(medward: Run, model: Path, attacked: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "eve.json"
    done = medward("watch", "--model", model, "--pcap", attacked, "--format", "eve", "--out", out)
    assert (done.code, done.out) == (0, "")
    lines = lines_of(out.read_text())
    assert {line["event_type"] for line in lines} == {"alert"}
    assert {(line["medward"]["class"], line["ether"]["src_mac"]) for line in lines} == {
        (CLASSES[1], SCANNER),
        (CLASSES[2], FORGER),
        (CLASSES[2], SERVER),
    }
    starts = [line["medward"]["start"] for line in lines]
    assert starts == sorted(starts)
    assert starts[0] == (BEGIN + 8 * SECOND) / SECOND
    assert lines[0]["timestamp"] == "2027-01-15T08:00:10.000000+0000"
    assert max(line["medward"]["count"] for line in lines) == 4
    assert SECRET.decode() not in out.read_text() + done.err
    assert "looked into" in done.err


def test_quiet_capture_gives_an_empty_file(medward: Run, model: Path, tmp_path: Path) -> None:
    capture, out = tmp_path / "quiet.pcapng", tmp_path / "eve.json"
    capture.write_bytes(pcapng(ward(attacks=False)))
    done = medward("watch", "--model", model, "--pcap", capture, "--format", "eve", "--out", out)
    assert done.code == 0
    assert out.read_bytes() == b""


def test_damaged_capture_gives_the_alerts_before_the_damage_and_exit_code_1(
    medward: Run, model: Path, attacked: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(attacked.read_bytes()[:-7])
    done = medward("watch", "--model", model, "--pcap", cut)
    assert done.code == 1
    assert "cannot be read beyond packet" in done.err
    whole = lines_of(medward("watch", "--model", model, "--pcap", attacked).out)
    assert [line["incident"] for line in lines_of(done.out)] == [line["incident"] for line in whole]
    cut.write_bytes(b"no capture")
    refused = medward("watch", "--model", model, "--pcap", cut)
    assert (refused.code, refused.out) == (1, "")
    assert "is no capture" in refused.err


def test_wrong_usage_and_other_models_are_told_in_one_sentence(
    medward: Run, model: Path, attacked: Path, tmp_path: Path
) -> None:
    hand_made_model(CICIOMT.schema).save(tmp_path / "ciciomt")
    for words, code, said in (
        (["--model", model], 2, "one of the two"),
        (["--model", model, "--pcap", attacked, "--interface", "lo"], 2, "one of the two"),
        (["--model", tmp_path / "ciciomt", "--pcap", attacked], 1, "was trained on ciciomt2024"),
        (["--model", tmp_path / "none", "--pcap", attacked], 1, "is not there"),
        (["--model", model, "--pcap", tmp_path / "none.pcap"], 1, "none.pcap"),
        (["--model", model, "--interface", "nowhere0"], 1, "nowhere0"),
    ):
        done = medward("watch", *words)
        assert (done.code, said in done.err.splitlines()[0]) == (code, True), done.err
        assert "Traceback" not in done.err


def start(words: list[object], **options: Any) -> subprocess.Popen[bytes]:
    code = "from medward.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, "watch", *map(str, words)], env=environment, stderr=subprocess.PIPE, **options
    )


def wait_for(path: Path, lines: int) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_watch_has_written_every_window_that_had_ended(model: Path, attacked: Path, tmp_path: Path) -> None:
    out = tmp_path / "alerts.json"
    content = attacked.read_bytes()
    with start(["--model", model, "--pcap", "-", "--out", out], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        # All but the last two seconds, whose window has not ended.
        process.stdin.write(content[: int(len(content) * 0.8)])
        process.stdin.flush()
        wait_for(out, 3)
        process.send_signal(signal.SIGKILL)
    written = out.read_text()
    assert written.endswith("\n")
    assert {line["class"] for line in lines_of(written)} == set(CLASSES[1:])


LIVE = """
set -e
ip link set lo up
ip link add span0 type veth peer name tap0
ip link set span0 up
ip link set tap0 up
exec "$@"
"""


def namespace(*words: object) -> list[str]:
    return ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", LIVE, "sh", *map(str, words)]


def namespaces_allowed() -> bool:
    if not all(shutil.which(program) for program in ("unshare", "ip")):
        return False
    return subprocess.run(namespace("true"), capture_output=True, check=False).returncode == 0


#: Runs inside the namespace: the watch on one end of a wire, and packets that are sent in at the other, at their pace.
PLAY = """
import json, os, signal, socket, subprocess, sys, time
from pathlib import Path
from tests.alerts.hand_made import ward
out, model = Path(sys.argv[1]), sys.argv[2]
watch = subprocess.Popen(
    [sys.executable, "-c", "from medward.cli import main; main()", "watch", "--model", model, "--interface", "span0",
     "--format", "eve", "--out", str(out)], stderr=subprocess.PIPE, text=True)
told = watch.stderr.readline()
assert "watching span0" in told, told
status = [Path(path, "status").read_text() for path in Path(f"/proc/{watch.pid}/task").iterdir()]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("tap0", 0))
packets = ward(6)
packets = [(t, f) for t, f in ward(16) if t >= packets[-1][0]]
begun, first = time.time(), packets[0][0]
for moment, frame in packets:
    time.sleep(max(0.0, begun + (moment - first) / 2e9 - time.time()))
    wire.send(frame)
time.sleep(2.5)
if sys.argv[3] == "down":
    subprocess.run(["ip", "link", "set", "span0", "down"], check=True)
else:
    watch.send_signal(signal.SIGTERM)
rest = watch.stderr.read()
held = [line.split()[1] for text in status for line in text.splitlines() if line.startswith(("CapEff", "CapPrm"))]
print(json.dumps({"code": watch.wait(), "err": rest, "held": held, "sent": len(packets), "begun": begun}))
"""


@pytest.mark.skipif(not namespaces_allowed(), reason="network namespaces are not allowed here")
@pytest.mark.slow
@pytest.mark.parametrize("end", ["stop", "down"])
def test_interface_is_watched_without_privileges(model: Path, tmp_path: Path, end: str) -> None:
    out = tmp_path / "eve.json"
    words = namespace(sys.executable, "-c", PLAY, out, model, end)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert set(said["held"]) == {"0000000000000000"}
    assert "0 of them were dropped" in said["err"]
    lines = lines_of(out.read_text())
    assert {line["medward"]["class"] for line in lines} == set(CLASSES[1:])
    assert {line["in_iface"] for line in lines} == {"span0"}
    assert all(line["medward"]["end"] > said["begun"] for line in lines)
    assert said["code"] == (0 if end == "stop" else 1)
    assert ("can no longer be captured on" in said["err"]) == (end == "down")


@pytest.mark.slow
def test_own_tables_make_a_model_that_watches(medward: Run, tmp_path: Path) -> None:
    (tmp_path / "bench.pcap").write_bytes(pcap(ward(60)))
    (tmp_path / "quiet.pcap").write_bytes(pcap(ward(60, attacks=False)))
    begin, end = BEGIN / SECOND + 8, BEGIN / SECOND + 60
    entries = [
        {"class": name, "start": begin, "end": end, "attacker": "", "mac": mac, "victim": ""}
        for name, mac in ((CLASSES[1], SCANNER), (CLASSES[2], FORGER))
    ]
    (tmp_path / "bench.json").write_text(json.dumps(entries))
    tables, model = tmp_path / "tables", tmp_path / "model"
    for words in (["bench.pcap", "--labels", tmp_path / "bench.json"], ["quiet.pcap", "--quiet"]):
        name = str(words[0])
        assert medward("flows", tmp_path / name, *words[1:], "--out", tables / f"{name}.parquet").code == 0
    done = medward("train", "--data", tables, "--all-rows", "--out", model)
    assert done.code == 0, done.err
    checked = medward("evaluate", "--model", model, "--data", tables / "bench.pcap.parquet", "--json")
    assert checked.document["metrics"]["binary"]["attack_recall"] > 0.9
    found = lines_of(medward("watch", "--model", model, "--pcap", tmp_path / "bench.pcap").out)
    assert {(line["class"], line["device"]) for line in found} >= {(CLASSES[1], SCANNER), (CLASSES[2], FORGER)}
    assert medward("watch", "--model", model, "--pcap", tmp_path / "quiet.pcap").out == ""
