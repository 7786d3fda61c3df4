"""A real run: each device and each attack is in its capture, labels cover the attacks, and nothing is left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from medward.traffic.columns import COLUMNS
from medward.traffic.labels import WindowLabels, read_labels
from medward.traffic.meter import Meter, meter_windows
from medward.traffic.packets import ARP, IPV4
from medward.traffic.parsing import parse
from medward.traffic.sources.capture import read_capture
from tools.lab.drawing import draw_ward
from tools.lab.namespaces import why_not
from tools.lab.plan import CLASSES, Attack

ROOT = Path(__file__).resolve().parents[2]
SEED, SECONDS = 11, 80
#: A column of medward-flow that each method must move in a window of its attacker, and how far.
SIGNS = {
    "syn_scan": ("ports_out", 20),
    "connect_scan": ("ports_out", 15),
    "slow_scan": ("ports_out", 2),
    "icmp_sweep": ("arp_targets", 5),
    "arp_sweep": ("arp_targets", 10),
    "syn_flood": ("syn_out", 50),
    "connection_flood": ("flows_out", 20),
    "mqtt_connection_flood": ("mqtt_connects", 20),
    "arp_spoofing": ("arp_claims", 1),
    "alteration": ("rewritten", 1),
    "mqtt_guessing": ("mqtt_refused", 2),
    "http_guessing": ("http_refused", 2),
    "ssh_guessing": ("logins_out", 2),
    "ftp_guessing": ("ftp_refused", 1),
    "mqtt_malformed": ("mqtt_malformed", 2),
    "malformed_packets": ("malformed_up", 5),
    "dhcp_starvation": ("dhcp", 10),
    "exfiltration": ("payload_up", 300),
}


@pytest.fixture(scope="module")
def allowed() -> None:
    if (reason := why_not()) is not None:
        pytest.skip(reason)


def laboratory(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "tools" / "lab"), *arguments]


@pytest.fixture(scope="module")
def folder(allowed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lab")
    words = ("--seed", str(SEED), "--seconds", str(SECONDS), "--out", str(out), "--attacks", ",".join(CLASSES))
    done = subprocess.run(laboratory(*words), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(out / f"run-{SEED}.pcap"), str(out / f"run-{SEED}.labels.json")]
    return out


def windows(folder: Path) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    """Devices, starts, values and labels of all windows."""
    labels = WindowLabels(read_labels(folder / f"run-{SEED}.labels.json"))
    tables = list(meter_windows(read_capture(str(folder / f"run-{SEED}.pcap")), Meter()))
    return (
        [device for table in tables for device in table.device],
        np.concatenate([table.start for table in tables]),
        np.concatenate([table.values for table in tables]),
        [label for table in tables for label in labels.label(table)],
    )


@pytest.mark.processes
def test_capture_has_each_device_and_each_attack_and_labels_cover_them(folder):
    ward = draw_ward(SEED, SECONDS, list(CLASSES))
    devices, starts, values, labels = windows(folder)
    columns = list(COLUMNS)
    benign = values[[label == "benign" for label in labels]]
    for name in ("mqtt_publishes", "hl7_messages", "dicom_stores", "http_requests", "modbus_requests", "dhcp"):
        assert np.nansum(benign[:, columns.index(name)]) > 0, name

    entries = json.loads((folder / f"run-{SEED}.labels.json").read_text())
    at = 0
    for attack in ward.attacks:
        of_it = entries[at : at + max(len(attack.victims), 1)]
        at += len(of_it)
        assert_attack_shows(attack, of_it, devices, starts, values, labels, columns)
    assert at == len(entries)


def assert_attack_shows(
    attack: Attack,
    entries: list[dict],
    devices: list[str],
    starts: np.ndarray,
    values: np.ndarray,
    labels: list[str],
    columns: list[str],
) -> None:
    label = entries[0]
    assert {entry["class"] for entry in entries} == {CLASSES[attack.method]}
    assert 0 < label["end"] - label["start"] < attack.seconds + 5
    column, least = SIGNS[attack.method]
    rows = [
        i
        for i in range(len(devices))
        if devices[i] == label["mac"] and labels[i] == label["class"] and label["start"] - 2 < starts[i] < label["end"]
    ]
    assert rows, attack.method
    assert np.nanmax(values[rows, columns.index(column)]) >= least, (attack.method, column)


@pytest.mark.processes
def test_intruders_send_nothing_outside_their_labels(folder):
    ward = draw_ward(SEED, SECONDS, list(CLASSES))
    attacks = read_labels(folder / f"run-{SEED}.labels.json")
    for host in ward.hosts:
        if [role.name for role in host.roles] != ["collector"]:
            continue
        mac = int(host.mac.replace(":", ""), 16)
        outside = 0
        for batch in read_capture(str(folder / f"run-{SEED}.pcap")):
            for header in parse(batch):
                # The kernel by itself asks now and then whether a neighbour is still there, and speaks IPv6.
                speaks = header["kind"] == IPV4 or (header["kind"] == ARP and header["target_mac"] == 0xFFFFFFFFFFFF)
                if header["source_mac"] == mac and speaks:
                    seconds = header["time"] / 1e9
                    outside += not any(attack.start <= seconds <= attack.end for attack in attacks)
        assert outside <= 2, host


@pytest.mark.processes
def test_command_beside_a_run_sees_its_frames_until_it_ends(allowed, tmp_path):
    beside = (
        "import socket, sys\n"
        "wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); wire.bind((sys.argv[1], 3))\n"
        "count = 0\n"
        "try:\n"
        "    while True: count += len(wire.recv(65536)) > 0\n"
        "except KeyboardInterrupt: print('frames', count)\n"
    )
    (tmp_path / "beside.py").write_text(beside)
    words = laboratory("--seed", "4", "--seconds", "6", "--out", str(tmp_path), "--attacks", "none", "--beside")
    done = subprocess.run(
        [*words, f"{sys.executable} {tmp_path}/beside.py span1"], capture_output=True, text=True, check=True
    )
    counts = [int(line.split()[-1]) for line in done.stderr.splitlines() if line.startswith("frames ")]
    assert counts[0] > 10
    done = subprocess.run([*words, "no-such-program"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no-such-program did not start" in done.stderr


def network() -> tuple[list[tuple[int, str]], list[str]]:
    """This machine's interfaces, and its named network namespaces."""
    return socket.if_nameindex(), sorted(os.listdir("/run/netns")) if Path("/run/netns").exists() else []


