"""`medward evaluate`: score a labelled file with a trained model."""

from pathlib import Path
from time import perf_counter

import typer
from rich.console import Console
from rich.table import Table

import medward
from medward.cli._console import errors, print_json, say
from medward.cli._data import warn_of
from medward.cli._models import MODEL_HELP, refuse_no_model


def evaluate(
    model: Path = typer.Option(..., help=MODEL_HELP),
    data: Path = typer.Option(..., help="A labelled file, or a folder of such files, of the model's data set."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document on standard output."),
) -> None:
    """Score every row of a labelled file that the model never saw.

    History features are used only where the file names devices and their order; without these the model decides each
    row for itself.

    Example: `medward evaluate --model model/ --data new.csv.gz`
    """
    began = perf_counter()
    from medward.agents.sentinel.judgement import UNKNOWN
    from medward.flows.opening import dataset_with

    refuse_no_model(model)
    trained = medward.load_model(model)
    schema = trained.space.schema
    say(f"reading {data}")
    flows = trained.read(data, labelled=True)
    if trained.space.history and not trained.sees_history(flows):
        errors().print(f"no history: {data} names no {schema.device} or no {schema.order}")
    cautions = warn_of(dataset_with(schema), flows)
    say(f"deciding {len(flows)} rows")
    result = trained.evaluate(flows)
    if UNKNOWN in result.classes:
        errors().print("some rows are of classes that the model was never shown; they count as attacks without a name")
    document = {
        "model": str(model),
        "model_name": trained.name,
        "data": str(data),
        "synthetic": schema.synthetic,
        "rows": len(flows),
        "history": trained.sees_history(flows),
        "cautions": list(cautions),
        "metrics": result.metrics,
        "expected_cost": result.expected_cost,
        "escalation_rate": result.escalation_rate,
        "seconds": round(perf_counter() - began, 2),
    }
    if as_json:
        print_json(document)
        return
    table = Table("measure", "value", title=f"{data}: {len(flows)} rows")
    for group in ("binary", "multiclass"):
        for key, value in result.metrics[group].items():
            if isinstance(value, float):
                table.add_row(f"{group} {key}", f"{value:.4f}")
    table.add_row("expected cost", f"{result.expected_cost:.4f}")
    table.add_row("escalation rate", f"{result.escalation_rate:.4f}")
    Console().print(table)
