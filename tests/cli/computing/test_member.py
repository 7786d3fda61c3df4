"""The part that `medward score` and `medward outsource` share: whose node is asked, and waiting for what it does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from medward.cli.computing import member
from medward.cli.computing.member import client_of, compute_for_others, wait_for, wait_until_carried_out
from medward.errors import BadUsage, MedwardError
from medward.node.api.client import NodeClient
from medward.node.computing.orders import refusal_of
from medward.node.errors import NodeError
from medward.node.home.configuration import add_participant, read_configuration
from tests.cli.computing.conftest import Homes
from tests.store.hostile import Exchange, hostile_peer


@pytest.fixture
def homes(homes_of: Homes) -> dict[str, Path]:
    return homes_of("scoring")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "LOOK_SECONDS", 0.001)


def answering(change: Callable[[], object] = lambda: None) -> Callable[[Exchange], None]:
    """Return a node that answers, and does something at each request."""

    def answer(request: Exchange) -> None:
        change()
        request.begin(content_type="application/json")
        request.send(b"{}")

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
