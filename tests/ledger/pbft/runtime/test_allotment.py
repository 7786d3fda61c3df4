"""A share of a replica's time: no more is given out, and turns come in the order in which they were asked for."""

import asyncio

import pytest

from medward.ledger.pbft.runtime.allotment import Allotment


def test_allotment_lets_a_share_of_time_pass_and_what_was_saved_for_a_moment() -> None:
    now = 0.0
    allotment = Allotment(0.1, 0.5, lambda: now)
    assert allotment._lacking() <= 0
    allotment.spend(0.5)
    assert allotment._lacking() == 0
    allotment.spend(0.2)
    assert allotment._lacking() == pytest.approx(2.0)
    now = 3.0
    assert allotment._lacking() == pytest.approx(-1.0)
    now = 1e6
    assert allotment._lacking() == pytest.approx(-5.0)  # no more is saved than may be spent at once


def test_turns_come_one_at_a_time_in_order_and_an_error_in_one_holds_up_nobody() -> None:
    async def story() -> list[str]:
        allotment, order = Allotment(0.5, 1.0, lambda: 0.0), []

        async def ask(name: str) -> None:
            async with allotment.turn(counted=False):
                order.append(f"{name} in")
                await asyncio.sleep(0)
                if name == "a":
                    raise ValueError
                order.append(f"{name} out")

        await asyncio.gather(*map(ask, "abc"), return_exceptions=True)
        return order

    assert asyncio.run(story()) == ["a in", "b in", "b out", "c in", "c out"]


def test_what_is_done_in_a_counted_turn_is_spent_and_else_it_is_not() -> None:
    async def spent(counted: bool) -> float:
        allotment = Allotment(0.5, 1.0, lambda: 0.0)
        async with allotment.turn(counted):
            sum(range(100_000))
        return allotment._left

    assert asyncio.run(spent(counted=True)) < 1.0
    assert asyncio.run(spent(counted=False)) == 1.0
