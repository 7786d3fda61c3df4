"""`medward train`: Sentinel in one place, on one hospital's rows or on all of them, for comparison."""

from pathlib import Path
from time import perf_counter

import typer
from rich.console import Console

import medward
from medward.cli._console import errors, print_json, say, use_one_thread_per_operation
from medward.cli._data import (
    CLOSED_FORM_HELP,
    DATA_HELP,
    FEATURES,
    FEATURES_HELP,
    LEAST_FEATURES,
    SCHEMA_HELP,
    WARD_ROWS,
    open_data,
    warn_of,
)
from medward.errors import BadUsage


def train(
    data: str = typer.Option(..., help=DATA_HELP),
    schema: Path | None = typer.Option(None, help=SCHEMA_HELP),
    out: Path = typer.Option(..., help="The folder to write the model into."),
    local: int = typer.Option(0, help="Train on this hospital's rows alone (1, 2, ...); 0 pools all rows."),
    sites: int = typer.Option(4, help="How many hospitals share the rows, for --local."),
    central: bool = typer.Option(False, "--central", help="Pool all rows (the default)."),
    everything: bool = typer.Option(
        False, "--all-rows", help="Train on every row, validation and test included; score other files then."
    ),
    thin: list[float] = typer.Option(
        [],
        help="Show training rows again as if this share of their stream were known (0.15, say), for files that hold "
        "only some rows of a stream. May be given several times.",
    ),
    closed_form: bool = typer.Option(False, "--closed-form", help=CLOSED_FORM_HELP),
    features: int = typer.Option(FEATURES, min=LEAST_FEATURES, help=FEATURES_HELP),
    polynomial: bool = typer.Option(
        False,
        "--polynomial",
        help="Train a network of squares on quaternion layers, which `medward score` computes on encrypted flows.",
    ),
    rows: int = typer.Option(WARD_ROWS, help="The size of the synthetic ward."),
    seed: int = typer.Option(0, help="What split and training are drawn from."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document on standard output."),
) -> None:
    """Train one Sentinel on one hospital's rows or on all, and measure it on the honest test part.

    Example: `medward train --data wustl-ehms-2020/ --out model/`
    """
    use_one_thread_per_operation()
    say("loading the program", at_once=True)
    if local and (central or everything):
        raise BadUsage("--local trains on one hospital's rows: leave out --central and --all-rows.")
    if not 0 <= local <= sites:
        raise BadUsage(f"--local takes a hospital's number from 1 to {sites}, not {local}.")
    if any(not 0 < density <= 1 for density in thin):
        raise BadUsage("--thin takes shares above 0 and at most 1.")
    if thin and everything:
        raise BadUsage("--thin copies the training rows of a split: leave out --all-rows.")
    if polynomial and closed_form:
        raise BadUsage("--polynomial trains a network and --closed-form makes a model without training: give one.")
    if out.exists() and not out.is_dir():
        raise BadUsage(f"--out: {out} is no folder; name one, which is made where there is none.")
    began = perf_counter()
    import numpy as np

    from medward.agents.sentinel.recipe import polynomial_recipe, recipe_of
    from medward.flows.partition import partition_rows
    from medward.flows.prepared import prepare

    dataset, flows = open_data(data, seed, rows=rows, schema=schema, own_classes=True)
    warn_of(dataset, flows)
    prepared = prepare(dataset, flows, "honest", seed, thin or None, both_kinds=not everything)
    chosen = prepared.split.train
    if local:
        chosen = partition_rows(prepared.flows, chosen, prepared.split.block, sites, "blocks", seed)[local - 1]
    elif everything:
        chosen = np.arange(len(flows))
    own = chosen[chosen < len(flows)]
    copies = f", and on {len(chosen) - len(own)} thinned copies" if len(chosen) > len(own) else ""
    errors().print(f"training on {len(own)} of {len(flows)} rows{copies}")
    say(f"training on {len(own)} rows")
    how = "local" if local else "central"
    recipe = recipe_of(dataset.name)
    chosen_recipe = polynomial_recipe(recipe) if polynomial else recipe
    model = medward.train(prepared, chosen, chosen_recipe, seed=seed, features=features if closed_form else 0)
    name = model.save(out)
    document = {
        "data": dataset.name,
        "synthetic": flows.schema.synthetic,
        "how": how,
        "rows": len(own),
        "seed": seed,
        "model": str(out),
        "model_name": name,
    }
    if not everything:
        say("measuring on test rows")
        result = model.evaluate(prepared)
        document |= {
            "metrics": result.metrics,
            "expected_cost": result.expected_cost,
            "escalation_rate": result.escalation_rate,
        }
    document["seconds"] = round(perf_counter() - began, 2)
    if as_json:
        print_json(document)
        return
    console = Console(soft_wrap=True)
    if not everything:
        console.print(
            f"test rows: binary macro-F1 {result.metrics['binary']['macro_f1']:.4f}, "
            f"multi-class macro-F1 {result.metrics['multiclass']['macro_f1']:.4f}"
        )
    console.print(f"model {out}, {name}")
