"""Seats of a federation: an address reads as it should, its ports are not another's, and each member has a home."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.errors import MedwardError
from medward.node.home.configuration import InvalidConfiguration
from medward.node.trial.founding import Seat, found_on_one_machine, make_swarm_key
from medward.store.kubo.configuration import check_swarm_key


@given(st.integers(1, 2**16 - 4))
def test_store_and_api_take_the_ports_after_the_ledgers(port: int) -> None:
    seat = Seat.of(f"north=10.0.0.1:{port}")
    assert (seat.name, seat.ledger) == ("north", f"10.0.0.1:{port}")
    assert seat.store == f"10.0.0.1:{port + 1}"
    assert seat.api == f"127.0.0.1:{port + 2}"
    assert str(port + 3) in seat.swarm
    assert seat.configuration().ledger.listen == seat.ledger


@pytest.mark.parametrize(
    "text",
    ["", "north", "=10.0.0.1:1", "north=", "north=10.0.0.1", "north=10.0.0.1:", "north=10.0.0.1:x", "north=:4001",
     "north=10.0.0.1:0", "north=10.0.0.1:65533", "north=10.0.0.1:99999", "No rth=10.0.0.1:1", "../x=10.0.0.1:1"],
)  # fmt: skip
def test_what_is_no_seat_is_told_with_the_option(text: str) -> None:
    with pytest.raises(MedwardError, match="--member"):
        Seat.of(text)


@given(st.text(max_size=30))
def test_any_text_is_a_seat_or_refused(text: str) -> None:
    try:
        seat = Seat.of(text)
    except MedwardError:
        return
    assert text.startswith(f"{seat.name}=")


def test_named_host_is_listened_for_on_all_addresses() -> None:
    own = Seat.of("north=node.example:4001").configuration()
    assert own.ledger.listen == "0.0.0.0:4001"
    assert own.store.listen == "0.0.0.0:4002"
    assert Seat.of("north=[::1]:4001").configuration().ledger.listen == "[::1]:4001"


@pytest.mark.parametrize(
    "members", [("a=127.0.0.1:4001", "a=127.0.0.1:5001"), ("a=127.0.0.1:4001", "b=127.0.0.1:4001"),
                ("a=127.0.0.1:4001", "b=127.0.0.1:4002")],
)  # fmt: skip
def test_members_that_share_a_name_or_a_port_are_told_before_a_home_is_made(
    tmp_path: Path, members: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidConfiguration):
        found_on_one_machine(tmp_path / "ward", "ward", [Seat.of(text) for text in members], "bank")
    assert not (tmp_path / "ward").exists()


def test_swarm_key_is_one_and_private(tmp_path: Path) -> None:
    make_swarm_key(tmp_path / "swarm.key")
    check_swarm_key((tmp_path / "swarm.key").read_text())
    assert (tmp_path / "swarm.key").stat().st_mode & 0o077 == 0
