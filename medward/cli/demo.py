"""`medward demo`: a whole federation on this machine."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from medward import __version__
from medward.cli._console import errors, print_json, progress, say, use_one_thread_per_operation
from medward.cli._data import (
    CLOSED_FORM_HELP,
    COURIER_HELP,
    DATA_HELP,
    FEATURES,
    LEAST_FEATURES,
    SCHEMA_HELP,
    WARD_ROWS,
    open_data,
    warn_of,
)
from medward.cli.computing.outsource import DEMO_FEATURES, refuse_outsourced, run_trial
from medward.errors import BadUsage, Stopped

if TYPE_CHECKING:
    from medward.agents.sentinel.judgement import Judgement
    from medward.agents.sentinel.model import SentinelModel
    from medward.federation.model.shared_model import SharedModel
    from medward.federation.simulation.training import FederatedTraining, Options
    from medward.flows.prepared import PreparedData


def demo(
    data: str = typer.Option("ward", help=DATA_HELP + " The default is synthetic."),
    schema: Path | None = typer.Option(None, help=SCHEMA_HELP),
    sites: int = typer.Option(4, help="How many hospitals there are; at least 3."),
    rounds: int = typer.Option(20, help="How many training rounds they run; 1 with --closed-form."),
    closed_form: bool = typer.Option(False, "--closed-form", help=CLOSED_FORM_HELP),
    features: int | None = typer.Option(
        None,
        min=LEAST_FEATURES,
        help=f"Random features of --closed-form, a multiple of 4: {FEATURES}, or 16 with --protect outsourced.",
    ),
    out: Path = typer.Option(Path("medward-out"), help="The folder for nodes, model/ and what is told of them."),
    partition: str = typer.Option("blocks", help="How the rows are dealt to hospitals: blocks, devices or dirichlet."),
    sample: float = typer.Option(1.0, help="The share of hospitals invited to each training round."),
    silent: list[str] = typer.Option([], help="A hospital that never answers, for example hospital-2."),
    protect: str = typer.Option(
        "aggregate", help="aggregate (encrypted sums), none, or with --closed-form outsourced (encrypted rows)."
    ),
    bits: int = typer.Option(16, help="The width of a value of an update: 4, 8, 12 or 16."),
    courier: str = typer.Option("", help=COURIER_HELP),
    budget: int = typer.Option(0, help="Bytes that all training sums together may take under --courier; 0: no limit."),
    rows: int = typer.Option(WARD_ROWS, help="The size of the synthetic ward."),
    seed: int = typer.Option(0, help="What data, splits and training are drawn from; never keys."),
    simulate: bool = typer.Option(False, "--simulate", help="All hospitals in this process: no nodes, no ledger."),
    store: str = typer.Option("embedded", help="The nodes' store: embedded or kubo."),
    ledger: str = typer.Option("pbft", help="The nodes' ledger: pbft or cometbft."),
    resume: bool = typer.Option(False, "--resume", help="Go on from where a run in --out was interrupted."),
    force: bool = typer.Option(False, "--force", help="Replace an earlier run in --out, its nodes' homes included."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document on standard output."),
) -> None:
    """Train one detector with several hospitals on this machine, and measure it on traffic that none of them saw.

    Every hospital is a node, a process of its own with its own keys, ledger and store; --simulate keeps all of them in
    this process, which is faster and gives the same model.

    Example: `medward demo --data wustl-ehms-2020/ --sites 4 --rounds 10`
    """
    use_one_thread_per_operation()
    say(f"a federation of {sites} hospitals begins", at_once=True)
    began = perf_counter()
    from medward.agents.compilation import keep_compiled
    from medward.federation.simulation.training import Options, refuse_impossible
    from medward.flows.partition import PARTITIONS
    from medward.flows.prepared import prepare
    from medward.ledger.membership import MAX_MEMBERS
    from medward.node.trial import earlier_run
    from medward.node.trial.manifest import MANIFEST
    from medward.report.federation_page import caution_of, write_report

    rounds = 1 if closed_form else rounds
    options = Options(
        *(sites, rounds, _one_of("partition", partition, PARTITIONS), sample, tuple(silent)),
        protect=_one_of("protect", protect, ("none", "aggregate", "outsourced")),
        bits=bits,
        seed=seed,
        courier=courier,
        budget=budget,
        features=(features or (DEMO_FEATURES if protect == "outsourced" else FEATURES)) if closed_form else 0,
    )
    engines = _one_of("store", store, ("embedded", "kubo")), _one_of("ledger", ledger, ("pbft", "cometbft"))
    if protect == "outsourced":
        refuse_outsourced(options, simulate=simulate, resume=resume)
    else:
        refuse_impossible(options)
    if not simulate and sites > MAX_MEMBERS:
        raise BadUsage(f"A ledger has at most {MAX_MEMBERS} members: use at most {MAX_MEMBERS} sites, or --simulate.")
    if not resume:
        earlier_run.make_room(out, force)
    keep_compiled()
    dataset, flows = open_data(data, seed, rows=rows, schema=schema)
    cautions = warn_of(dataset, flows)
    prepared = prepare(dataset, flows, "honest", seed)
    run = _simulated if simulate else _outsourced if protect == "outsourced" else _with_nodes
    words = _Words(data, rows, out, options, engines, resume)
    try:
        with progress() as bars:
            outcome = run(prepared, words, _Progress(bars, rounds))
    except KeyboardInterrupt:
        raise Stopped(f"stopped; {_how_to_go_on(words, simulate)}") from None
    say("measuring the model on test rows")
    # What an earlier run's members signed is not what this one writes.
    (out / MANIFEST).unlink(missing_ok=True)
    document = _finished(prepared, words, outcome, began)
    document["options"] |= {"simulate": simulate} if simulate else {"store": store, "ledger": ledger}
    useless = caution_of(document)
    for caution in useless:
        errors().print(f"caution: {caution}", markup=False)
    document["cautions"] = [*cautions, *useless]
    document["hospitals"] = outcome.per_hospital()
    say("writing the report")
    write_report(out, document)
    say("signing the folder")
    outcome.sign()
    if as_json:
        print_json(document)
    else:
        _print_summary(document, dataset.schema.title)


@dataclass(frozen=True)
class _Words:
    """What the command was told."""

    data: str
    rows: int
    out: Path
    options: "Options"
    engines: tuple[Any, Any]
    resume: bool


@dataclass
class _Outcome:
    """What a federation led to, in rounds or in tasks on encrypted rows.

    `sign` lets its members sign the files of the folder, where it has any members.
    """

    model: "SentinelModel"
    rounds_log: Sequence[dict[str, Any]]
    per_hospital: Callable[[], list[dict[str, Any]]]
    sign: Callable[[], None] = lambda: None
    tasks_log: Sequence[Mapping[str, Any]] = ()


@dataclass
class _Progress:
    """What is told of a federation that runs: a bar for the rounds and a line for each node, or lines of text."""

    bars: Progress | None
    rounds: int
    lines: dict[str, TaskID] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.done = 0
        self.bar = None if self.bars is None else self.bars.add_task("training rounds", total=self.rounds)
        say(f"{self._so_far()}; the hospitals prepare")

    def show(self, done: int, task: str, outcome: str, validation: Mapping[str, float] | None) -> None:
        """Show that a round is over.

        Args:
            done: how many training rounds are done.
            task: what this round was for.
            outcome: of this round.
            validation: the model's measures, if it has any yet.
        """
        self.done = done
        if self.bars is not None and self.bar is not None:
            self.bars.update(self.bar, completed=done)
            return
        score = (
            "" if validation is None else f", binary macro-F1 {validation['binary_macro_f1']:.3f} on validation rows"
        )
        errors().print(f"{task}: {outcome}; {self._so_far()}{score}", markup=False, highlight=False)
        say(self._so_far())

    def step(self, where: str) -> None:
        """Show where a round stands."""
        say(f"{self._so_far()}; {where}")

    def tell(self, statuses: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Show what every node is doing."""
        doing = {
            name: "does not answer" if status is None else status["participant"].get("doing", status["phase"])
            for name, status in statuses.items()
        }
        say(f"{self._so_far()}; " + ", ".join(f"{name}: {what}" for name, what in doing.items()))
        if self.bars is None:
            return
        for name, what in doing.items():
            if name not in self.lines:
                self.lines[name] = self.bars.add_task(name, total=None)
            self.bars.update(self.lines[name], description=f"{name}: {what}")

    def _so_far(self) -> str:
        return f"{self.done} of {self.rounds} training rounds are done"


