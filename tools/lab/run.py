"""A run of the laboratory, from inside its namespaces: build, capture, attack by the plan's clock, write labels."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.lab.capture import Capture
from tools.lab.namespaces import SPAN, build_network, start_in
from tools.lab.plan import Ward

#: Seconds in which hosts come up before the capture begins.
_SETTLES = 1.5
#: Seconds that a command beside the run has after it was interrupted.
_ENDS = 20


class FailedRun(Exception):
    """A run whose capture would not be what its labels say."""


def run(
    ward: Ward, methods: Sequence[str] | None, folder: Path, say: Callable[[str], None], beside: Sequence[str] = ()
) -> list[Path]:
    """Make a run; return the files that were written: the capture and its labels.

    Args:
        ward: the plan.
        methods: what it was drawn with.
        folder: where the files go; it is made.
        say: takes a line of progress.
        beside: a command that runs while the ward is captured, and is interrupted then; without any, nothing does.

    Raises:
        FailedRun: a host or an attack broke off, or frames were lost. Nothing is written.
    """
    build_network(ward)
    folder.mkdir(parents=True, exist_ok=True)
    capture, labels = (folder / f"run-{ward.seed}.{kind}" for kind in ("pcap", "labels.json"))
    hosts, drawn = {}, _drawn(ward)
    for host in ward.hosts:
        hosts[host.name] = start_in(host, "tools.lab.host", *drawn, host.name)
    for name, process in hosts.items():
        if process.stdout is None or process.stdout.readline() != "up\n":
            raise FailedRun(f"{name} did not come up: {_last_line(process)}")
    time.sleep(_SETTLES)
    said = f"{len(ward.hosts)} hosts on {ward.network}.0/24, {len(ward.attacks)} attacks in {ward.seconds:g} s"
    say(f"run {ward.seed}: {said}")
    with Capture(SPAN, capture, ward.seen_twice) as taken, _running(beside):
        entries = _attack(ward, methods, say)
        for name, process in hosts.items():
            if process.poll() is not None:
                raise FailedRun(f"{name} broke off: {_last_line(process)}")
    if taken.dropped:
        capture.unlink()
        raise FailedRun(f"{taken.dropped} frames were lost: run it on a machine that is less busy")
    part = labels.with_name(labels.name + ".part")
    part.write_text(json.dumps(entries, indent=1) + "\n")
    part.rename(labels)
    say(f"run {ward.seed}: {taken.frames} frames")
    return [capture, labels]


def _drawn(ward: Ward) -> tuple[str, ...]:
    """Return what a host's process draws the same ward from."""
    return str(ward.seed), str(ward.seconds), ",".join(ward.kinds), "yes" if ward.surroundings else "no"


@contextmanager
def _running(command: Sequence[str]) -> Iterator[None]:
    """Run a command, whose output is this program's messages, and interrupt it.

    Raises:
        FailedRun: it could not start, or ended with a failure.
    """
    if not command:
        yield
        return
    try:
        process = subprocess.Popen(command, stdout=sys.stderr)
    except OSError as error:
        raise FailedRun(f"{command[0]} did not start: {error.strerror}") from None
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            status = process.wait(_ENDS)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
    if status not in (0, -signal.SIGINT, 128 + signal.SIGINT):
        raise FailedRun(f"{command[0]} ended with status {status}")


def _attack(ward: Ward, methods: Sequence[str] | None, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Carry out the plan's attacks, each in its time; return the labels."""
    began = time.monotonic()
    entries: list[dict[str, Any]] = []
    for number, attack in enumerate(ward.attacks):
        time.sleep(max(0.0, began + attack.start - time.monotonic()))
        say(f"run {ward.seed}: {attack.method} from {attack.attacker}")
        arguments = (*_drawn(ward), ",".join(methods or ()), str(number))
        process = start_in(ward.host(attack.attacker), "tools.lab.intruder", *arguments)
        said, failed = process.communicate()
        if process.returncode != 0:
            raise FailedRun(f"{attack.method} broke off: {(failed.strip().splitlines() or ['it took too long'])[-1]}")
        times = json.loads(said)
        entries += ward.labels(attack, times["start"], times["end"])
    time.sleep(max(0.0, began + ward.seconds - time.monotonic()))
    return entries


def _last_line(process: "subprocess.Popen[str]") -> str:
    process.kill()
    _, failed = process.communicate()
    return (failed.strip().splitlines() or ["it said nothing"])[-1]
