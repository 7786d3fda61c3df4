"""The ledger's time while clocks are wrong (threat T3): it moves on, and stays near the right ones."""

import pytest

from medward.ledger.bank import Deposit
from medward.ledger.certificates import BlockHeader
from medward.ledger.membership import ChainParameters
from medward.ledger.pbft.effects import Accepted, Append, Received, Tick
from medward.ledger.pbft.messages import PrePrepare
from medward.ledger.pbft.parameters import Parameters
from medward.ledger.signatures import Domain
from medward.ledger.types import MemberUpdate
from tests.ledger.simulator.test_stories import finish, join, order_members
from tests.ledger.simulator.world import GENESIS_TIME, SIM_CHAIN, SIM_TIMERS, World

HOUR = 3_600_000
DRIFT = ChainParameters().clock_drift
T = Parameters().request_timeout


def running(seed=11, members=4, chain=SIM_CHAIN, timers=SIM_TIMERS):
    """A world with right clocks and a client that always has a next request."""
    world = World(seed, members, chain=chain, timers=timers)
    for node in world.nodes.values():
        node.skew = 0
    client = world.add_client("client", [Deposit("a", 1) for _ in range(5000)])
    world.at(1, lambda: world.issue(client))
    return world


def product(seed=11, members=4):
    """The same with the parameters that nodes have by default, and two to five blocks a second."""
    world = running(seed, members, chain=ChainParameters(), timers=Parameters())
    world.network.delay = (50, 100)
    return world


def put_wrong(world, name, skew):
    world.nodes[name].skew, world.nodes[name].right = skew, False


def ledger_time(world, name="h01"):
    return world.nodes[name].replica.execution.time - GENESIS_TIME


def views(world):
    return {node.replica.view[1] for node in world.nodes.values()}


@pytest.mark.parametrize("since", [pytest.param(0, marks=pytest.mark.slow), 5_000])
@pytest.mark.parametrize("skew", [-HOUR, HOUR])
def test_leader_with_a_wrong_clock_costs_one_view_change_and_the_time_goes_on(skew, since):
    world = product()
    world.run(since)
    put_wrong(world, "h00", skew)
    for until in (30_000, 60_000, 90_000):
        world.run(until)
        assert views(world) == {1}
        assert until - DRIFT <= ledger_time(world) <= until + DRIFT
    assert max(o.returned - o.invoked for o in world.history if o.returned is not None) <= DRIFT + 3 * T


def test_leader_whose_clock_stands_still_is_left_when_the_time_is_too_far_behind():
    world = product()
    world.run(5_000)
    world.pace(world.nodes["h00"], 0.0)
    world.run(60_000)
    assert views(world) == {1}
    assert ledger_time(world) >= 60_000 - DRIFT


@pytest.mark.parametrize("skew", [-HOUR, HOUR])
def test_backup_with_a_wrong_clock_stays_in_the_view_follows_and_says_so(skew):
    world = product()
    world.run(5_000)
    put_wrong(world, "h03", skew)
    world.run(60_000)
    assert views(world) == {0}
    replicas = [node.replica for node in world.nodes.values()]
    assert max(r.height for r in replicas) - world.nodes["h03"].replica.height <= 2
    assert ledger_time(world) >= 60_000 - DRIFT
    assert world.nodes["h03"].replica.clock_off == pytest.approx(skew, abs=1_000)
    assert {r.clock_off for r in replicas[:3]} == {0}
    world.nodes["h03"].skew = 0
    world.run(70_000)
    assert world.nodes["h03"].replica.clock_off == 0
    # Its vote counts again: with another one gone, three are left.
    world.crash(world.nodes["h02"])
    world.run(80_000)
    assert ledger_time(world) >= 80_000 - DRIFT


def test_two_wrong_clocks_of_seven_are_survived_beside_each_other():
    world = product(members=7)
    put_wrong(world, "h00", HOUR)
    put_wrong(world, "h01", -HOUR)
    world.run(60_000)
    assert views(world) == {2}
    assert 60_000 - DRIFT <= ledger_time(world, "h02") <= 60_000 + DRIFT


