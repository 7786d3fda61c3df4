"""`medward score` where it cannot work: one sentence, and nothing left behind."""

import json
from pathlib import Path

import pytest

from medward.cli.computing import member
from medward.cli.computing.score import _scores
from medward.node.api.client import NodeClient
from medward.node.errors import NodeError
from medward.node.scoring.key_folder import KeyFolder
from tests.cli.computing.conftest import NO_QUORUM, Homes
from tests.cli.conftest import Run
from tests.store.hostile import Exchange, hostile_peer


@pytest.fixture
def homes(homes_of: Homes) -> dict[str, Path]:
    return homes_of("scoring")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["list", "--home", "{tmp}/nowhere"], 1, "nowhere"),
        (["list", "--home", "{bank}"], 2, "not of a federation that scores"),
        (["list", "--home", "{scoring}"], 1, "does not answer"),
        (["flows", "--flows", "{tmp}/none.csv", "--out", "{tmp}/out.csv", "--home", "{scoring}"], 2, "is not there"),
        (["flows", "--flows", "{file}", "--out", "{tmp}/out.csv", "--home", "{scoring}"], 1, "does not answer"),
        (["offer", "--model", "{tmp}", "--home", "{scoring}"], 1, "no model.json"),
        (["offer", "--model", "{model}", "--home", "{scoring}"], 1, "train one with `medward train --polynomial`"),
    ],
)
def test_mistake_is_answered_in_one_sentence(
    medward: Run,
    homes: dict[str, Path],
    ward_model: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    file = tmp_path / "file.csv"
    file.write_text("a,b\n1,2\n")
    places = {**homes, "tmp": tmp_path, "file": file, "model": ward_model}
    done = medward("score", *(text.format(**places) for text in arguments))
    assert done.code == code
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "out.csv").exists()


def test_member_is_told_to_compute_in_its_configuration(medward: Run, homes: dict[str, Path]) -> None:
    done = medward("score", "compute", "--home", homes["scoring"])
    assert done.code == 0, done.err
    assert (homes["scoring"] / "node.toml").read_text().rstrip().endswith("compute = true")


def test_scores_are_not_waited_for_without_a_quorum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "NO_QUORUM_SECONDS", 0.01)
    left = iter(range(40))

    def answer(request: Exchange) -> None:
        # A command that waits for ever is told in the end that its batch is closed.
        batch = {"batch": "7", "closed": next(left, None) is None, "answered": False, "state": "waited too long"}
        request.begin(content_type="application/json")
        request.send(json.dumps([batch] if request.path == "/rounds" else NO_QUORUM).encode())

    said = r"no quorum for .*; not heard of: c, d; nothing is lost: run the same command again"
    with (
        hostile_peer(answer) as node,
        NodeClient(node.peer.url, "token") as client,
        pytest.raises(NodeError, match=said),
    ):
        _scores(KeyFolder(tmp_path), client, "7")
