"""The part that `medward score` and `medward outsource` share: whose node is asked, and waiting for what it does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medward.cli.computing import member
from medward.cli.computing.member import (
    NO_QUORUM_SECONDS,
    RUN_AGAIN,
    QuorumWatch,
    client_of,
    compute_for_others,
    wait_for,
    wait_until_carried_out,
)
from medward.errors import BadUsage, MedwardError
from medward.node.api.client import NodeClient
from medward.node.computing.orders import refusal_of
from medward.node.errors import NodeError
from medward.node.home.configuration import add_participant, read_configuration
from tests.cli.computing.conftest import NO_QUORUM, QUORUM, Homes
from tests.store.hostile import Exchange, hostile_peer


@pytest.fixture
def homes(homes_of: Homes) -> dict[str, Path]:
    return homes_of("scoring")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "LOOK_SECONDS", 0.001)


def answering(change: Callable[[], object] = lambda: None, status: Any = QUORUM) -> Callable[[Exchange], None]:
    """Return a node that answers, and does something at each request."""

    def answer(request: Exchange) -> None:
        change()
        request.begin(content_type="application/json")
        request.send(json.dumps(status).encode())

    return answer


def test_only_a_federation_of_the_kind_is_asked_or_told_to_compute(homes: dict[str, Path]) -> None:
    with client_of(homes["scoring"], "scoring", "scores") as client:
        assert client.url.startswith("http://127.0.0.1:")
    file = homes["bank"] / "node.toml"
    before = file.read_text()
    for use in (client_of, compute_for_others):
        with pytest.raises(BadUsage, match="is not of a federation that scores; begin one with --application scoring"):
            use(homes["bank"], "scoring", "scores")
    assert file.read_text() == before


def test_member_that_was_told_twice_computes_once(homes: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    file = homes["scoring"] / "node.toml"
    for _ in range(2):
        compute_for_others(homes["scoring"], "scoring", "scores")
    assert file.read_text().count("compute = true") == 1
    assert read_configuration(file).participant == {"compute": True}
    assert capsys.readouterr().out.count("computes for others once its node is started again") == 2


def test_what_the_operator_wrote_stays_and_a_member_that_will_not_compute_does_not_say_that_it_will(
    homes: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = homes["scoring"] / "node.toml"
    founded = file.read_text()
    said: tuple[dict[str, object], ...] = ({"compute": False}, {"compute": "true"}, {"patience": 5})
    for table in said:
        file.write_text(founded)
        add_participant(file, table)
        before = file.read_text()
        with pytest.raises(MedwardError, match=r"node.toml: participant.compute: expected true; write it there"):
            compute_for_others(homes["scoring"], "scoring", "scores")
        assert file.read_text() == before
    assert capsys.readouterr().out == ""


def test_waiting_ends_once_it_is_so_and_asks_the_node_until_then() -> None:
    with hostile_peer(answering()) as node, NodeClient(node.peer.url, "token") as client:
        wait_for(client, "nothing", lambda: True)
        assert node.asked == 0
        wait_for(client, "two answers", lambda: node.asked == 2)
        assert node.asked == 2


def test_node_that_is_gone_is_waited_for_no_more() -> None:
    with hostile_peer(answering()) as node:
        url = node.peer.url
    with NodeClient(url, "token") as client, pytest.raises(NodeError, match="is it running"):
        wait_for(client, "what never comes", lambda: False)


def test_order_is_carried_out_once_the_node_took_it(tmp_path: Path) -> None:
    order = tmp_path / "order"
    order.mkdir()
    with hostile_peer(answering(order.rmdir)) as node, NodeClient(node.peer.url, "token") as client:
        wait_until_carried_out(client, tmp_path, order)
    assert node.asked == 1


def test_order_that_was_put_aside_is_told_in_the_words_of_the_node_and_once(tmp_path: Path) -> None:
    order = tmp_path / "order.csv"
    order.write_text("rows")

    def put_aside() -> None:
        refusal_of(tmp_path, order).write_text("the table has no rows; give some\n")
        order.unlink()

    with hostile_peer(answering(put_aside)) as node, NodeClient(node.peer.url, "token") as client:
        with pytest.raises(NodeError, match=r"^the table has no rows; give some$"):
            wait_until_carried_out(client, tmp_path, order)
        wait_until_carried_out(client, tmp_path, order)
    assert list(tmp_path.iterdir()) == []


def looks(*told: tuple[float, dict[str, Any]]) -> None:
    """Let a command look at what its node says, at these seconds."""
    now = [0.0]
    watch = QuorumWatch(RUN_AGAIN, lambda: now[0])
    for now[0], status in told:
        watch.look(status)


def test_waiting_ends_after_a_minute_without_a_quorum_and_the_silent_are_named() -> None:
    looks((5.0, NO_QUORUM), (5.0 + NO_QUORUM_SECONDS - 1, NO_QUORUM))
    with pytest.raises(NodeError) as ended:
        looks((5.0, NO_QUORUM), (35.0, NO_QUORUM), (5.0 + NO_QUORUM_SECONDS, NO_QUORUM))
    assert str(ended.value) == (
        "no quorum for 60 s: 2 of 4 members are in reach and 3 are needed, so nothing is ordered; not heard of: c, d; "
        "nothing is lost: run the same command again once enough members are back"
    )


def test_what_takes_hours_is_waited_for_while_a_quorum_comes_back_within_a_minute() -> None:
    looks(*((60.0 * minute, QUORUM) for minute in range(600)))
    looks(*((30.0 * half, QUORUM if half % 3 == 2 else NO_QUORUM) for half in range(600)))
    looks(*((60.0 * minute, status) for minute in range(600) for status in ({}, {"ledger": {"engine": "cometbft"}})))


def test_command_that_waits_for_its_node_ends_without_a_quorum_and_its_order_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member, "NO_QUORUM_SECONDS", 0.01)
    order = tmp_path / "order"
    order.write_text("rows")
    left = iter(range(60))
    # A command that waits for ever meets what is no status in the end, and fails.
    node_without_a_quorum = answering(lambda: next(left), NO_QUORUM)
    with hostile_peer(node_without_a_quorum) as node, NodeClient(node.peer.url, "token") as client:
        with pytest.raises(NodeError, match=r"not heard of: c, d; nothing is lost: run the same command again"):
            wait_for(client, "what is never ordered", lambda: False)
        with pytest.raises(NodeError, match=r"not heard of: c, d; it stays"):
            wait_until_carried_out(client, tmp_path, order, "it stays")
    assert order.read_text() == "rows"
