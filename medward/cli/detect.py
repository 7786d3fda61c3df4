"""`medward detect`: decide flows, one JSON line each."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from medward.cli._console import errors, say, unnarrated
from medward.cli._models import MODEL_HELP, open_model
from medward.errors import BadUsage, MedwardError

if TYPE_CHECKING:
    import polars as pl

    from medward.agents.sentinel.model import SentinelModel
    from medward.agents.sentinel.scorer import Scores
    from medward.flows.datasets import Dataset
    from medward.flows.errors import BadFile
    from medward.flows.schema import Flows

_STANDARD_INPUT = "-"
#: So many wrong rows of a stream are told one by one; of the others, every thousandth.
_TOLD = 5


def detect(
    model: Path = typer.Option(..., help=MODEL_HELP),
    flows: str = typer.Option(
        ..., help="A file of flows, with or without labels, of the model's data set; - for standard input."
    ),
    follow: bool = typer.Option(False, "--follow", help="Go on with what is appended to the file, until Ctrl-C."),
    alerts_only: bool = typer.Option(False, "--alerts-only", help="Leave out the flows that are allowed."),
) -> None:
    """Decide every flow of a file and print one JSON line for each.

    A line holds: time, device, decision (ALLOW or ALERT), class, q (for each action), evidence (whether it was
    bought), model, for an alert its severity (1 is the highest, 3 the lowest); and where the flows have them, at (the
    time as UTC), source, destination, source_port and destination_port. The file is read in batches; what is
    remembered of a device runs across them, so a device's rows must stand in the order of time.

    Standard input and a followed file are comma-separated text with a header line. Their rows are decided as they
    come; a wrong one is told on standard error and passed over, and the exit code is then 1.

    Example: `medward detect --model model/ --flows today.csv.gz --alerts-only`

    Example: `medward detect --model model/ --flows /var/log/flows.csv --follow --alerts-only`
    """
    from medward.flows.endpoints import endpoint_columns
    from medward.flows.history import Memory
    from medward.flows.opening import dataset_with

    if follow and flows == _STANDARD_INPUT:
        raise BadUsage("--follow is for a file; standard input is read until it ends in any case")
    say("reading the model")
    trained = open_model(model)
    dataset = dataset_with(trained.space.schema)
    wrong = _WrongRows()
    memory, scorer, row = Memory(trained.space), trained.scorer(), 0
    # A stream is silent as long as nothing comes.
    streamed = follow or flows == _STANDARD_INPUT
    say(f"reading {flows}")
    try:
        with unnarrated() if streamed else nullcontext():
            for batch, frame in _batches(dataset, flows, follow, wrong):
                scores = scorer.score(memory.build(batch))
                columns = endpoint_columns(dataset.schema, frame.columns)
                _print_decisions(trained, batch, scores, alerts_only, row, (frame, columns))
                row += len(batch)
                say(f"{row} rows of {flows} are decided")
                sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer goes nowhere, without another error at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise MedwardError("nobody reads the decisions any more, so the rest is not decided") from None
    if wrong.count:
        raise MedwardError(f"{wrong.count} wrong rows were passed over; see above")


class _WrongRows:
    """Tells of wrong rows, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def refuse(self, error: "BadFile") -> None:
        self.count += 1
        if self.count <= _TOLD or self.count % 1000 == 0:
            more = "" if self.count < _TOLD else f" ({self.count} wrong rows so far)"
            errors().print(f"passed over: {error}{more}", markup=False, highlight=False)


def _batches(dataset: "Dataset", flows: str, follow: bool, wrong: _WrongRows) -> "Iterator[tuple[Flows, pl.DataFrame]]":
    """Yield the rows to be decided, each batch with its columns as they stand in the file."""
    from medward.flows import streaming
    from medward.flows.reading import read_with_columns

    if flows == _STANDARD_INPUT:
        stream = streaming.FlowStream(dataset, Path("standard input"), wrong.refuse)
        return stream.read(streaming.chunks_of(sys.stdin.fileno()))
    if follow:
        path = Path(flows)
        return streaming.FlowStream(dataset, path, wrong.refuse).read(streaming.follow(path))
    return read_with_columns(dataset, Path(flows))


def _print_decisions(
    model: "SentinelModel",
    flows: "Flows",
    scores: "Scores",
    alerts_only: bool,
    first_row: int,
    columns: "tuple[pl.DataFrame, dict[str, str]]",
) -> None:
    from medward.alerts.techniques import threat_of
    from medward.flows.endpoints import endpoints, time_of_day

    actions = ["ALLOW", *(f"ALERT {name}" for name in model.classes[1:]), "ESCALATE"]
    name = model.name
    for i, ends in enumerate(endpoints(*columns)):
        decision = int(scores.decision[i])
        if alerts_only and decision == 0:
            continue
        line: dict[str, Any] = {"time": float(flows.order[i]) if flows.order is not None else first_row + i}
        if flows.order is not None and (at := time_of_day(line["time"])) is not None:
            line["at"] = at
        line |= {
            "device": flows.devices[flows.device[i]],
            **ends,
            "decision": "ALERT" if decision else "ALLOW",
            "class": model.classes[decision],
            "q": {
                action: round(float(q), 5) for action, q in zip(actions, scores.q[i], strict=True) if q != float("-inf")
            },
            "evidence": bool(scores.escalated[i]),
            "model": name,
        }
        if decision:
            line["severity"] = threat_of(model.classes[decision]).severity
        if model.provenance.synthetic:
            line["synthetic"] = True
        sys.stdout.write(json.dumps(line) + "\n")
