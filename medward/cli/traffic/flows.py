"""`medward flows`: meter a capture into a table of flows that models are trained on and that they score."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from medward.cli._console import errors, print_json, say
from medward.errors import BadUsage, MedwardError

if TYPE_CHECKING:
    import polars as pl

    from medward.traffic.ciciomt import CiciomtMeter
    from medward.traffic.labels import InjectedAttack
    from medward.traffic.meter import Meter


class MeterSchema(StrEnum):
    """Which columns are made."""

    MEDWARD_FLOW = "medward-flow"
    CICIOMT2024 = "ciciomt2024"


class DeviceKey(StrEnum):
    """What a device is known by."""

    MAC = "mac"
    ADDRESS = "ip"


def flows(
    capture: str = typer.Argument("", help="The capture, pcap or pcapng; - reads standard input. The same as --pcap."),
    pcap: str = typer.Option("", "--pcap", help="The capture, pcap or pcapng; - reads standard input."),
    out: Path = typer.Option(..., help="The table to write: .parquet, .csv or .csv.gz. Its folder is made."),
    schema: MeterSchema = typer.Option(MeterSchema.MEDWARD_FLOW, help="Which columns to make."),
    labels: Path | None = typer.Option(None, help="A JSON list of injected attacks, which label the rows."),
    quiet: bool = typer.Option(
        False, "--quiet", help="The capture is of a commissioning period without attacks: label every row benign."
    ),
    devices: DeviceKey = typer.Option(DeviceKey.MAC, help="What devices are known by; ip where routing hides MACs."),
    payload: bool = typer.Option(True, "--payload/--no-payload", help="Whether to look into payload, for evidence."),
    packets_per_row: int = typer.Option(10, min=1, max=100_000, help="With --schema ciciomt2024: packets of a row."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document on standard output."),
) -> None:
    """Meter a capture: a row for each device and 2 seconds, with views of 2, 10 and 60 seconds (medward-flow).

    Labels come from a list of attacks that were made on purpose, or from knowing that there were none (`--quiet`); the
    column label_source says which.

    With `--schema ciciomt2024`, rows have the columns of CICIoMT2024 as its publishers made them. A capture that
    cannot be read to its end gives the rows before the damage, and exit code 1.

    Example: `medward flows --pcap ward.pcap --out tables/ward.parquet --json`
    """
    from medward.cli.traffic._table_files import TableFile
    from medward.traffic.labels import read_labels

    if bool(capture) == bool(pcap):
        raise BadUsage("Name one capture, with --pcap FILE; --pcap - reads standard input.")
    name = capture or pcap
    if name == "-" and sys.stdin.isatty():
        raise BadUsage("Standard input is a terminal: pipe a capture into `medward flows --pcap -`.")
    if quiet and labels is not None:
        raise BadUsage("--quiet says that the capture holds no attack, --labels which ones it holds: give one of them.")
    attacks = [] if quiet else None if labels is None else read_labels(labels)
    meter = _meter(schema, devices, payload, packets_per_row)
    failure: MedwardError | None = None
    say(f"metering {name}")
    with TableFile(out) as table:
        try:
            for frame in _frames(meter, name, attacks):
                table.add(frame if attacks is None else _with_source(frame, quiet))
                say(f"{table.rows} rows of {name} are metered")
        except MedwardError as error:
            failure = error
            if table.rows == 0:
                raise
        if table.rows == 0:
            raise MedwardError(f"{name} holds no packet of a device, so there is no row to write: capture longer.")
    _report(meter, name, schema, out, table.rows, failure, as_json)
    if failure is not None:
        raise failure


def _with_source(frame: "pl.DataFrame", quiet: bool) -> "pl.DataFrame":
    """Add where the labels are from, so that what was only believed can be told from what was done on purpose."""
    import polars as pl

    return frame.with_columns(pl.lit("quiet" if quiet else "list").alias("label_source"))


def _meter(schema: MeterSchema, devices: DeviceKey, payload: bool, packets_per_row: int) -> "Meter | CiciomtMeter":
    from medward.traffic.ciciomt import CiciomtMeter
    from medward.traffic.meter import Meter, MeterSettings

    if schema is MeterSchema.CICIOMT2024:
        return CiciomtMeter(packets_per_row)
    return Meter(MeterSettings(by_address=devices is DeviceKey.ADDRESS, inspect=payload))


def _frames(
    meter: "Meter | CiciomtMeter", name: str, attacks: "list[InjectedAttack] | None"
) -> "Iterator[pl.DataFrame]":
    from medward.traffic.meter import Meter

    return _window_frames(meter, name, attacks) if isinstance(meter, Meter) else _ciciomt_frames(meter, name, attacks)


def _window_frames(meter: "Meter", name: str, attacks: "list[InjectedAttack] | None") -> "Iterator[pl.DataFrame]":
    import polars as pl

    from medward.traffic.columns import COLUMNS
    from medward.traffic.labels import WindowLabels
    from medward.traffic.meter import meter_windows
    from medward.traffic.sources.capture import read_capture

    labels = None if attacks is None else WindowLabels(attacks)
    for windows in meter_windows(read_capture(name), meter):
        columns: dict[str, Any] = {
            "capture": [_capture_name(name)] * len(windows),
            "device": windows.device,
            "address": windows.address,
            "start": windows.start,
            **dict(zip(COLUMNS, windows.values.T, strict=True)),
        }
        if labels is not None:
            columns["label"] = labels.label(windows)
        yield pl.DataFrame(columns).with_columns(pl.col(pl.Float32).fill_nan(None))


def _ciciomt_frames(
    meter: "CiciomtMeter", name: str, attacks: "list[InjectedAttack] | None"
) -> "Iterator[pl.DataFrame]":
    import polars as pl

    from medward.traffic.ciciomt import COLUMNS
    from medward.traffic.labels import label_times
    from medward.traffic.sources.capture import read_capture

    def frame(rows: Any, times: Any) -> pl.DataFrame:
        columns: dict[str, Any] = {**dict(zip(COLUMNS, rows.T, strict=True)), "time": times}
        columns["source_file"] = [_capture_name(name)] * len(rows)
        if attacks is not None:
            columns["attack_class"] = label_times(attacks, times, "Benign")
        return pl.DataFrame(columns)

    failure: MedwardError | None = None
    try:
        for batch in read_capture(name):
            rows, times = meter.step(batch)
            if len(rows):
                yield frame(rows, times)
    except MedwardError as error:
        failure = error
    rows, times = meter.finish()
    if len(rows):
        yield frame(rows, times)
    if failure is not None:
        raise failure


def _capture_name(name: str) -> str:
    return "standard input" if name == "-" else Path(name).name


def _report(
    meter: "Meter | CiciomtMeter",
    name: str,
    schema: MeterSchema,
    out: Path,
    rows: int,
    failure: MedwardError | None,
    as_json: bool,
) -> None:
    from medward.traffic.meter import Meter

    if isinstance(meter, Meter):
        counters = asdict(meter.counters)
        for sentence in meter.counters.warnings():
            errors().print(f"medward: {sentence}", markup=False, highlight=False)
    else:
        counters = {"packets": meter.packets, "flows_evicted": meter.flows_evicted}
    if as_json:
        print_json(
            {
                "capture": name,
                "schema": schema.value,
                "out": str(out),
                "rows": rows,
                "counters": counters,
                "damage": None if failure is None else str(failure),
            }
        )
    else:
        typer.echo(f"{out}: {rows} rows of {schema.value} from {counters['packets']} packets of {name}")
