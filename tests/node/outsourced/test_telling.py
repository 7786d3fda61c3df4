"""Where a task stands, in words, at each step that the ledger takes it through."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from medward.federation.outsourced.records import OutsourcedState, OutsourcedTask, TableEncrypted, TaskAsked
from medward.node.outsourced.folder import OutsourcedFolder
from medward.node.outsourced.telling import TOLD_OF_LEDGER, told_of_ledger, told_of_plans, told_of_task

MEMBERS = ("east", "north", "south", "west")
OWNERS = MEMBERS[:3]
TASK = OutsourcedTask("east", TaskAsked("00000001", OWNERS, 5000), 1, (TableEncrypted("00000001", "b" * 59, 9),) * 3)
AGREED = replace(TASK, results=(("north", "result-one"), ("west", "result-one")), agreed="result-one")
COMMITTED = replace(AGREED, commitments=tuple((owner, "shares") for owner in OWNERS), committed=2)


def told(task: OutsourcedTask, folder: OutsourcedFolder) -> dict[str, object]:
    return dict(told_of_task(OutsourcedState(MEMBERS, {}, {}, {}, {"00000007": task}), "00000007", folder))


@pytest.mark.parametrize(
    ("task", "state", "closed"),
    [
        (TASK, "0 of 2 members have computed it", False),
        (replace(TASK, results=(("north", "result-one"),)), "1 of 2 members have computed it", False),
        (
            replace(TASK, results=(("north", "result-one"), ("west", "result-two"))),
            "the results differ (north: sult-one, west: sult-two), and nobody opens one before 2 members have the same",
            False,
        ),
        (replace(AGREED, commitments=(("east", "shares"),)), "1 of 3 owners are bound to their shares", False),
        (replace(COMMITTED, revealed=("east",)), "1 of 3 owners have shown their shares", False),
        (replace(COMMITTED, revealed=OWNERS), "opened", True),
        (replace(AGREED, ended="south did not commit to shares"), "void: south did not commit to shares", True),
    ],
)
def test_task_is_told_by_the_last_step_that_it_took(
    tmp_path: Path, task: OutsourcedTask, state: str, closed: bool
) -> None:
    said = told(task, OutsourcedFolder(tmp_path))
    assert (said["state"], said["closed"], said["model"]) == (state, closed, None)
    assert (said["task"], said["plan"], said["owners"]) == ("00000007", "00000001", list(OWNERS))
    assert said["results"] == dict(task.results)


def test_model_is_told_once_it_is_whole_and_so_is_why_there_is_none(tmp_path: Path) -> None:
    folder, opened = OutsourcedFolder(tmp_path), replace(COMMITTED, revealed=OWNERS)
    (folder.models / "00000007").mkdir()
    assert told(opened, folder)["model"] is None
    (folder.models / "00000007" / "model.json").write_text("{}")
    assert told(opened, folder)["model"] == str(folder.models / "00000007")
    refusal = folder.models / "00000007.refused"
    refusal.write_text("the shares of south are none\n")
    assert told(opened, folder)["state"] == "opened, but no model: the shares of south are none"
    # What is said of an earlier step is not a reason why there is no model yet.
    assert told(AGREED, folder)["state"] == "0 of 3 owners are bound to their shares"


def test_no_plan_is_told_of_where_there_is_none() -> None:
    assert list(told_of_plans(OutsourcedState(MEMBERS, {}, {}, {}, {}))) == []


def test_what_the_ledger_says_of_a_task_holds_all_its_blobs_and_nothing_of_the_member(tmp_path: Path) -> None:
    opened = replace(COMMITTED, revealed=OWNERS)
    assert told_of_ledger(opened) == {
        "plan": "00000001",
        "rows": dict.fromkeys(OWNERS, 9),
        "tables": dict.fromkeys(OWNERS, "b" * 59),
        "results": {"north": "result-one", "west": "result-one"},
        "result": "result-one",
        "shares": dict.fromkeys(OWNERS, "shares"),
        "ended": None,
    }
    assert tuple(told_of_ledger(opened)) == TOLD_OF_LEDGER
    assert set(TOLD_OF_LEDGER) <= set(told(opened, OutsourcedFolder(tmp_path)))
    void = told_of_ledger(replace(TASK, ended="nobody computed it"))
    assert (void["result"], void["shares"], void["ended"]) == (None, {}, "nobody computed it")
