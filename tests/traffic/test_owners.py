"""Who owns an address: routers' two sides take turns unnoticed, newcomers do not until they have stood for a minute."""

import numpy as np
import pytest

from medward.traffic.owners import BEGINNING, SAME, SECOND_HAND, STANDS, _used
from medward.traffic.tables import OWNER

SENDER, ROUTER, STRANGER = 11, 22, 33
SECOND = 1_000_000_000


class Address:
    """An address that its sender has used at 0 s."""

    def __init__(self) -> None:
        self.owner = np.zeros(1, OWNER)[0]
        self.owner["first"] = self.owner["last"] = SENDER

    def used(self, mac: int, seconds: float) -> int:
        return int(_used(self.owner, mac, int(seconds * SECOND)))


def test_both_sides_of_a_router_take_turns_unnoticed() -> None:
    address = Address()
    for turn in range(20):
        assert address.used(ROUTER, turn) == SECOND_HAND
        assert address.used(SENDER, turn + 0.5) == SAME


def test_who_comes_between_two_others_is_noticed_each_time() -> None:
    address = Address()
    late = BEGINNING / SECOND + 1
    for turn in range(10):
        assert address.used(STRANGER, late + turn) == SENDER
        assert address.used(SENDER, late + turn + 0.5) == STRANGER


def test_a_third_is_noticed_also_where_two_own_the_address() -> None:
    address = Address()
    address.used(ROUTER, 1)
    assert address.used(STRANGER, 2) == ROUTER
    assert address.used(SENDER, 3) == STRANGER
    assert address.used(ROUTER, 4) == SECOND_HAND


def test_newcomer_that_comes_and_goes_never_stands() -> None:
    """Its minute begins anew with each other newcomer: two who take turns are told of for ever."""
    address = Address()
    for turn in range(200):
        mac = STRANGER + turn % 2
        assert address.used(mac, 10 + turn) not in (SAME, SECOND_HAND)


def test_newcomer_stands_after_a_minute() -> None:
    address = Address()
    assert address.used(STRANGER, 10) == SENDER
    assert address.used(STRANGER, 10 + STANDS / SECOND - 1) == SAME
    assert address.used(STRANGER, 10 + STANDS / SECOND + 1) == SECOND_HAND
    assert address.used(SENDER, 80) == SAME


@pytest.mark.parametrize("set_back", [5, 1000])
def test_clock_that_was_set_back_makes_nobody_stand(set_back: float) -> None:
    address = Address()
    address.used(STRANGER, 1000)
    assert address.used(STRANGER, 1000 - set_back) == SAME
    assert address.used(SENDER, 1001) == STRANGER