def _how_to_go_on(words: _Words, simulate: bool) -> str:
    """Say what the user of an interrupted run can do, as a clause: nothing is named that would then be refused."""
    from medward.node.trial import earlier_run

    out = words.out
    if _can_be_resumed(words, simulate):
        return f"the same command with --resume goes on where this run in {out} was"
    if earlier_run.replaceable(out):
        return f"nothing in {out} can be resumed: the same command with --force begins anew"
    # Homes without a mark: the run was interrupted while it made them, and they may be anybody's.
    return f"nothing in {out} can be resumed: name another folder with --out to begin anew"


def _can_be_resumed(words: _Words, simulate: bool) -> bool:
    """Tell whether --resume would take up what lies in the folder."""
    from medward.federation.errors import FederationError
    from medward.federation.simulation import checkpoint
    from medward.federation.simulation.machines import member_names
    from medward.node.errors import NodeError
    from medward.node.trial.trial import homes_of

    out, options = words.out, words.options
    if options.protect == "outsourced":
        return False
    try:
        if simulate:
            checkpoint.load(out / "checkpoint", options.text())
        else:
            homes_of(out, member_names(options.sites))
    except (FederationError, NodeError):
        return False
    return True


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise BadUsage(f"--{option} takes {', '.join(allowed)}, not {value}.")
    return value


