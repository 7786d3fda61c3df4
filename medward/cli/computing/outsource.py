"""`medward outsource`: a model of rows that other members compute with and cannot read."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medward.cli._console import print_json, say
from medward.cli._data import SCHEMA_HELP
from medward.cli._models import MODEL_HELP, open_model
from medward.cli._options import HomeOption, JsonOption
from medward.cli.computing.member import client_of, compute_for_others, kept_order, wait_for
from medward.errors import BadUsage, MedwardError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from medward.agents.sentinel.recipe import Recipe
    from medward.federation.outsourced.terms import OutsourcedTerms
    from medward.federation.simulation.training import Options
    from medward.flows.datasets import Dataset
    from medward.flows.history import FeatureSpace
    from medward.flows.prepared import PreparedData
    from medward.flows.scaling import Scaler
    from medward.node.api.client import NodeClient
    from medward.node.outsourced.folder import OutsourcedFolder
    from medward.node.trial.outsourced import OutsourcedOutcome

#: The application of such a federation, and what it does.
_KIND = ("outsourced", "trains on encrypted rows")

app = typer.Typer(
    help="Train on encrypted rows that others compute with; the members' nodes run (docs/computing.md).",
    no_args_is_help=True,
)
#: How many random features a plan has where nobody says.
OUTSOURCED_FEATURES = 32
#: How many a demonstration has: its nodes keep all owners' parts on one disk.
DEMO_FEATURES = 16
_HOUR = 3_600_000
ModelOption = Annotated[
    Path | None, typer.Option("--model", help="A model whose columns and scaling are used. " + MODEL_HELP)
]
TrainOption = Annotated[
    str | None, typer.Option("--train", help="Instead of a model: the name of a data set; see `data list`.")
]
SchemaOption = Annotated[Path | None, typer.Option("--schema", help="Instead of both: " + SCHEMA_HELP)]
PlanOption = Annotated[str, typer.Option("--plan", help="The number of the plan; the latest without it.")]


@app.command()
def plan(
    *,
    home: HomeOption,
    model: ModelOption = None,
    train: TrainOption = None,
    schema: SchemaOption = None,
    features: Annotated[
        int, typer.Option("--features", help="How many random features, a multiple of 4 from 16 on.")
    ] = OUTSOURCED_FEATURES,
    most_rows: Annotated[int, typer.Option("--most-rows", help="The most rows of one hospital.")] = 1 << 16,
    seed: Annotated[int, typer.Option("--seed", help="What the features are drawn from.")] = 0,
) -> None:
    """Propose what hospitals encrypt: which columns, how they are scaled, how many features.

    With --model, rows are scaled as for that model, whose scaling follows from the rows that it was trained on. Without
    one, the scaling is public and the model worse.

    Example: medward outsource plan --model model/ --home north
    """
    from medward.federation.computing.preparation import write_preparation
    from medward.federation.outsourced.training import plan_model
    from medward.node.outsourced.orders import leave_plan

    space, scaler, recipe = _columns(model, train, schema)
    terms = terms_for(space, features, most_rows, seed)
    preparation = write_preparation(plan_model(space, scaler, recipe, terms))
    with _client(home) as client:
        number = _carried_out(client, _folder(home), leave_plan(_folder(home), preparation, terms))
    typer.echo(
        f"plan {number} is on record: {terms.numbers:,} numbers are opened, of {terms.least_rows:,} rows at least"
    )


@app.command()
def compute(*, home: HomeOption) -> None:
    """Let a member's node compute for others, from its next start on.

    Example: medward outsource compute --home cloud
    """
    compute_for_others(home, *_KIND)


@app.command()
def rows(
    data: Annotated[Path, typer.Option("--data", help="This hospital's rows: a file or a folder.")],
    *,
    home: HomeOption,
    plan: PlanOption = "",
    model: ModelOption = None,
    train: TrainOption = None,
    schema: SchemaOption = None,
) -> None:
    """Encrypt this hospital's rows for a plan; they leave it encrypted, and its machine may be off from then on.

    The plan is refused if its columns and scaling are not those that you name: the public scaling of a known data set
    or of --schema, or that of a model that you trust, by --model.

    Example: medward outsource rows --data flows/ --home south
    """
    from medward.federation.outsourced.training import check_plan, own_columns, read_plan
    from medward.flows.datasets import DATASETS
    from medward.flows.opening import dataset_with
    from medward.flows.prepared import prepare
    from medward.flows.reading import read_flows
    from medward.node.outsourced.orders import leave_rows

    if not data.exists():
        raise BadUsage(f"{data} is not there; give the file or folder that holds the rows")
    folder = _folder(home)
    with _client(home) as client:
        told = _plan(client, plan)
        file, terms = folder.preparations / told["plan"], _terms(told)
        wait_for(client, "the plan's description", file.exists)
        preparation = read_plan(file.read_bytes(), terms)
        named = preparation.space.schema.dataset
        if model is None and schema is None and train is None and named in DATASETS:
            train = named
        space, scaler, _ = _columns(model, train, schema)
        check_plan(preparation, space, scaler)  # before anything is read
        say(f"reading {data}")
        dataset = dataset_with(preparation.space.schema)
        prepared = prepare(dataset, read_flows(dataset, data, "optional"), "honest", 0, both_kinds=False)
        chosen = prepared.split.train
        columns = own_columns(preparation, terms, (space, scaler), prepared.x[chosen], prepared.flows.y[chosen])
        say("the node encrypts the rows")
        _carried_out(client, folder, leave_rows(folder, told["plan"], columns))
    typer.echo(
        f"{len(columns):,} rows are on record for plan {told['plan']}; keep the node up until `medward outsource list` "
        "says that others hold them"
    )


@app.command()
def train(
    *,
    home: HomeOption,
    plan: PlanOption = "",
    owner: Annotated[
        list[str] | None, typer.Option("--owner", help="A hospital whose rows count; all that have some without it.")
    ] = None,
    hours: Annotated[
        float, typer.Option("--hours", help="How long hospitals may take to commit, and then to show their shares.")
    ] = 168.0,
) -> None:
    """Ask for the model of encrypted rows; whoever proposed the plan may.

    Example: medward outsource train --home north
    """
    from medward.node.outsourced.orders import leave_task

    folder = _folder(home)
    with _client(home) as client:
        told = _plan(client, plan)
        order = leave_task(folder, told["plan"], owner or (), int(hours * _HOUR))
        number = _carried_out(client, folder, order)
    typer.echo(f"task {number} is on record; `medward outsource list` says where it stands")


@app.command("list")
def list_(*, home: HomeOption, as_json: JsonOption = False) -> None:
    """Show plans and tasks, and why a task came to nothing.

    Example: medward outsource list --home north
    """
    with _client(home) as client:
        plans, tasks = client.get("/models"), client.get("/rounds")
        status = client.get("/status")["participant"]
    if as_json:
        print_json({"plans": plans, "tasks": tasks, **status})
        return
    for line in lines_of(plans, tasks, status):
        typer.echo(line)


@app.command()
def model(
    out: Annotated[Path, typer.Option("--out", help="The folder to write the model into.")],
    *,
    home: HomeOption,
    task: Annotated[str, typer.Option("--task", help="The number of the task; the latest opened one without it.")] = "",
) -> None:
    """Write the model of a task, for `medward evaluate` and `medward detect`.

    Example: medward outsource model --out model/ --home north
    """
    with _client(home) as client:
        tasks = [one for one in client.get("/rounds") if not task or one["task"] == task]
    if task and not tasks:
        raise MedwardError(f"there is no task {task}; `medward outsource list` shows what there is")
    found = next((one for one in tasks if one["model"]), None)
    if found is None:
        raise MedwardError("; ".join(f"task {one['task']}: {one['state']}" for one in tasks) or "there is no task yet")
    if out.exists():
        raise BadUsage(f"{out} is there already; give another folder")
    shutil.copytree(found["model"], out)
    typer.echo(f"the model of task {found['task']} is in {out}")


def lines_of(
    plans: "Sequence[Mapping[str, Any]]", tasks: "Sequence[Mapping[str, Any]]", status: "Mapping[str, Any]"
) -> "Iterator[str]":
    """Yield, for people, what a node tells of plans, tasks and itself."""
    for one in plans:
        held = ", ".join(f"{owner} {count:,}" for owner, count in sorted(one["rows"].items())) or "none yet"
        yield f"plan {one['plan']} of {one['author']}, {one['features']} features; encrypted rows: {held}"
    for one in tasks:
        yield f"task {one['task']} of {', '.join(one['owners'])}: {one['state']}"
    if status["computes"]:
        yield f"this member computes, and holds the rows of {', '.join(status['kept_rows_of']) or 'nobody'}"
    if status["outputs_left"] is not None:
        yield f"this member's key may still open {status['outputs_left']} tasks"
    if status["problem"]:
        yield f"{status['problem']}"


def terms_for(space: "FeatureSpace", features: int, most_rows: int, seed: int) -> "OutsourcedTerms":
    """Return the terms for rows of these columns.

    Raises:
        BadOutsourcing: nothing is computed by such terms.
    """
    from medward.agents.closed_form.features import states_of
    from medward.federation.outsourced.terms import BadOutsourcing, OutsourcedTerms

    if features < 0 or most_rows < 0 or seed < 0:
        raise BadOutsourcing("features, rows and seeds are numbers above 0")
    classes, columns = len(space.schema.classes), len(space.schema.columns)
    terms = OutsourcedTerms(features, states_of(space), classes, columns, seed, most_rows=most_rows)
    terms.check()
    return terms


def refuse_outsourced(options: "Options", *, simulate: bool, resume: bool) -> None:
    """Refuse options of a demonstration with which no rows are encrypted for others.

    Raises:
        BadUsage: says which, and what to choose instead.
    """
    if not options.features:
        raise BadUsage("--protect outsourced makes a model in closed form of encrypted rows: add --closed-form.")
    if not 3 <= options.sites <= 4:
        raise BadUsage(
            f"--protect outsourced takes 3 or 4 hospitals, whose keys compute together, not {options.sites}."
        )
    if options.silent or options.courier or options.sample < 1 or simulate or resume:
        raise BadUsage(
            "--protect outsourced has nodes of all hospitals, one task and nothing to resume: leave out --silent, "
            "--courier, --sample, --simulate and --resume."
        )


def run_trial(
    prepared: "PreparedData",
    shares: "Sequence[NDArray[np.intp]]",
    options: "Options",
    out: Path,
    engines: tuple[Any, Any],
    on_step: "Callable[[str], None]",
) -> "OutsourcedOutcome":
    """Run a federation of nodes on this machine that trains on encrypted rows, and return what came of it.

    The scaling is what surveys of all hospitals' rows would sum to, byte for byte; it is computed in this process.

    Args:
        prepared: all rows.
        shares: the numbers of each hospital's rows.
        options: of the demonstration.
        out: gets the nodes' homes.
        engines: the nodes' store and ledger.
        on_step: called with what is being waited for.
    """
    import asyncio

    from medward.agents.closed_form.model import recipe_in_closed_form
    from medward.agents.sentinel.central import fitted_scaler
    from medward.agents.sentinel.recipe import recipe_of
    from medward.federation.computing.preparation import write_preparation
    from medward.federation.outsourced.training import own_columns, plan_model
    from medward.federation.simulation.machines import member_names
    from medward.node.trial.outsourced import OutsourcedTrial

    space, y = prepared.space, prepared.flows.y
    recipe = recipe_in_closed_form(recipe_of(prepared.dataset.name))
    scaler = fitted_scaler(space, prepared.x[prepared.split.train], recipe)
    terms = terms_for(space, options.features, 1 << max(max(map(len, shares)) - 1, 0).bit_length(), options.seed)
    plan = plan_model(space, scaler, recipe, terms)
    names = member_names(options.sites)
    columns = {
        name: own_columns(plan, terms, (space, scaler), prepared.x[own], y[own])
        for name, own in zip(names, shares, strict=True)
    }
    trial = OutsourcedTrial(out, names, *engines)
    return asyncio.run(trial.run(trial.found(), write_preparation(plan), terms, columns, on_step))


def _columns(model: Path | None, train: str | None, schema: Path | None) -> "tuple[FeatureSpace, Scaler, Recipe]":
    """Return the columns of rows, how they are scaled, and what decisions cost."""
    from medward.agents.sentinel.recipe import recipe_of
    from medward.federation.outsourced.training import public_scaler
    from medward.flows.history import FeatureSpace

    if sum(given is not None for given in (model, train, schema)) != 1:
        raise BadUsage("give --model, --train or --schema: one of the three says which columns rows have")
    if model is not None:
        known = open_model(model)
        if known.scaler.kind != "quantile":
            raise MedwardError(f"{model} does not scale numbers by their quantiles, as random features need it")
        return known.space, known.scaler, known.recipe
    dataset = _dataset(train, schema)
    space = FeatureSpace(dataset.schema, dataset.schema.history)
    recipe = recipe_of(dataset.name)
    return space, public_scaler(space, recipe), recipe


def _dataset(train: str | None, schema: Path | None) -> "Dataset":
    from medward.flows.datasets import DATASETS
    from medward.flows.schema_file import dataset_of, read_schema

    if schema is not None:
        return dataset_of(read_schema(schema))
    if train not in DATASETS:
        raise BadUsage(f"--train: expected one of {', '.join(DATASETS)}, got '{train}'; --schema describes others")
    return DATASETS[train]


def _plan(client: "NodeClient", number: str) -> dict[str, Any]:
    """Return what a node tells of a plan, the latest where none is asked for."""
    plans = {one["plan"]: one for one in client.get("/models")}
    if not plans or (number and number not in plans):
        raise MedwardError(f"there is no plan {number}".rstrip() + "; `medward outsource list` shows what there is")
    found: dict[str, Any] = plans[number or max(plans)]
    return found


def _terms(told: dict[str, Any]) -> "OutsourcedTerms":
    import msgspec

    from medward.federation.outsourced.terms import OutsourcedTerms

    return msgspec.convert(told["terms"], OutsourcedTerms)


def _folder(home: Path) -> "OutsourcedFolder":
    from medward.node.home.folder import Home
    from medward.node.outsourced.folder import OutsourcedFolder

    return OutsourcedFolder(Home(home).participant)


def _client(home: Path) -> "NodeClient":
    return client_of(home, *_KIND)


def _carried_out(client: "NodeClient", folder: "OutsourcedFolder", order: Path) -> str:
    """Wait until the node has carried out an order, and return the number that it got.

    Raises:
        MedwardError: the node put it aside; or the node is gone, or the quorum.
    """
    from medward.node.outsourced.orders import carried_out

    wait_for(client, "the node", lambda: not order.exists(), kept_order("medward outsource list"))
    return carried_out(folder, order) or ""
