"""The document of `medward node report`: a federation as one of its nodes knows it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medward.cli._console import say
from medward.errors import MedwardError

if TYPE_CHECKING:
    from medward.agents.sentinel.model import SentinelModel
    from medward.node.home.folder import Home


def node_document(home: "Home", model: "SentinelModel") -> dict[str, Any]:
    """Return what a node knows of its federation: rounds as its history has them, measures on its own test rows.

    Args:
        home: the node's; it may run.
        model: the one to be measured.

    Raises:
        MedwardError: no round is over yet, or the hospital's rows cannot be read.
    """
    from medward.agents.sentinel.judgement import judge
    from medward.node.training.data import own_rows, read_data, read_settings
    from medward.node.training.round_history import RoundHistory

    log = RoundHistory(home.participant).rounds()
    if not log:
        raise MedwardError(f"{home.folder} has no round that is over: there is nothing to report yet")
    say("reading this hospital's rows")
    settings = read_settings(home.configuration().participant)
    prepared = read_data(settings)
    say("measuring the model on this hospital's rows")
    own, origin = own_rows(prepared, settings), model.provenance
    result = judge(model, prepared.x[own.test], prepared.flows.y[own.test]) if len(own.test) else None
    return {
        "member": home.configuration().name,
        "home": str(home.folder),
        "federation": home.federation().name,
        "data": prepared.dataset.name,
        "synthetic": prepared.flows.schema.synthetic,
        "protocol": prepared.protocol,
        "sites": origin.sites,
        "rounds": settings.rounds,
        "protect": origin.protect,
        "seed": settings.seed,
        "rows": {"train": len(own.train), "validation": len(own.validation), "test": len(own.test)},
        "labels": own.labels,
        "metrics": None if result is None else result.metrics,
        "expected_cost": None if result is None else result.expected_cost,
        "escalation_rate": None if result is None else result.escalation_rate,
        "classes": None if result is None else list(result.classes),
        "model": str(home.model),
        "model_name": model.name,
        "options": {},
        "rounds_log": log,
        "own": {
            "hospital": home.configuration().name,
            "rows": len(own.train),
            "attack_share": own.attacks / (own.attacks + own.benign) if own.attacks + own.benign else None,
            "classes": len(set(prepared.flows.y[own.train].tolist()) - {-1}),
            **({} if result is None else _measures(result.metrics["binary"], len(own.test))),
        },
    }


def _measures(binary: dict[str, Any], rows: int) -> dict[str, Any]:
    return {"test_rows": rows} | {key: binary[key] for key in ("macro_f1", "attack_recall", "false_alarm_rate")}


def hospitals_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a line for each hospital that was ever in a round; all but the node's own have their name alone."""
    own = document["own"]
    log = document["rounds_log"]
    names = {name for report in log for name in (*report["cohort"], *report["contributions"])} | {own["hospital"]}
    unknown = dict.fromkeys(("rows", "attack_share", "classes"))
    return [own if name == own["hospital"] else {"hospital": name, **unknown} for name in sorted(names)]


def write_page(path: Path, document: dict[str, Any]) -> None:
    """Write the page of a node's document."""
    if path.exists() and not path.is_file():
        raise MedwardError(f"{path} is no file; choose another place for the page")
    from medward.report.federation_page import write_node_report

    path.parent.mkdir(parents=True, exist_ok=True)
    write_node_report(path, document, hospitals_of(document))
