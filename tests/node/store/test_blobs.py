"""A node's store: who is served and asked as members come and go, and a gateway that is started again when it dies."""

import threading
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from medward.ledger.types import Member
from medward.node.errors import ExposedSecret, NodeError
from medward.node.home.cards import Contact
from medward.node.home.folder import Home
from medward.node.store.blobs import NodeStore
from medward.store.errors import BlockNotFound, StoreError, StoreFull
from medward.store.limits import DEFAULT_LIMITS
from tests.admission.world import bound


def members(homes: dict[str, Home]) -> tuple[Member, ...]:
    return tuple(home.card().member for home in homes.values())


def test_a_dead_gateway_is_started_again_and_one_that_restarts_meanwhile_is_left_alone(homes: dict[str, Home]) -> None:
    north, south = homes.values()
    table, both = north.configuration().store, members(homes)
    blobs = NodeStore(north, "north", table, both)
    try:
        blobs.serve()
        assert not blobs.keep_serving()
        assert blobs._gateway is not None
        blobs._gateway.stop()
        assert blobs.keep_serving()
        contacts = {home.card().name: home.card().contact for home in (north, south)}
        outcomes: list[bool] = []
        for number in range(6):  # members change while the watch knocks
            knock = threading.Thread(target=lambda: outcomes.append(blobs.keep_serving()))
            knock.start()
            blobs.set_members(both[: 1 + number % 2], contacts)
            knock.join()
        assert outcomes == [False] * 6
        assert not blobs.keep_serving()
    finally:
        blobs.close()


@pytest.fixture
def stores(homes: dict[str, Home]) -> Iterator[dict[str, NodeStore]]:
    """The stores of two members, both served."""
    made = {name: NodeStore(home, name, home.configuration().store, members(homes)) for name, home in homes.items()}
    for store in made.values():
        store.serve()
    yield made
    for store in made.values():
        store.close()


def contacts(homes: dict[str, Home], *names: str) -> dict[str, Contact]:
    return {name: homes[name].card().contact for name in names}


def test_member_that_left_is_asked_and_served_no_more(homes: dict[str, Home], stores: dict[str, NodeStore]) -> None:
    both, (north, south) = members(homes), stores.values()
    first, second, third = (north.store.add(content, pin="round/1") for content in (b"first", b"second", b"third"))
    with pytest.raises(BlockNotFound):
        south.store.read(first, DEFAULT_LIMITS)  # nobody has said yet where north is reached
    for store in stores.values():
        store.set_members(both, contacts(homes, "north", "south"))
    assert south.store.read(first, DEFAULT_LIMITS) == b"first"
    # A member is not asked for its own blocks.
    assert set(south.describe()["peers"]) == {"north"}
    north.set_members(both[:1], contacts(homes, "north"))
    with pytest.raises(BlockNotFound):
        south.store.read(second, DEFAULT_LIMITS)
    north.set_members(both, contacts(homes, "north", "south"))
    assert south.store.read(second, DEFAULT_LIMITS) == b"second"
    south.set_members(both[1:], {})
    with pytest.raises(BlockNotFound):
        south.store.read(third, DEFAULT_LIMITS)


def test_change_that_changes_nothing_leaves_the_gateway_alone(
    homes: dict[str, Home], stores: dict[str, NodeStore]
) -> None:
    north = stores["north"]
    gateway = north._gateway
    north.set_members(members(homes), contacts(homes, "south"))
    moved = {"south": Contact("south", "127.0.0.1:1")}
    north.set_members(members(homes), moved)
    assert north._gateway is gateway
    assert north.describe()["peers"] == {"south": "127.0.0.1:1"}
    north.set_members(members(homes)[:1], {})
    assert north._gateway is not gateway
    assert not north.keep_serving()


def test_store_says_how_full_it_is_and_keeps_to_its_limit(homes: dict[str, Home]) -> None:
    home = homes["north"]
    table = msgspec.structs.replace(home.configuration().store, limit_gib=2**-14)
    store = NodeStore(home, "north", table, members(homes))
    try:
        store.store.add(bytes(range(256)) * 40, pin="round/1")
        told = store.describe()
        assert (told["engine"], told["limit"], told["peers"]) == ("embedded", 2**16, {})
        assert 10_000 < told["bytes"] <= 2**16
        assert told["disk_free"] > 0
        assert store.contact == Contact("north", table.address)
        with pytest.raises(StoreFull):
            store.store.add(np.random.default_rng(1).bytes(2**17), pin="round/2")
        store.connect()  # there is no Kubo to connect
    finally:
        store.close()


def test_address_that_another_has_is_told(homes: dict[str, Home]) -> None:
    home = homes["north"]
    with bound() as taken:
        taken.listen()
        table = msgspec.structs.replace(home.configuration().store, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        store = NodeStore(home, "north", table, members(homes))
        try:
            with pytest.raises(StoreError):
                store.serve()
        finally:
            store.close()


def test_swarm_key_that_others_could_read_is_refused(homes: dict[str, Home]) -> None:
    home = homes["north"]
    home.swarm_key_file.chmod(0o640)
    table = msgspec.structs.replace(home.configuration().store, engine="kubo")
    with pytest.raises(
        ExposedSecret, match=r"swarm.key holds a secret .* 0640; .* agree with all members on a new swarm"
    ):
        NodeStore(home, "north", table, members(homes))


def test_kubo_without_the_members_swarm_key_is_refused(homes: dict[str, Home]) -> None:
    home = homes["north"]
    home.swarm_key_file.unlink()
    table = msgspec.structs.replace(home.configuration().store, engine="kubo")
    with pytest.raises(NodeError, match=r"the swarm key that all members share; get it over a safe channel"):
        NodeStore(home, "north", table, members(homes))