def _simulated(prepared: "PreparedData", words: _Words, bars: _Progress) -> _Outcome:
    """Run the federation in this process."""
    from medward.agents.sentinel.recipe import recipe_of
    from medward.federation.simulation import checkpoint
    from medward.federation.simulation.training import FederatedTraining

    training = FederatedTraining(prepared, recipe_of(prepared.dataset.name), words.options, words.out)
    if words.resume:
        training.resume(words.out / "checkpoint")
        if training.shared.done:
            errors().print(f"the run in {words.out} is finished: its report is written anew", markup=False)
    else:
        checkpoint.forget(words.out / "checkpoint")

    def on_round(report: Any) -> None:
        if training.shared.round >= 1 and report.outcome == "final":
            report.validation = _validated(prepared, training.model())
        bars.show(max(training.shared.round, 0), report.task, report.outcome, report.validation)

    model = training.run(words.out / "checkpoint", on_round, bars.step)
    log = [{**asdict(report), "cohort": list(report.cohort)} for report in training.reports]
    return _Outcome(model, log, lambda: _per_hospital(training, model))


def _with_nodes(prepared: "PreparedData", words: _Words, bars: _Progress) -> _Outcome:
    """Run the federation as processes."""
    from medward.agents.sentinel.recipe import recipe_of
    from medward.federation.blobs import blob_name
    from medward.federation.model.shared_model_format import encode_model
    from medward.federation.simulation.machines import member_names
    from medward.federation.simulation.training import FederatedTraining
    from medward.node.training.data import ParticipantSettings, plan_of
    from medward.node.trial.final_model import final_model
    from medward.node.trial.manifest import write_manifest
    from medward.node.trial.trial import Trial, TrialOptions

    options = words.options
    # Refuses what no federation could do, before any process starts.
    shares = FederatedTraining(prepared, recipe_of(prepared.dataset.name), options)
    _refuse_too_few_rows(shares)
    path = Path(words.data)
    settings = ParticipantSettings(
        data=str(path.resolve()) if path.exists() else words.data,
        rounds=options.rounds,
        bits=options.bits,
        seed=options.seed,
        rows=words.rows,
        sites=options.sites,
        partition=options.partition,
        courier=options.courier,
        budget=options.budget,
        features=options.features,
        members=options.sites,
        schema=prepared.dataset.text,
    )
    store, ledger = words.engines
    trial = Trial(
        words.out,
        TrialOptions(
            *(settings, member_names(options.sites), options.silent, options.protect, options.sample),
            store=store,
            ledger=ledger,
        ),
        plan_of(prepared, settings),
    )
    launcher = trial.reopen() if words.resume else trial.found()
    log: list[dict[str, Any]] = []

    def on_round(report: dict[str, Any], shared: "SharedModel | None") -> None:
        if shared is not None and shared.round >= 1:
            report["validation"] = _validated(prepared, final_model(shared, options.sites, options.protect, None))
        done = bars.done if shared is None else max(shared.round, 0)
        bars.show(done, report["task"], report["outcome"], report["validation"])
        log.append(report)

    shared = asyncio.run(trial.run(launcher, bars.tell, on_round))
    model = final_model(shared, options.sites, options.protect, blob_name(encode_model(shared)))
    signers = [name for name in launcher.homes if name not in options.silent]
    return _Outcome(
        *(model, log, lambda: _per_hospital(shares, model)),
        sign=lambda: write_manifest(words.out, launcher.homes, signers),
    )


