"""`medward data`: which data sets there are, what they mean, whether files are right; sealed.py has the rest."""

from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from medward.cli import sealed
from medward.cli._console import errors, print_json, say
from medward.cli._data import DATA_HELP, SCHEMA_HELP, open_data, warn_of
from medward.errors import BadUsage, MedwardError, printable

app = typer.Typer(
    help="Data sets: list, explain, check, seal and unseal, and make the synthetic ward.", no_args_is_help=True
)
sealed.add_to(app)


@app.command("list")
def list_data(as_json: bool = typer.Option(False, "--json", help="Print one JSON document.")) -> None:
    """List the data sets that medward reads.

    Example: `medward data list`
    """
    from medward.flows.datasets import DATASETS

    rows = [
        {
            "name": dataset.name,
            "title": dataset.schema.title,
            "classes": len(dataset.schema.classes),
            "synthetic": dataset.schema.synthetic,
            "home": dataset.home,
        }
        for dataset in DATASETS.values()
    ]
    if as_json:
        print_json({"datasets": rows})
        return
    table = Table("name", "title", "classes", "home")
    for row in rows:
        table.add_row(str(row["name"]), str(row["title"]), str(row["classes"]), str(row["home"]))
    Console().print(table)


@app.command()
def show(
    name: str = typer.Argument(help="A data set's name, from `medward data list`."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Explain a data set: features and what they cost, classes, and the columns that are never features, with reasons.

    Example: `medward data show wustl-ehms-2020`
    """
    from medward.flows.datasets import DATASETS

    if name not in DATASETS:
        raise BadUsage(f"{name} is no data set's name: use one of {', '.join(DATASETS)}.")
    dataset = DATASETS[name]
    schema = dataset.schema
    document: dict[str, Any] = {
        "name": name,
        "title": schema.title,
        "synthetic": schema.synthetic,
        "home": dataset.home,
        "cite": schema.citation,
        "label": schema.label,
        "classes": list(schema.classes),
        "device": schema.device,
        "order": schema.order,
        "history": schema.history,
        "split": dataset.cut.value,
        "cheap": [feature.name for feature in schema.features if feature.group.value == "cheap"],
        "expensive": [feature.name for feature in schema.features if feature.group.value == "expensive"],
        "tool_fingerprints": list(dataset.fingerprints),
        "cautions": list(dataset.cautions),
        "never": dict(schema.never),
    }
    if as_json:
        print_json(document)
        return
    console = Console(soft_wrap=True)
    for key, value in document.items():
        if key == "never":
            console.print("never features:")
            for column, reason in value.items():
                console.print(f"    {column}: {reason}")
        elif isinstance(value, list):
            console.print(f"{key}: {(' ' if key == 'cautions' else ', ').join(value) or 'none'}")
        else:
            console.print(f"{key}: {value}")


@app.command()
def fetch(name: str = typer.Argument(help="A data set's name, from `medward data list`.")) -> None:
    """Say where a data set is to be had; none of the publishers offers a stable address that could be fetched from.

    Example: `medward data fetch x-iomt`
    """
    from medward.flows.datasets import DATASETS

    if name not in DATASETS:
        raise BadUsage(f"{name} is no data set's name: use one of {', '.join(DATASETS)}.")
    if DATASETS[name].schema.synthetic:
        raise MedwardError(f"{name} is made, not fetched: use `medward data make {name} --rows N --out PATH`.")
    raise MedwardError(
        f"{DATASETS[name].schema.title} cannot be fetched by a program: get it from {DATASETS[name].home} under its "
        "authors' terms, then give its path to --data."
    )


@app.command()
def check(
    path: str = typer.Argument(help=DATA_HELP),
    schema: Path | None = typer.Option(None, help=SCHEMA_HELP),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Read a file or folder whole and say what it holds, or what is wrong with it.

    Of rows that are not published ones it also says which columns are ignored, and what scores on the rows are worth.

    Example: `medward data check wustl-ehms-2020.csv.gz`
    """
    import numpy as np

    from medward.flows.reading import ignored_columns

    dataset, flows = open_data(path, seed=0, schema=schema, own_classes=True)
    count = np.bincount(flows.y[flows.y >= 0], minlength=len(flows.schema.classes))
    document: dict[str, Any] = {
        "path": path,
        "data": dataset.name,
        "synthetic": flows.schema.synthetic,
        "rows": len(flows),
        "features": len(flows.schema.features),
        "classes": {name: int(n) for name, n in zip(flows.schema.classes, count, strict=True) if n},
        "captures": list(flows.sources),
        "devices": len(flows.devices),
    }
    if dataset.own:
        document["ignored"] = ignored_columns(dataset, Path(path))
        document["cautions"] = list(warn_of(dataset, flows))
    if as_json:
        print_json(document)
        return
    console = Console(soft_wrap=True)
    for key, value in document.items():
        if key == "cautions":
            continue
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        shown = ", ".join(text) or "none" if isinstance(text, list) else str(text)
        console.print(printable(f"{key}: {shown}"), markup=False)


@app.command()
def schema(
    path: Path = typer.Argument(help="A table: a file, or a folder of files with the same columns."),
    label: str | None = typer.Option(None, help="The column of class names; leave it out where rows have none."),
    out: Path = typer.Option(..., help="The schema file to write, such as schema.toml."),
    benign: list[str] = typer.Option(
        [], help="A class that is harmless, where no name says so; may be given several times."
    ),
    name: str | None = typer.Option(None, help="The schema's name: letters, digits and -. By default the file's."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Propose a schema file for a table that medward does not know, and warn of columns that give things away.

    Read what it writes, move columns where you know better, and give the file to --schema.

    Example: `medward data schema flows.csv.gz --label Attack --out schema.toml`
    """
    from medward.flows.proposal import propose
    from medward.flows.schema_file import to_toml

    if out.exists():
        raise MedwardError(f"{out} is there already: name another file, so that nothing is lost.")
    if not out.parent.is_dir():
        raise BadUsage(f"--out: there is no folder {out.parent}; name another file.")
    if benign and label is None:
        raise BadUsage("--benign names a value of --label: give that, too.")
    say(f"reading {path}")
    proposal = propose(path, label, name, tuple(benign))
    file, columns = proposal.file, proposal.file.columns
    reasons = [f"{printable(column)}: {reason}" for column, reason in proposal.reasons.items()]
    head = [f"Proposed by `medward data schema` from {proposal.rows} rows. Read it, and move columns.", *reasons]
    head += [printable(f"warning: {warning}") for warning in proposal.warnings]
    out.write_text(to_toml(file, head), encoding="utf-8")
    document: dict[str, Any] = {
        "schema": str(out),
        "name": file.name,
        "rows": proposal.rows,
        "classes": list(file.classes or ()),
        "cheap": list(columns.cheap),
        "categories": list(columns.categories),
        "forbidden": list(columns.forbidden),
        "time": file.time,
        "device": file.device,
        "reasons": proposal.reasons,
        "warnings": list(proposal.warnings),
    }
    if as_json:
        print_json(document)
        return
    for warning in proposal.warnings:
        errors().print(f"warning: {warning}", markup=False)
    console = Console(soft_wrap=True)
    console.print(f"{out}: {len(columns.cheap)} numbers and {len(columns.categories)} categories are features")
    for line in reasons:
        console.print(f"    not a feature: {line}", markup=False)


@app.command()
def make(
    what: str = typer.Argument(help="What to make: ward."),
    rows: int = typer.Option(..., help="How many rows."),
    out: Path = typer.Option(..., help="The file to write, .csv or .csv.gz."),
    seed: int = typer.Option(0, help="What it is drawn from."),
) -> None:
    """Make the synthetic ward as a file.

    Example: `medward data make ward --rows 40000 --out ward.csv.gz`
    """
    from medward.flows.datasets import ward

    if what != "ward":
        raise BadUsage(f"Only the ward can be made, not {what}.")
    say(f"writing {out}")
    ward.write_csv(out, rows, seed)
    Console(soft_wrap=True).print(f"{out}: {rows} rows of the synthetic ward")
