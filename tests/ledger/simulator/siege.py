"""From a seed to a siege: plotters and wrong clocks, up to f together, while votes get lost just where it hurts.

What `scenario` leaves to chance is brought about here: commits of a view reach few, so that a header is decided at one
replica and no more than prepared at another; a view change does not reach the next leader, so that the view after it
begins without what its sender had prepared. Views then follow each other with other certificates for the same height.
"""

import sys
from dataclasses import dataclass, field
from random import Random

import msgspec

from medward.ledger.bank import Deposit
from medward.ledger.membership import tolerated_faults
from medward.ledger.pbft.messages import BlockAnswer, Commit, Message, Prepare, StableProof, ViewChange
from tests.ledger.simulator.checker import Violation
from tests.ledger.simulator.linearizability import check_history
from tests.ledger.simulator.plotters import Plotter
from tests.ledger.simulator.scenario import FAULTS_UNTIL, PATIENCE, Outcome, _add_clients, _heal, _plan_members, _stuck
from tests.ledger.simulator.world import SIM_CHAIN, SIM_TIMERS, SimNode, World

HOUR = 3_600_000
CHAIN = msgspec.structs.replace(SIM_CHAIN, clock_drift=1_000)


@dataclass
class Cuts:
    """Messages of chosen kinds that reach chosen members only, other ones in each view.

    Args:
        names: the members.
        random: draws who is reached.
        pair: two members (X, Y) that what follows is arranged around, or None where it is all left to chance. In every
            other view X alone prepares, and its view change reaches nobody, so that the next view begins without what X
            had prepared; there all others prepare, Y alone decides, and Y's view change reaches nobody. The view after
            that has to choose between two headers that were prepared for the same height in different views.
    """

    names: list[str]
    random: Random
    pair: tuple[str, str] | None
    reached: dict[tuple[type, int], set[str]] = field(default_factory=dict)

    def __call__(self, source: str, target: str, message: Message) -> bool:
        if isinstance(message, Prepare | Commit):
            return target not in self._reached(type(message), message.view)
        if isinstance(message, ViewChange):
            return source not in self._reached(ViewChange, message.view)
        return isinstance(message, BlockAnswer | StableProof)

    def _reached(self, form: type, view: int) -> set[str]:
        """Who hears votes of this kind in a view; of view changes, whose are heard."""
        everybody = set(self.names)
        if self.pair is not None:
            one, other = {self.pair[0]}, {self.pair[1]}
            if form is ViewChange:
                return everybody - (one if view % 2 else other)
            if form is Prepare:
                return everybody - one if view % 2 else one
            return other if view % 2 else set()
        if (form, view) not in self.reached:
            size = len(everybody)
            least, most = {Prepare: (1, size), Commit: (0, 1), ViewChange: (size - tolerated_faults(size), size - 1)}[
                form
            ]
            self.reached[form, view] = set(self.random.sample(self.names, self.random.randint(least, most)))
        return self.reached[form, view]


def run_siege(seed: int, members: int | None = None, extra_liars: int = 0) -> Outcome:
    """Run one siege.

    Raises:
        Violation: with the seed in its text, to replay the same run bit for bit.
    """
    random = Random(f"siege {seed}")
    count = members or random.choice([4, 4, 4, 4, 7, 7])
    timers = msgspec.structs.replace(SIM_TIMERS, eager_in_flight=random.randint(1, 3), gather=0)
    world = World(seed, count, chain=CHAIN, timers=timers, codec=seed % 8 == 0)
    most = tolerated_faults(count)
    lying = most + extra_liars if extra_liars else random.randint(0, most)
    # The first members lead the first views.
    faulty = (
        [f"h{i:02d}" for i in range(lying)] if extra_liars else random.sample(sorted(world.nodes)[: 2 * most + 1], most)
    )
    liars, wrong = faulty[:lying], faulty[lying:]
    for name in liars:
        world.nodes[name].behaviour = Plotter()
    lasting = {name: random.random() < 0.5 for name in wrong}
    for name in wrong:
        _plan_clock(world, world.nodes[name], random)
    _add_clients(world, random)
    _plan_cuts(world, random)
    if random.random() < 0.3 and not extra_liars:
        _plan_members(world, random, faulty=most)
    what = f"siege {seed}, n={count}, plotters {liars}, wrong clocks {wrong}"
    try:
        world.run(FAULTS_UNTIL)
        _heal(world)
        for name, lasts in lasting.items():
            if not lasts:
                world.pace(world.nodes[name], 1.0)
                world.nodes[name].skew = 0
        if not world.run(FAULTS_UNTIL + PATIENCE, world.converged):
            raise Violation(f"liveness: {_stuck(world)}")
        _time_goes_on(world)
        voting = [n for n in world.correct() if world.is_member(n)]
        world.checker.all_acknowledged_survive((n.name, n.replica.height) for n in voting if n.replica is not None)
        check_history(world.history)
    except Violation as violation:
        raise Violation(f"{what}: {violation}") from violation
    height = max(world.checker.headers, default=0)
    evidence = sum(len(node.disk.evidence()) for node in world.correct())
    kinds = ("plotter",) * len(liars) + ("wrong clock",) * len(wrong)
    return Outcome(seed, count, kinds, height, world.steps, world.fingerprint(), evidence, world.membership().epoch)


