"""Send packets at a steady rate over a wire to `medward watch`, and see that each is counted as seen or as dropped.

    python benchmarks/traffic/live_wire.py run --model MODEL [--keep]      as root, or where users may make namespaces
    python benchmarks/traffic/live_wire.py table                           the table of docs/gateway.md

The wire is a veth pair in a network namespace of its own. A second process sends the frames of a generated ward
(medward.bench.traffic.generation) in at one end, and the watch, with the model and its ring as by default, sits at the
other. Sender and watch share the machine, so at least two cores are needed.
"""

import argparse
import json
import platform
import re
import signal
import socket
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from medward.bench.traffic.generation import ward

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "traffic" / "results" / "live-wire.json"
#: Without IPv6 nothing but the sender sends.
NETWORK = """
set -e
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
ip link add span0 type veth peer name tap0
ip link set span0 up
ip link set tap0 up
exec "$@"
"""
BURSTS = 1000  # a second
FRAMES = 200_000


def send(rate: int, seconds: float) -> dict[str, Any]:
    """Send frames in at one end, in a thousand bursts a second; return how many went out, and in what time."""
    frames = [frame for _, frame in islice(ward(FRAMES + 10_000), FRAMES)]
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind(("tap0", 0))
    out, size, at, behind = wire.send, rate // BURSTS, 0, 0.0
    began = time.monotonic()
    for burst in range(int(seconds * BURSTS)):
        wait = began + burst / BURSTS - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        behind = max(behind, -wait)
        for frame in frames[at : at + size]:
            out(frame)
        at = (at + size) % (FRAMES - FRAMES % size)
    return {"sent": int(seconds * BURSTS) * size, "took": time.monotonic() - began, "behind": behind}


def watch_and_send(model: str, rate: int, seconds: float, ring: int) -> dict[str, Any]:
    """Run the watch and the sender inside the namespace."""
    program = [sys.executable, "-c", "from medward.cli import main; main()", "watch", "--model", model]
    where = ["--interface", "span0", "--out", "/dev/null", "--ring", str(ring)]
    watch = subprocess.Popen([*program, *where], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert watch.stderr is not None
    told = watch.stderr.readline()
    if "watching span0" not in told:
        raise SystemExit(f"the watch did not start: {told}{watch.stderr.read()}")
    spent = _ticks(watch.pid)
    sender = [sys.executable, __file__, "send", "--rate", str(rate), "--seconds", str(seconds)]
    sent = json.loads(subprocess.run(sender, check=True, capture_output=True, text=True).stdout)
    time.sleep(1)
    spent = _ticks(watch.pid) - spent
    watch.send_signal(signal.SIGTERM)
    said = watch.stderr.read()
    if watch.wait():
        raise SystemExit(f"the watch failed: {said}")
    came = re.search(r"(\d+) packets came to span0, (\d+) of them were dropped", said)
    counted = re.search(r"(\d+) windows of (\d+) packets", said)
    if came is None or counted is None:
        raise SystemExit(f"the watch says something else than it did: {said}")
    return {
        **sent,
        "came": int(came[1]),
        "dropped": int(came[2]),
        "metered": int(counted[2]),
        "windows": int(counted[1]),
        "cpu seconds of the watch": round(spent, 1),
    }


def _ticks(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(words[11]) + int(words[12])) / 100


def print_table(kept: dict[str, Any]) -> None:
    """Print the table of the page from the kept results."""
    print("| packets a second | seconds | sent | came to the interface | dropped | metered | CPU of the watch |")
    print("|---|---|---|---|---|---|---|")
    for row in kept["rows"]:
        share = row["cpu seconds of the watch"] / row["took"]
        rate = row["sent"] / row["took"]
        counts = (f"{row[name]:,}" for name in ("sent", "came", "dropped", "metered"))
        print(f"| {rate:,.0f} | {row['took']:.1f} | {' | '.join(counts)} | {share:.0%} of a core |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "inside", "send", "table"))
    parser.add_argument("--model", default="")
    for name, value in (("rate", 100_000), ("seconds", 60), ("ring", 128), ("repeats", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--keep", action="store_true", help=f"also write {KEPT.name}")
    options = parser.parse_args()
    if options.command == "table":
        print_table(json.loads(KEPT.read_text()))
    elif options.command == "send":
        print(json.dumps(send(options.rate, options.seconds)))
    elif options.command == "inside":
        print(json.dumps(watch_and_send(options.model, options.rate, options.seconds, options.ring)))
    else:
        words = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", NETWORK, "sh", sys.executable, __file__]
        settings = [f"--{name}={getattr(options, name)}" for name in ("rate", "seconds", "ring")]
        program = [*words, "inside", f"--model={Path(options.model).resolve()}", *settings]
        rows = []
        for _ in range(options.repeats):
            done = subprocess.run(program, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout))
            print(rows[-1], file=sys.stderr)
        text = json.dumps({"machine": f"{platform.machine()}, {platform.system()}", "rows": rows}, indent=1)
        print(text)
        if options.keep:
            KEPT.write_text(text + "\n")


if __name__ == "__main__":
    main()
