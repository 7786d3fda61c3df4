"""`medward outsource` where it cannot work: one sentence, and nothing left behind."""

import json
from pathlib import Path

import pytest

from medward.cli.computing import member, outsource
from medward.cli.computing.outsource import lines_of
from medward.node.api.client import NodeClient
from medward.node.outsourced.folder import OutsourcedFolder
from medward.node.outsourced.telling import told_of_plans, told_of_task
from tests.cli.computing.conftest import NO_QUORUM, Homes
from tests.cli.conftest import Run
from tests.federation.outsourced.world import COHORT, columns_of, encrypted_ward
from tests.store.hostile import Exchange, hostile_peer


@pytest.fixture
def homes(homes_of: Homes) -> dict[str, Path]:
    return homes_of("outsourced")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["list", "--home", "{tmp}/nowhere"], 1, "nowhere"),
        (["list", "--home", "{bank}"], 2, "not of a federation that trains on encrypted rows"),
        (["list", "--home", "{outsourced}"], 1, "does not answer"),
        (["plan", "--home", "{outsourced}"], 2, "give --model, --train or --schema"),
        (["plan", "--train", "nowhere", "--home", "{outsourced}"], 2, "expected one of"),
        (["plan", "--train", "ward", "--features", "30", "--home", "{outsourced}"], 1, "multiple of 4"),
        (["plan", "--train", "ward", "--features", "512", "--home", "{outsourced}"], 1, "take fewer features"),
        (["plan", "--train", "ward", "--features", "32", "--home", "{outsourced}"], 1, "does not answer"),
        (["plan", "--model", "{tmp}", "--home", "{outsourced}"], 1, "no model.json"),
        (["rows", "--data", "{tmp}/none.csv", "--home", "{outsourced}"], 2, "is not there"),
        (["rows", "--data", "{tmp}", "--home", "{outsourced}"], 1, "does not answer"),
        (["train", "--home", "{outsourced}"], 1, "does not answer"),
        (["model", "--out", "{tmp}/out", "--home", "{outsourced}"], 1, "does not answer"),
    ],
)
def test_mistake_is_answered_in_one_sentence(
    medward: Run, homes: dict[str, Path], tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    places = {**homes, "tmp": tmp_path}
    done = medward("outsource", *(text.format(**places) for text in arguments))
    assert done.code == code, done.err
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_member_is_told_to_compute_in_its_configuration(medward: Run, homes: dict[str, Path]) -> None:
    done = medward("outsource", "compute", "--home", homes["outsourced"])
    assert done.code == 0, done.err
    assert (homes["outsourced"] / "node.toml").read_text().rstrip().endswith("compute = true")


def test_plans_and_tasks_are_told_in_lines(tmp_path: Path) -> None:
    ward = encrypted_ward(*COHORT)
    number, folder = ward.ask(), OutsourcedFolder(tmp_path)
    ward.compute(number, "north", "west")
    ward.commit(number, "south")
    status = {"computes": True, "kept_rows_of": ["east"], "outputs_left": 1023, "problem": None}
    lines = list(lines_of(told_of_plans(ward.state), [told_of_task(ward.state, number, folder)], status))
    rows = ", ".join(f"{member} {len(columns_of(member))}" for member in COHORT)
    assert lines == [
        f"plan 00000001 of east, 16 features; encrypted rows: {rows}",
        "task 00000001 of east, north, south: 1 of 3 owners are bound to their shares",
        "this member computes, and holds the rows of east",
        "this member's key may still open 1023 tasks",
    ]


def test_command_ends_without_a_quorum_and_its_order_stays_with_the_node(
    medward: Run, homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member, "NO_QUORUM_SECONDS", 0.01)
    left = iter(range(20))

    def answer(request: Exchange) -> None:
        # A command that waits for ever meets no node any more in the end.
        if next(left, None) is not None:
            request.begin(content_type="application/json")
            request.send(json.dumps([{"plan": "3"}] if request.path == "/models" else NO_QUORUM).encode())

    with hostile_peer(answer) as node:
        monkeypatch.setattr(outsource, "_client", lambda _: NodeClient(node.peer.url, "token"))
        done = medward("outsource", "train", "--home", homes["outsourced"])
    assert (done.code, done.out) == (1, "")
    assert "2 of 4 members are in reach and 3 are needed, so nothing is ordered; not heard of: c, d" in done.sentence
    assert "nothing is lost: the order stays with the node" in done.sentence
    assert "do not give it a second time, `medward outsource list` shows it then" in done.sentence
    assert len(list((homes["outsourced"] / "participant").rglob("*.task"))) == 1