def _refuse_too_few_rows(shares: "FederatedTraining") -> None:
    """Refuse hospitals of which fewer than the least cohort have enough rows: their nodes would wait for the others."""
    from medward.federation.errors import NothingToTrain
    from medward.federation.simulation.machines import member_names
    from medward.federation.terms import Terms

    names, refusals = member_names(len(shares.hospitals)), []
    for name, hospital in zip(names, shares.hospitals, strict=True):
        try:
            hospital.check_rows(shares.plan)
        except NothingToTrain as error:
            refusals.append(NothingToTrain(f"{name}: {error}"))
    if len(names) - len(refusals) < Terms("", names).least_cohort:
        raise refusals[0]


def _outsourced(prepared: "PreparedData", words: _Words, bars: _Progress) -> _Outcome:
    """Run a federation that trains on encrypted rows, as processes."""
    from medward.agents.sentinel.recipe import recipe_of
    from medward.federation.simulation.training import FederatedTraining
    from medward.node.trial.manifest import write_manifest

    recipe = recipe_of(prepared.dataset.name)
    shares = FederatedTraining(prepared, recipe, replace(words.options, protect="aggregate"))
    found = run_trial(prepared, shares.shares, words.options, words.out, words.engines, bars.step)
    return _Outcome(
        *(found.model, [], lambda: _per_hospital(shares, found.model)),
        sign=lambda: write_manifest(words.out, found.homes, list(found.homes)),
        tasks_log=[found.task],
    )


def _validated(prepared: "PreparedData", model: "SentinelModel") -> dict[str, float]:
    """Measure a model on validation rows."""
    from medward.agents.sentinel.judgement import judge

    rows = prepared.split.validation
    result = judge(model, prepared.x[rows], prepared.flows.y[rows])
    return {
        "binary_macro_f1": result.metrics["binary"]["macro_f1"],
        "multiclass_macro_f1": result.metrics["multiclass"]["macro_f1"],
        "expected_cost": result.expected_cost,
        "escalation_rate": result.escalation_rate,
    }


