"""What a training member keeps: old rounds go, models in use and what it attested to hold stay."""

from collections.abc import Iterator

import pytest

from medward.node.training.retention import MODELS, Retention
from medward.store.cid import Cid
from medward.store.errors import BlockNotFound
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer
from medward.store.gateway.server import GatewayServer
from medward.store.limits import file_of
from medward.store.local import LocalStore, in_memory

LARGE = 2_500_000  # bytes: a DAG of several blocks


def blob(what: str, size: int = LARGE) -> bytes:
    return (what.encode() * (size // len(what) + 1))[:size]


@pytest.fixture
def other() -> Iterator[tuple[LocalStore, Peer]]:
    """Another member's store and where it is reached."""
    with in_memory() as store, GatewayServer(store) as server:
        yield store, Peer("other", server.url)


def test_model_in_use_is_never_collected_while_round_after_round_is_let_go(other: tuple[LocalStore, Peer]) -> None:
    theirs, peer = other
    with in_memory(exchange=PeerExchange([peer])) as store:
        kept = Retention(store, 2)
        model = str(store.add(blob("model 0"), pin=MODELS))
        for number in range(8):
            mine = store.add(blob(f"mine {number}"), pin=f"round/{number}")
            name = str(theirs.add(blob(f"theirs {number}"), pin=f"round/{number}"))
            assert kept.read(name, f"round/{number}", None, file_of(LARGE)) == blob(f"theirs {number}")
            # Every second round leads to no model, so one model outlives the rounds that it came from and was used in.
            before = model
            if number % 4 == 0:
                model = str(store.add(blob(f"model {number + 1}"), pin=MODELS))
            kept.let_go(number, {model, before})
            here = [Cid.parse(model), Cid.parse(before), mine, Cid.parse(name)]
            assert all(store.has(cid) for cid in here), f"what round {number} needs was collected"
            labels = {pin.label for pin in store.pins()} - {MODELS}
            assert labels == {f"round/{late}" for late in range(max(0, number - 1), number + 1)}
        assert store.verify().intact
        assert len(store.pins(MODELS)) == 1


def test_what_a_member_attested_to_hold_is_here_after_its_maker_is_gone(other: tuple[LocalStore, Peer]) -> None:
    theirs, peer = other
    with in_memory(exchange=PeerExchange([peer])) as store:
        kept = Retention(store, 1)
        store.add(b"old", pin="round/0")
        name = str(theirs.add(blob("contribution"), pin="round/1"))
        kept.read(name, "round/1", None, file_of(LARGE))
        theirs.release("round/1")
        theirs.collect_garbage()
        assert kept.let_go(1, ()) == 1
        assert kept.read(name, "round/1", None, file_of(LARGE)) == blob("contribution")


def test_rounds_that_ended_while_the_node_was_away_are_let_go_too() -> None:
    with in_memory() as store:
        for number in range(5):
            store.add(blob(f"round {number}", 100), pin=f"round/{number}")
        assert Retention(store, 1).let_go(9, ()) == 5
        assert store.usage().blocks == 0


def test_all_is_kept_where_nothing_was_said_and_other_labels_always() -> None:
    with in_memory() as store:
        store.add(b"ours", pin="round/0")
        assert Retention(store, 0).let_go(100, ()) == 0
        for label in ("keys/1", "data/ward", "round/late", "round/7/more"):
            store.add(label.encode(), pin=label)
        assert Retention(store, 1).let_go(100, ()) == 1
        assert {pin.label for pin in store.pins()} == {"keys/1", "data/ward", "round/late", "round/7/more"}


def test_what_nobody_has_is_said_and_leaves_no_label() -> None:
    with in_memory() as store:
        with pytest.raises(BlockNotFound):
            Retention(store, 1).read(str(Cid.of(b"absent")), "round/0", None, file_of(6))
        assert store.pins() == []
