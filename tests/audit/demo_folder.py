"""A demo's folder, made cheaply: the homes of `homes.py`, and beside them what `medward demo` writes.

The homes, the model, the page, the manifest and its signatures are the real ones; only the measures are made up, since
no ledger knows them anyway.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medward import __version__
from medward.agents.metrics import measures
from medward.agents.sentinel.model import SentinelModel
from medward.audit.demo import DemoTerms
from medward.audit.findings import AuditResult
from medward.audit.homes import read_history
from medward.audit.stores import Stores, open_blocks
from medward.audit.training import AuditedTraining
from medward.federation.model.plan import TrainingPlan, plan_digest
from medward.federation.model.shared_model_format import MOST_BYTES, decode_model
from medward.node.home.folder import Home
from medward.node.training.data import ParticipantSettings, plan_candidates
from medward.node.training.round_log import summary
from medward.node.trial.final_model import final_model
from medward.node.trial.manifest import write_manifest
from medward.node.trial.trial import SHARED_KEYS
from medward.report.federation_page import page_of, write_report
from medward.store.limits import file_up_to
from tests.audit.homes import NAMES, TABLE

CLASSES = ("benign", "scan", "flood")


def copied_homes(homes: Mapping[str, Home], folder: Path) -> dict[str, Home]:
    """Return copies of the homes in another folder; their files are hard links."""
    for name, home in homes.items():
        shutil.copytree(home.folder, folder / name, copy_function=os.link)
    return {name: Home(folder / name) for name in homes}


def written_demo(homes: Mapping[str, Home], folder: Path) -> None:
    """Write what a demo writes beside its nodes' homes, and let all members sign it."""
    shared_name, model = model_of(folder)
    name = model.save(folder / "model")
    assert model.provenance.shared_model == shared_name
    write_report(folder, document_of(folder, name))
    for home in homes.values():
        home.log_file.parent.mkdir(exist_ok=True)
        home.log_file.write_text('{"level": "info"}\n')
    (folder / "trial.json").write_text(json.dumps({"homes": list(NAMES)}))
    write_manifest(folder, homes, NAMES)


def plan_of(folder: Path) -> TrainingPlan:
    agreed = read_history(folder).state.agreement.plan
    settings = ParticipantSettings(**TABLE)  # type: ignore[arg-type]
    return next(plan for plan in plan_candidates(settings) if plan_digest(plan) == agreed)


def stores_of(folder: Path) -> Stores:
    return Stores({name: open_blocks(folder / name / "store") for name in NAMES})


def model_of(folder: Path) -> tuple[str, SentinelModel]:
    state = read_history(folder).state
    stores = stores_of(folder)
    try:
        content = stores.read(state.model, file_up_to(MOST_BYTES))
    finally:
        stores.close()
    assert content is not None
    shared = decode_model(plan_of(folder), content)
    return state.model, final_model(shared, len(NAMES), state.agreement.protect, state.model)


def document_of(folder: Path, model_name: str) -> dict[str, Any]:
    log = []
    for _, past in sorted(read_history(folder).rounds.items()):
        told = summary(past.now)
        entry = {key: told[key] for key in SHARED_KEYS}
        measured: dict[str, Any] = {"seconds": {"train": 1.5}, "bytes_up": 10, "bytes_down": 20, "validation": None}
        log.append(entry | measured)
    told = {"data": "ward", "synthetic": True, "sites": 4, "protect": "aggregate", "seed": 1, "rounds_log": log}
    return made_up_document(folder, NAMES, told | {"model_name": model_name})


def made_up_document(folder: Path, names: Sequence[str], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a demo's document: what is told, and measures that are made up."""
    y = np.repeat(np.arange(3), (80, 15, 5)).astype(np.int32)
    rows = {"rows": 100, "attack_share": 0.2, "classes": 3}
    return {
        **{"protocol": "honest", "rounds": 1, "partition": "blocks"},
        **{"rows": {"train": 1400, "validation": 300, "test": 100}},
        **{"metrics": measures(y, y, y.astype(np.float32), CLASSES), "expected_cost": 0.0, "escalation_rate": 0.1},
        **{"model": str(folder / "model"), "report": str(folder / "report.html")},
        **{"seconds": 3.0, "options": {"ledger": "pbft"}, "classes": list(CLASSES)},
        **{"version": __version__, "hospitals": [{"hospital": name, **rows} for name in names]},
        **told,
    }


def terms_of(folder: Path, stores: Stores) -> DemoTerms:
    """Return what an audit knows of the federation before it looks at the demo's files."""
    federation = Home(folder / NAMES[0]).federation()
    audited = AuditedTraining(federation.application.parameters, [Home(folder / name) for name in NAMES])
    audited.history = read_history(folder)
    truth = audited.truth(stores.read, AuditResult())
    return DemoTerms(federation.fingerprint, [federation.genesis.membership], truth, page_of)