def test_clock_that_jumps_forth_and_back_disturbs_nobody():
    world = product()
    for at in range(5_000, 60_000, 6_000):
        world.at(at, lambda: put_wrong(world, "h02", HOUR))
        world.at(at + 3_000, lambda: put_wrong(world, "h02", -2 * HOUR))
    world.run(60_000)
    assert views(world) == {0}
    assert ledger_time(world) >= 60_000 - DRIFT


def test_proposal_a_little_too_early_is_waited_for():
    world = product()
    put_wrong(world, "h00", DRIFT + 1_000)
    world.run(20_000)
    assert views(world) == {0}
    assert 20_000 <= ledger_time(world) <= 20_000 + DRIFT


def test_with_too_many_wrong_clocks_the_time_is_not_moved_wrongly_and_goes_on_when_they_are_put_right():
    world = product()
    world.run(5_000)
    put_wrong(world, "h00", HOUR)
    put_wrong(world, "h01", -HOUR)
    for until in range(10_000, 60_001, 10_000):
        world.run(until)
        assert ledger_time(world) <= until + DRIFT
    world.nodes["h00"].skew = world.nodes["h01"].skew = 0
    world.run(200_000)
    assert ledger_time(world) >= 200_000 - DRIFT


def test_all_clocks_set_back_let_the_ledger_go_on_at_the_time_that_it_has():
    world = product()
    world.run(10_000)
    for name in world.nodes:
        put_wrong(world, name, -HOUR)
    before, height = ledger_time(world), world.nodes["h00"].replica.height
    world.run(40_000)
    assert ledger_time(world) <= before + 100
    assert world.nodes["h00"].replica.height > height + 20
    assert views(world) == {0}


@pytest.mark.slow
def test_messages_that_take_longer_than_the_drift_allows_stop_nothing():
    chain = ChainParameters(clock_drift=1_000)
    world = running(chain=chain, timers=Parameters())
    world.network.delay = (1_500, 1_600)
    world.run(300_000)
    assert world.nodes["h02"].replica.height >= 10


def test_members_come_and_go_while_a_clock_is_wrong():
    world = World(3, 4)
    client = world.add_client("client", [Deposit("a", 1) for _ in range(60)])
    world.at(1, lambda: world.issue(client))
    put_wrong(world, "h02", -HOUR)
    world.at(100, lambda: join(world, "h04"))
    world.at(3_000, lambda: join(world, "h05"))
    world.at(6_000, lambda: order_members(world, [MemberUpdate("h05", None)]))
    finish(world)
    assert world.membership().epoch >= 2


def proposal(world, time, view=0, height=1):
    """What the leader of view 0 proposes at `time`, with nothing in it."""
    header = BlockHeader(world.genesis.chain, 0, height, time, bytes(32), 0)
    domain = Domain(world.genesis.chain, "pre-prepare", 0, view, height)
    return PrePrepare(view, header, (), "h00", world.nodes["h00"].signer.sign(domain, header.digest()))


def votes(effects):
    return [e.record for e in effects if isinstance(e, Append) and isinstance(e.record, Accepted)]


@pytest.mark.parametrize(
    ("ahead", "timely"), [(-DRIFT, True), (-DRIFT - 1, False), (0, True), (DRIFT, True), (DRIFT + 1, False)]
)
def test_backup_votes_for_times_within_the_bound_and_for_no_other(ahead, timely):
    world = World(1, 4)
    world.run(1_000)  # until it knows that its journal is complete
    clock = GENESIS_TIME + 10 * DRIFT
    effects = world.nodes["h01"].replica.step(Received("h00", proposal(world, clock + ahead)), world.now, clock)
    assert bool(votes(effects)) == timely


def test_proposal_ahead_is_voted_for_when_the_clock_has_come_and_not_looked_at_all_the_time():
    world = World(1, 4)
    world.run(1_000)
    replica, clock = world.nodes["h01"].replica, GENESIS_TIME + 10 * DRIFT
    assert not votes(replica.step(Received("h00", proposal(world, clock + DRIFT + 50)), world.now, clock))
    assert replica.next_deadline() <= world.now + 50
    # A clock that stands still a millisecond before it makes no busy replica.
    assert not votes(replica.step(Tick(), world.now + 40, clock + 49))
    assert replica.next_deadline() >= world.now + 50
    assert votes(replica.step(Tick(), world.now + 50, clock + 50))