def _plan_clock(world: World, node: SimNode, random: Random) -> None:
    """Have a clock run fast or slow, stand still, or jump by hours, until the faults end or for good."""
    node.right = False
    kind = random.choice(["ahead", "behind", "still", "slow", "fast", "jumps", "jumps"])
    since = random.choice([0, random.randint(0, FAULTS_UNTIL)])
    if kind in ("ahead", "behind"):
        world.at(since, lambda: setattr(node, "skew", HOUR if kind == "ahead" else -HOUR))
    elif kind != "jumps":
        rate = {"still": 0.0, "slow": random.uniform(0.2, 0.8), "fast": random.uniform(1.2, 3.0)}[kind]
        world.at(since, lambda: world.pace(node, rate))
    else:
        at = since
        while at < FAULTS_UNTIL:
            skew = random.choice([0, HOUR, -HOUR, 2 * HOUR, 3_000, -3_000, 1_100])
            world.at(at, lambda skew=skew: setattr(node, "skew", skew))
            at += random.randint(100, 1_500)


def _plan_cuts(world: World, random: Random) -> None:
    """Plan what gets lost: votes of a view, all that one member says to another, everything between two groups."""
    network, names = world.network, sorted(world.nodes)
    network.delay = (1, random.choice([5, 20, 80]))
    network.loss = random.choice([0.0, 0.0, 0.05])
    world.crash_chance = random.choice([0.0, 0.0, 0.002])
    if random.random() < 0.8:
        pair = tuple(random.sample(names, 2)) if random.random() < 0.6 else None
        cuts = Cuts(names, Random(random.random()), pair)
        first = random.randint(1, 500)
        world.at(first, lambda: setattr(network, "drops", cuts))
        world.at(random.randint(first + 1_000, FAULTS_UNTIL), lambda: setattr(network, "drops", None))
    for _ in range(random.choice([0, 1, 3])):
        pair, time = tuple(random.sample(names, 2)), random.randint(50, FAULTS_UNTIL - 500)
        world.at(time, lambda pair=pair: network.deaf.add(pair))
        world.at(time + random.randint(200, 1_500), lambda pair=pair: network.deaf.discard(pair))
    if random.random() < 0.3:
        time, cut = random.randint(50, FAULTS_UNTIL - 1000), random.randint(1, len(names) - 1)
        random.shuffle(names)
        groups = [set(names[:cut]), set(names[cut:])]
        world.at(time, lambda: setattr(network, "groups", groups))
        world.at(time + random.randint(100, 900), lambda: setattr(network, "groups", None))


def _time_goes_on(world: World) -> None:
    """While there are requests the ledger's time goes on with the right clocks, at most the bound behind them."""
    client = world.add_client("late", [])
    for _ in range(3):
        world.run(world.now + 3 * CHAIN.clock_drift)
        client.orders.append(Deposit("a", 1))
        now = world.now
        world.issue(client)
        if not world.run(now + PATIENCE, world.converged):
            raise Violation(f"liveness: {_stuck(world)}")
        right = [n for n in world.correct() if n.right and world.is_member(n)]
        behind = min(world.clock(n) - world.now + now for n in right) - max(n.replica.execution.time for n in right)
        changes = tolerated_faults(world.membership().size) + 1
        if behind > CHAIN.clock_drift + (2**changes - 1) * SIM_TIMERS.request_timeout:
            raise Violation(f"time: the ledger's is {behind} ms behind the right clocks although it decides blocks")


if __name__ == "__main__":
    print(run_siege(int(sys.argv[1])))