def processes(word: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if word in words:
            found.append(folder.name)
    return found


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGTERM, signal.SIGINT))],
)
def test_nothing_is_left_of_a_laboratory_that_is_killed(allowed, tmp_path, number):
    before = network()
    seed = str(time.time_ns())
    words = laboratory("--seed", seed, "--seconds", "60", "--out", str(tmp_path), "--attacks", "none")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "hosts on" in process.stderr.readline()
        assert len(processes(seed)) >= 10
        assert network() == before
        os.kill(process.pid, number)
    deadline = time.monotonic() + 20
    while processes(seed) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes(seed) == []
    assert network() == before
    assert not list(tmp_path.glob("*.pcap"))


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["tools/lab", "--inside", "0", "--seed", "1", "--out", "OUT"], "no empty network of the laboratory's own"),
        (["-m", "tools.lab.host", "1", "60", "", "yes", "host0"], "not the namespace of the laboratory's host0"),
        (
            ["-m", "tools.lab.intruder", "1", "60", "", "no", "syn_flood", "0"],
            "not the namespace of the laboratory's host",
        ),
        (["tools/lab", "--seed", "1", "--seconds", "5000", "--out", "OUT"], "a run lasts 1 to 900 seconds"),
        (["tools/lab", "--seed", "1", "--attacks", "x", "--out", "OUT"], "there is no attack 'x'"),
    ],
)
def test_laboratory_refuses_other_networks_and_bad_plans_in_a_sentence(command, sentence, tmp_path):
    before = network()
    words = [str(tmp_path) if word == "OUT" else word for word in command]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert network() == before
    assert not list(tmp_path.iterdir())
