"""`medward demo`: a whole federation on this machine."""

from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from medward.cli._console import errors, print_json, progress, use_one_thread_per_operation
from medward.cli._data import DATA_HELP, WARD_ROWS, open_data
from medward.errors import BadUsage

if TYPE_CHECKING:
    from medward.agents.judgement import Judgement
    from medward.agents.model import SentinelModel
    from medward.federation.simulation import EpochReport, RoundReport
    from medward.federation.training import FederatedTraining


def demo(
    data: str = typer.Option("ward", help=DATA_HELP + " The default is synthetic."),
    sites: int = typer.Option(4, help="How many hospitals there are; at least 3."),
    rounds: int = typer.Option(20, help="How many training rounds they run."),
    out: Path = typer.Option(Path("medward-out"), help="The folder for metrics.json, report.html and model/."),
    partition: str = typer.Option("blocks", help="How the rows are dealt to hospitals: blocks, devices or dirichlet."),
    sample: float = typer.Option(1.0, help="The share of hospitals invited to each training round."),
    silent: list[str] = typer.Option([], help="A hospital that never answers, for example hospital-2."),
    protect: str = typer.Option("aggregate", help="How updates are protected: aggregate (encrypted sums) or none."),
    bits: int = typer.Option(16, help="The width of a value of an update: 4, 8, 12 or 16."),
    rows: int = typer.Option(WARD_ROWS, help="The size of the synthetic ward."),
    seed: int = typer.Option(0, help="What data, splits and training are drawn from."),
    resume: bool = typer.Option(False, "--resume", help="Go on from the last finished round in --out."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document on standard output."),
) -> None:
    """Train one detector with several hospitals on this machine, and measure it on traffic that none of them saw.

    Example: `medward demo --data wustl-ehms-2020/ --sites 4 --rounds 10`
    """
    use_one_thread_per_operation()
    began = perf_counter()
    from medward.agents.judgement import judge
    from medward.agents.recipe import RECIPES
    from medward.federation.training import FederatedTraining, Options
    from medward.flows.partition import PARTITIONS
    from medward.flows.prepared import prepare
    from medward.report.federation_page import write_report

    options = Options(
        *(sites, rounds, _one_of("partition", partition, PARTITIONS), sample, tuple(silent)),
        protect=_one_of("protect", protect, ("none", "aggregate", "outsourced")),
        bits=bits,
        seed=seed,
    )
    dataset, flows = open_data(data, seed, rows=rows)
    prepared = prepare(dataset, flows, "honest", seed)
    training = FederatedTraining(prepared, RECIPES[dataset.name], options, out)
    if resume:
        training.resume(out / "checkpoint")
    with progress() as bars:
        bar = bars.add_task("rounds", total=training.plan.steps, completed=training.shared.step)

        def on_round(report: "RoundReport") -> None:
            _measure(training, report)
            bars.update(bar, completed=training.shared.step)

        model = training.run(out / "checkpoint", on_round)
    test = prepared.split.test
    result = judge(model, prepared.x[test], flows.y[test])
    name = model.save(out / "model")
    document = _document(training, result, name, out, began)
    document["options"] = {"data": data, "rows": rows, **asdict(options)}
    if data != "ward":
        del document["options"]["rows"]
    document["rounds_log"] = [{**asdict(report), "cohort": list(report.cohort)} for report in training.reports]
    document["key_epochs"] = [_epoch(epoch) for epoch in training.epochs]
    write_report(out, document, _per_hospital(training, model), result.classes)
    if as_json:
        print_json(document)
    else:
        _print_summary(document, dataset.schema.title)


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise BadUsage(f"--{option} takes {', '.join(allowed)}, not {value}.")
    return value


def _measure(training: "FederatedTraining", report: "RoundReport") -> None:
    """Measure the shared model on validation rows, once there is one."""
    from medward.agents.judgement import judge

    if training.shared.round < 1 or report.outcome != "final":
        return
    prepared, rows = training.prepared, training.prepared.split.validation
    result = judge(training.model(), prepared.x[rows], prepared.flows.y[rows])
    report.validation = {
        "binary_macro_f1": result.metrics["binary"]["macro_f1"],
        "multiclass_macro_f1": result.metrics["multiclass"]["macro_f1"],
        "expected_cost": result.expected_cost,
        "escalation_rate": result.escalation_rate,
    }


def _document(training: "FederatedTraining", result: "Judgement", name: str, out: Path, began: float) -> dict[str, Any]:
    options, prepared = training.options, training.prepared
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
        "seconds": round(perf_counter() - began, 2),
    }


def _epoch(epoch: "EpochReport") -> dict[str, Any]:
    """What a key epoch was: who holds the joint key, who does not and why, and what its ceremony cost."""
    return {
        "epoch": epoch.epoch,
        "holders": list(epoch.holders),
        "left_out": dict(epoch.left_out),
        "seconds": epoch.seconds,
        "bytes": epoch.bytes,
    }


def _per_hospital(training: "FederatedTraining", model: "SentinelModel") -> list[dict[str, Any]]:
    """What each hospital holds, and how the shared model does on its part of the test rows."""
    from medward.agents.judgement import judge
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
