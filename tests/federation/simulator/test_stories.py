"""Stories of a federation on its ledger that seeds would seldom tell."""

from collections.abc import Callable
from functools import partial

import pytest

from medward.federation.round.state import Phase, Round
from tests.federation.simulator.liars import LIES
from tests.federation.simulator.scenario import CHAIN, TIMERS
from tests.federation.simulator.world import FederationWorld, Terms
from tests.ledger.simulator.behaviours import Behaviour
from tests.ledger.simulator.checker import Violation


def _outage(world: FederationWorld, milliseconds: int) -> None:
    """Nobody hears anybody for a while."""
    world.network.groups = [{name} for name in world.nodes]
    world.at(world.now + milliseconds, partial(setattr, world.network, "groups", None))


def _run_until(world: FederationWorld, reached: Callable[[], bool]) -> None:
    while not reached():
        world.run(world.now + 1)


def _answered_in_an_outage() -> FederationWorld:
    """Holders show their answers, and nothing is ordered until the deadline; the first that is ordered then is a tick.

    In the next round a hospital is lost before it commits, so that the next cohort is one less.
    """
    world = FederationWorld(1, 4, Terms(deadline=0.4, surveys=0, steps=3), chain=CHAIN, timers=TIMERS)
    world.nodes["h00"].behaviour = Behaviour()
    world.members["h00"].lie(LIES["hasty"]())

    def now() -> Round | None:
        return world.federation.latest.round

    _run_until(world, lambda: now() is not None and now().phase is Phase.ANSWERING)
    assert not now().answers
    _outage(world, 480)
    _run_until(world, lambda: 0 in world.federation.ended)
    world.crash(world.nodes["h03"])
    assert world.federation.ended[0][0] is Phase.VOID
    world.run(world.now + 8_000)
    world.restart(world.nodes["h03"])
    world.run(world.now + 2_000)
    return world


def test_answers_that_nobody_ordered_in_time_count_as_shown(monkeypatch):
    world = _answered_in_an_outage()
    world.federation.finish()
    with monkeypatch.context() as patch:
        patch.setattr(Round, "exposed", property(lambda self: bool(self.answers)))
        world = _answered_in_an_outage()
        with pytest.raises(Violation, match="tells of 1 hospitals"):
            world.federation.finish()