def _finished(prepared: "PreparedData", words: _Words, outcome: _Outcome, began: float) -> dict[str, Any]:
    """Measure the model on test rows, save it, and return the document."""
    from medward.agents.sentinel.judgement import judge

    test = prepared.split.test
    result = judge(outcome.model, prepared.x[test], prepared.flows.y[test])
    name = outcome.model.save(words.out / "model")
    document = _document(prepared, words, result, name)
    document["seconds"] = round(perf_counter() - began, 2)
    document["options"] = {"data": words.data, "rows": words.rows, **asdict(words.options)}
    # Without what has no meaning for these data, or without a Courier.
    meaningless = (("rows", words.data != "ward"), ("courier", not words.options.courier))
    for name in [name for name, absent in (*meaningless, *_unused(words.options)) if absent]:
        del document["options"][name]
    if words.options.features:
        document["options"]["closed-form"] = True
        del document["options"]["rounds"]
    document["rounds_log"] = list(outcome.rounds_log)
    if outcome.tasks_log:
        document["tasks_log"] = list(outcome.tasks_log)
    document["classes"] = list(result.classes)
    return document


def _unused(options: "Options") -> Sequence[tuple[str, bool]]:
    """Return the options that mean nothing where they are 0, and whether they are."""
    return ("budget", not options.budget), ("features", not options.features)


def _document(prepared: "PreparedData", words: _Words, result: "Judgement", name: str) -> dict[str, Any]:
    options, out = words.options, words.out
    return {
        "data": prepared.dataset.name,
        "synthetic": prepared.flows.schema.synthetic,
        "protocol": prepared.protocol,
        "sites": options.sites,
        "rounds": options.rounds,
        "partition": options.partition,
        "protect": options.protect,
        "seed": options.seed,
        "rows": {
            "train": len(prepared.split.train),
            "validation": len(prepared.split.validation),
            "test": len(prepared.split.test),
        },
        "metrics": result.metrics,
        "expected_cost": result.expected_cost,
        "escalation_rate": result.escalation_rate,
        "model": str(out / "model"),
        "model_name": name,
        "report": str(out / "report.html"),
        "version": __version__,
    }


def _per_hospital(training: "FederatedTraining", model: "SentinelModel") -> list[dict[str, Any]]:
    """What each hospital holds, and how the shared model does on its part of the test rows."""
    from medward.agents.sentinel.judgement import judge
    from medward.flows.errors import BadSplit

    flows, x = training.prepared.flows, training.prepared.x
    try:
        tests = training.test_shares()
    except BadSplit:
        # Fewer test blocks than hospitals: the hospitals' own rows are still told.
        tests = []
    table = []
    for number, rows in enumerate(training.shares):
        line: dict[str, Any] = {
            "hospital": f"hospital-{number + 1}",
            "rows": len(rows),
            "attack_share": float((flows.y[rows] > 0).mean()),
            "classes": len(set(flows.y[rows].tolist())),
        }
        if tests:
            result = judge(model, x[tests[number]], flows.y[tests[number]])
            line["test_rows"] = len(tests[number])
            line |= {key: result.metrics["binary"][key] for key in ("macro_f1", "attack_recall", "false_alarm_rate")}
        table.append(line)
    return table


def _print_summary(document: dict[str, Any], title: str) -> None:
    binary, multiclass = document["metrics"]["binary"], document["metrics"]["multiclass"]
    synthetic = " (synthetic data)" if document["synthetic"] else ""
    table = Table(title=f"{title}{synthetic}: {document['sites']} hospitals, {document['rounds']} rounds, test rows")
    table.add_column("measure")
    table.add_column("value", justify="right")
    for label, value in (
        ("binary macro-F1", binary["macro_f1"]),
        ("attack recall", binary["attack_recall"]),
        ("false-alarm rate", binary["false_alarm_rate"]),
        ("AUROC", binary["auroc"]),
        ("multi-class macro-F1", multiclass["macro_f1"]),
        ("escalation rate", document["escalation_rate"]),
        ("expected cost of a window", document["expected_cost"]),
    ):
        table.add_row(label, f"{value:.4f}")
    from rich.console import Console

    Console().print(table)
    if document["protect"] == "none":
        errors().print("Updates were summed in the open (protect = none).")
    Console(soft_wrap=True).print(f"model   {document['model']}\nreport  {document['report']}\n{document['seconds']} s")
