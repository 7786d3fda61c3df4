"""What a demo on encrypted rows wrote beside its nodes' homes is what its tasks lead to, or it is told of."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medward.audit.homes import Audit, audit
from medward.federation.computing.preparation import write_preparation
from medward.federation.outsourced.training import read_plan, trained_model
from medward.node.home.folder import Home
from medward.node.outsourced.telling import told_of_ledger
from medward.node.trial.manifest import write_manifest
from medward.report.federation_page import page_of, write_report
from tests.audit.computing.homes import TASK_TERMS, ScoringHomes, TaskHomes
from tests.audit.demo_folder import made_up_document
from tests.audit.homes import altered, one_byte_altered
from tests.federation.outsourced.world import columns_of, plain_numbers, toy_plan

DOCUMENTS = ("manifest.json", "metrics.json", "report.html", "model/model.json", "model/weights.safetensors")
MEMBERS = (*TaskHomes.owners, "west")
Document = dict[str, Any]


class TaskDemo:
    """A demo's folder: real homes, task, model, page and signatures; the measures are made up."""

    def __init__(self, folder: Path) -> None:
        self.homes = TaskHomes(folder)
        self.number = self.homes.ask()
        self.homes.compute(self.number, "north", lie=1)
        self.homes.compute(self.number, "south", "west")
        self.homes.open(self.number)
        self.task = self.homes.state.tasks[self.number]

    def write(self) -> Path:
        folder = self.homes.write()
        plan = read_plan(write_preparation(toy_plan()), TASK_TERMS)
        rows = [len(columns_of(owner)) for owner in self.homes.owners]
        model = trained_model(plan, TASK_TERMS, plain_numbers(*self.homes.owners), rows)
        name, schema = model.save(folder / "model"), model.space.schema
        told = {"data": schema.dataset, "synthetic": schema.synthetic, "sites": 3, "protect": "outsourced"}
        told |= {"seed": TASK_TERMS.seed, "model_name": name, "rounds_log": []}
        told |= {"tasks_log": [{"task": self.number, **told_of_ledger(self.task)}]}
        write_report(folder, made_up_document(folder, self.homes.owners, told))
        sign(folder, *MEMBERS)
        return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TaskDemo(tmp_path_factory.mktemp("made") / "homes").write()


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of a demo's folder that a test may alter."""
    return Path(shutil.copytree(made, tmp_path / "homes"))


def sign(folder: Path, *members: str) -> None:
    """Let members sign what lies there now, as somebody does who has their keys too."""
    write_manifest(folder, {name: Home(folder / name) for name in MEMBERS}, members)


def audited(folder: Path, only: int | None = None) -> Audit:
    return audit(folder, only, make_page=page_of)


def problems_of(folder: Path) -> list[str]:
    return [str(one) for one in audited(folder).groups["demo"].problems]


def test_untouched_demo_is_sound_and_all_its_documents_were_compared(made: Path) -> None:
    found = audited(made)
    assert found.sound, "\n".join(map(str, found.problems))
    checked = found.groups["demo"].checked
    assert (checked["signatures"], checked["tasks"], checked["model files"], checked["pages"]) == (4, 1, 2, 1)
    assert found.demo.signed_by == found.demo.keys_here == tuple(sorted(MEMBERS))
    named = [one.path for one in found.unchecked]
    assert not [path for path in named if path.split("/")[0] not in MEMBERS]


@pytest.mark.slow
def test_altered_byte_in_every_document_is_a_problem(folder: Path) -> None:
    drawn = random.Random(7)
    for path in DOCUMENTS:
        content = (folder / path).read_bytes()
        with altered(folder / path, one_byte_altered(content, drawn.randrange(len(content)))):
            assert any(path in one for one in problems_of(folder)), path


def change_facts(told: Document) -> None:
    told.update(protect="none", sites=4, seed=0, rounds_log=[{}], data="another", model_name="sha256:00")


