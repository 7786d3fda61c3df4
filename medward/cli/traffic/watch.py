"""`medward watch`: packets in, alerts out, from an interface or a capture."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from medward.cli._console import end_narration, errors, say
from medward.cli._models import MODEL_HELP, open_model
from medward.cli.traffic.flows import DeviceKey
from medward.errors import BadUsage

if TYPE_CHECKING:
    from medward.agents.sentinel.model import SentinelModel
    from medward.alerts.alert import Watch
    from medward.traffic.meter import Meter, WindowTable
    from medward.traffic.payload.evidence import EvidenceRing
    from medward.traffic.sources.ring import InterfaceRing

_TELL_SECONDS = 60.0


class AlertFormat(StrEnum):
    """How alerts are written."""

    JSON = "json"
    EVE = "eve"
    STRICT_EVE = "eve-strict"


def watch(
    model: Path = typer.Option(..., help=MODEL_HELP + " It was trained on tables of `medward flows`."),
    interface: str = typer.Option("", help="The interface to watch, of a SPAN port or a tap; needs CAP_NET_RAW."),
    pcap: str = typer.Option("", "--pcap", help="A capture to watch instead, pcap or pcapng; - reads standard input."),
    form: AlertFormat = typer.Option(
        AlertFormat.JSON, "--format", help="Lines of JSON, or of Suricata's EVE; strict: as its JSON schema wants them."
    ),
    out: Path | None = typer.Option(
        None, help="The file that alerts are appended to, made with its folder; without it, standard output."
    ),
    devices: DeviceKey = typer.Option(DeviceKey.MAC, help="What devices are known by, as in the model's tables."),
    ring: int = typer.Option(128, min=2, max=4096, help="MiB of the ring that takes an interface's bursts."),
) -> None:
    """Watch traffic with a trained model, and write a line for each alert.

    Every 2 seconds each device is judged by its headers, and by its payload where the model asks for that evidence.
    Alerts about one device and class that follow each other are one incident, whose line is written again with a
    higher count. The file holds alerts and nothing else; what was seen, dropped and forgotten stands on standard
    error. A capture that cannot be read to its end gives the alerts before the damage, and exit code 1.

    Example: `medward watch --model model/ --interface span0 --format eve --out /var/log/medward/eve.json`

    Example: `medward watch --model model/ --pcap ward.pcap`
    """
    if bool(interface) == bool(pcap):
        raise BadUsage("Name what to watch, with --interface or with --pcap: one of the two.")
    if pcap == "-" and sys.stdin.isatty():
        raise BadUsage("Standard input is a terminal: pipe a capture into `medward watch --pcap -`.")
    # Threads of a library would keep the privileges that are given up below.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from medward.alerts.alert import Watch
    from medward.alerts.alert_file import AlertFile
    from medward.alerts.lines import FORMATS
    from medward.traffic.meter import Meter, MeterSettings
    from medward.traffic.payload.evidence import EvidenceRing, buy_evidence

    say(f"reading {model}")
    trained = open_model(model)
    say(f"watching {interface or pcap}")
    watching = Watch(trained, str(model))
    meter = Meter(MeterSettings(by_address=devices is DeviceKey.ADDRESS, inspect=False))
    evidence = EvidenceRing()
    line, origin = FORMATS[form.value], ("in_iface", interface) if interface else ("pcap_filename", pcap)
    with ExitStack() as stack:
        place = stack.enter_context(AlertFile(out))
        packets = stack.enter_context(_open_ring(interface, ring, trained, str(model))) if interface else None
        try:
            for table in _windows(packets, pcap, meter, evidence):
                alerts = watching.step(table, lambda windows: buy_evidence(evidence, windows))
                place.write([line(alert, origin) for alert in alerts])
        finally:
            _summarise(watching, meter, packets)


def _open_ring(interface: str, mebibytes: int, model: "SentinelModel", place: str) -> "InterfaceRing":
    """Return an open ring, with everything compiled before and all privileges given up after."""
    from medward.alerts.windows import compile_watch
    from medward.traffic.sources.privileges import drop_privileges
    from medward.traffic.sources.ring import InterfaceRing

    say("compiling")
    compile_watch(model, place)
    end_narration()
    ring = InterfaceRing(interface, mebibytes)
    drop_privileges()
    return ring


def _windows(
    packets: "InterfaceRing | None", pcap: str, meter: "Meter", evidence: "EvidenceRing"
) -> "Iterator[WindowTable]":
    from medward.alerts.windows import windows_of_capture, windows_of_interface

    if packets is None:
        return windows_of_capture(pcap, meter, evidence)
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopped.append(number))
    _tell(f"watching {packets.interface}")
    told = _drops_told(packets)
    return windows_of_interface(packets, meter, evidence, lambda: told() or bool(stopped))


def _drops_told(packets: "InterfaceRing") -> Callable[[], bool]:
    """Return what tells of dropped packets once a minute, and asks for no stop."""
    last, before = time.monotonic(), 0

    def tell() -> bool:
        nonlocal last, before
        if time.monotonic() - last >= _TELL_SECONDS:
            last = time.monotonic()
            received, dropped = packets.statistics()
            if dropped > before:
                _tell(f"{dropped - before} packets were dropped in the last minute, of {received} in all")
            before = dropped
        return False

    return tell


def _summarise(watching: "Watch", meter: "Meter", packets: "InterfaceRing | None") -> None:
    counters, counted = watching.counters, meter.counters
    if packets is not None:
        received, dropped = packets.statistics()
        _tell(f"{received} packets came to {packets.interface}, {dropped} of them were dropped")
    for sentence in counted.warnings():
        _tell(sentence)
    if counters["evidence_lost"]:
        _tell(f"{counters['evidence_lost']} windows were decided without the evidence they asked for: it was gone.")
    if counters["incidents_forgotten"]:
        _tell(f"{counters['incidents_forgotten']} incidents were forgotten for want of a place.")
    if counters["unreported"]:
        _tell(f"{counters['unreported']} lines were left out, because too many incidents began at a time.")
    if not counted.packets and packets is None:
        return
    _tell(
        f"{counters['windows']} windows of {counted.packets} packets; {counters['escalated']} looked into, "
        f"{counters['evidence_octets']} octets of payload; "
        f"{counters['incidents']} incidents, {counters['alerts']} lines"
    )


def _tell(sentence: str) -> None:
    errors().print(f"medward: {sentence}", markup=False, highlight=False)
