"""`medward detect`: decide flows, one JSON line each."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from medward.cli._models import MODEL_HELP, open_model

if TYPE_CHECKING:
    from medward.agents.sentinel.model import SentinelModel
    from medward.agents.sentinel.scorer import Scores
    from medward.flows.schema import Flows


def detect(
    model: Path = typer.Option(..., help=MODEL_HELP),
    flows: Path = typer.Option(..., help="A file of flows, with or without labels, of the model's data set."),
    alerts_only: bool = typer.Option(False, "--alerts-only", help="Leave out the flows that are allowed."),
) -> None:
    """Decide every flow of a file and print one JSON line for each.

    A line holds: time, device, decision (ALLOW or ALERT), class, q (for each action), evidence (whether it was
    bought), model. The file is read in batches; what is remembered of a device runs across them, so a device's rows
    must stand in the order of time.

    Example: `medward detect --model model/ --flows today.csv.gz --alerts-only`
    """
    from medward.flows.history import Memory
    from medward.flows.opening import dataset_with
    from medward.flows.reading import read_batches

    trained = open_model(model)
    dataset = dataset_with(trained.space.schema)
    memory, scorer, row = Memory(trained.space), trained.scorer(), 0
    for batch in read_batches(dataset, flows, "ignored"):
        _print_decisions(trained, batch, scorer.score(memory.build(batch)), alerts_only, row)
        row += len(batch)


def _print_decisions(
    model: "SentinelModel", flows: "Flows", scores: "Scores", alerts_only: bool, first_row: int
) -> None:
    actions = ["ALLOW", *(f"ALERT {name}" for name in model.classes[1:]), "ESCALATE"]
    name = model.name
    for i in range(len(flows)):
        decision = int(scores.decision[i])
        if alerts_only and decision == 0:
            continue
        line: dict[str, Any] = {
            "time": float(flows.order[i]) if flows.order is not None else first_row + i,
            "device": flows.devices[flows.device[i]],
            "decision": "ALERT" if decision else "ALLOW",
            "class": model.classes[decision],
            "q": {
                action: round(float(q), 5) for action, q in zip(actions, scores.q[i], strict=True) if q != float("-inf")
            },
            "evidence": bool(scores.escalated[i]),
            "model": name,
        }
        if model.provenance.synthetic:
            line["synthetic"] = True
        sys.stdout.write(json.dumps(line) + "\n")