def change_task(told: Document) -> None:
    told["tasks_log"][0]["rows"]["east"] = 99999
    told["tasks_log"][0]["results"]["north"] = ""
    told["tasks_log"][0]["ended"] = "nobody computed it"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            change_facts,
            (
                *("protect is not 'outsourced'", "sites is not 3", "seed is not 7", "rounds_log is not []"),
                *("data is not", "model_name is not"),
            ),
        ),
        pytest.param(
            change_task, ("it says other rows, results, ended than the ledger of task 1",), marks=pytest.mark.slow
        ),
        pytest.param(
            lambda told: told["tasks_log"].append(told["tasks_log"][0]),
            ("the ledger's 1 tasks, each once",),
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda told: told.pop("tasks_log"), ("it tells of no tasks",), marks=pytest.mark.slow),
        (lambda told: told.update(expected_cost=0.5), ("report.html: it is not the page",)),
    ],
)
def test_who_signs_again_must_still_agree_with_the_ledger(
    folder: Path, change: Callable[[Document], object], says: tuple[str, ...]
) -> None:
    told = json.loads((folder / "metrics.json").read_bytes())
    change(told)
    (folder / "metrics.json").write_text(json.dumps(told))
    sign(folder, *MEMBERS)
    problems = problems_of(folder)
    for sentence in says:
        assert any(sentence in one for one in problems), (sentence, problems)


def test_other_model_signed_by_all_is_still_not_what_the_task_leads_to(folder: Path) -> None:
    weights = folder / "model" / "weights.safetensors"
    weights.write_bytes(one_byte_altered(weights.read_bytes(), 1000))
    sign(folder, *MEMBERS)
    assert problems_of(folder) == ["model/weights.safetensors: it is not what the ledger's last model leads to"]


def test_two_of_four_signers_prove_nothing(folder: Path) -> None:
    sign(folder, "east", "north")
    assert problems_of(folder) == ["manifest.json: 2 of the members signed it; a quorum of 3 is needed to believe it"]


@pytest.mark.slow
@pytest.mark.parametrize("signed", [True, False])
def test_model_is_not_called_false_where_a_blob_of_its_task_is_missing(tmp_path: Path, signed: bool) -> None:
    demo = TaskDemo(tmp_path / "homes")
    shares = dict(demo.task.commitments)["south"]
    demo.homes.forget(shares)
    folder = demo.write()
    if not signed:
        (folder / "manifest.json").unlink()
    found = audited(folder)
    assert [one.name for one in found.groups["store"].problems] == [shares]
    assert "model files" not in found.groups["demo"].checked
    named = {one.path: one.why for one in found.unchecked if one.path.startswith("model")}
    assert not any(one.what.startswith("model") for one in found.problems)
    if signed:  # the manifest says that the files are as they were signed
        assert not named
    else:
        why = "task 1, which it must follow from, was not checked"
        assert named == {"model/model.json": why, "model/weights.safetensors": why}


@pytest.mark.slow
def test_model_of_another_task_than_the_one_that_is_checked_is_named_as_not_checked(tmp_path: Path) -> None:
    demo = TaskDemo(tmp_path / "homes")
    later = demo.homes.ask()
    demo.homes.compute(later, "north", "west")
    folder = demo.write()
    found = audited(folder, only=int(later))
    assert "model files" not in found.groups["demo"].checked
    assert not any(one.what.startswith("model") for one in found.problems)


def test_model_where_no_task_was_opened_is_a_problem(tmp_path: Path) -> None:
    homes = TaskHomes(tmp_path / "homes")
    homes.ask()
    folder = homes.write()
    toy_plan().save(folder / "model")
    told = problems_of(folder)
    assert "model: the ledger and the stores here lead to no model that it could be compared with" in told


def test_documents_beside_homes_of_a_federation_that_scores_are_named_as_not_checked(tmp_path: Path) -> None:
    folder = ScoringHomes(tmp_path / "homes").write()
    (folder / "metrics.json").write_text("{}")
    found = audited(folder)
    assert found.sound
    assert "demo" not in found.groups
    assert "metrics.json" in [one.path for one in found.unchecked]
