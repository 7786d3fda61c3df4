"""From a seed to a run of a federation on its ledger: who lies, who comes and goes, what breaks, what must hold.

    python -m tests.federation.simulator.scenario SEED

replays one seed.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from random import Random

import msgspec

from medward.federation.records import Change
from medward.federation.round.state import Phase
from tests.federation.simulator.checker import tolerated
from tests.federation.simulator.liars import LIES
from tests.federation.simulator.world import FederationWorld, Terms
from tests.ledger.simulator.behaviours import BEHAVIOURS, Behaviour
from tests.ledger.simulator.checker import Violation
from tests.ledger.simulator.world import SIM_CHAIN, SIM_TIMERS, Network

FAULTS_UNTIL = 6_000
PATIENCE = 200_000
#: Rounds that have to begin and end after the network healed.
ROUNDS_AFTER = 1
HOUR = 3_600_000
TIMERS = msgspec.structs.replace(SIM_TIMERS, status_interval=600, fetch_blocks=12, transfer_gap=16, eager_in_flight=1)
CHAIN = msgspec.structs.replace(SIM_CHAIN, checkpoint_interval=8, max_batch=32, chunk_bytes=4096)


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    seed: int
    members: int
    liars: tuple[str, ...]
    rounds: dict[str, int]
    changes: int
    audits: int
    shows: int
    epochs: int
    largest_state: int
    height: int
    steps: int
    fingerprint: str


@dataclass
class Cast:
    """Who is at fault in a run: liars by name, and how many honest nodes have a clock that is far off."""

    liars: dict[str, tuple[str, str]]
    clocks: dict[str, str]

    @property
    def faulty(self) -> int:
        return len(self.liars) + len(self.clocks)


def run_seed(seed: int, members: int | None = None, lie: str | None = None, extra_liars: int = 0) -> Outcome:
    """Run one scenario.

    Args:
        seed: of everything.
        members: how many found the federation.
        lie: how all liars lie; at random where this is None.
        extra_liars: how many more lie than f.

    Raises:
        Violation: with the seed in its text, to replay the same run bit for bit.
    """
    random = Random(f"federation {seed}")
    count = members or random.choice([4, 4, 4, 4, 4, 4, 5, 5, 6, 7, 7, 8])
    world = FederationWorld(seed, count, _terms(random, count), chain=CHAIN, timers=TIMERS, codec=seed % 16 == 0)
    cast = _cast(world, random, count, lie, extra_liars)
    _plan_faults(world, random)
    if not extra_liars:
        _plan_members(world, Random(f"federation members {seed}"), cast)
    world.at(1_000, world.resume_when_stopped)
    try:
        world.run(FAULTS_UNTIL)
        _heal(world)
        _run_on(world)
        world.federation.finish()
    except Violation as violation:
        kinds = {name: "/".join(kind) for name, kind in cast.liars.items()}
        raise Violation(f"seed {seed}, n={count}, liars {kinds}, clocks {cast.clocks}: {violation}") from violation
    return _outcome(world, seed, count, cast)


def _terms(random: Random, count: int) -> Terms:
    return Terms(
        deadline=random.choice([1.0, 2.0, 3.0]),
        protect=random.choice(["aggregate", "aggregate", "aggregate", "none"]),
        sample=random.choice([1.0, 0.8]) if count > 6 else 1.0,
        surveys=random.randint(1, 2),
        steps=random.randint(2, 5),
        most_wrong=random.choice([0, 0, 9]),
    )


def _cast(world: FederationWorld, random: Random, count: int, lie: str | None, extra: int) -> Cast:
    """Choose who lies, how its member and how its replica, and whose clock is far off."""
    most = tolerated(count)
    number = most + extra if extra or lie else random.randint(0, most)
    names = [f"h{place:02d}" for place in range(count)]
    cast = Cast({}, {})
    for name in sorted(random.sample(names, number)):
        kind = lie or random.choice(sorted(LIES))
        replica = "" if extra or random.random() < 0.6 else random.choice(sorted(BEHAVIOURS))
        world.nodes[name].behaviour = BEHAVIOURS[replica]() if replica else Behaviour()
        cast.liars[name] = (kind, replica)
    for name, (kind, _) in cast.liars.items():
        world.members[name].lie(LIES[kind]())
    # A clock that is far off, stands still or drifts makes its node one of the f.
    if number < most and not extra and random.random() < 0.3:
        name = random.choice([name for name in names if name not in cast.liars])
        cast.clocks[name] = random.choice(["an hour behind", "an hour ahead", "15 s behind", "still", "fast"])
        world.at(random.choice([0, random.randint(0, FAULTS_UNTIL)]), partial(_misset, world, name, cast.clocks[name]))
    return cast


def _misset(world: FederationWorld, name: str, how: str) -> None:
    node = world.nodes[name]
    if how in ("still", "fast"):
        world.pace(node, 0.0 if how == "still" else 1.5)
    else:
        node.skew += {"an hour behind": -HOUR, "an hour ahead": HOUR, "15 s behind": -15_000}[how]


def _plan_faults(world: FederationWorld, random: Random) -> None:
    """Plan what breaks: the network, and nodes that crash with half-written disks."""
    world.network.delay = (1, random.choice([5, 20, 60]))
    world.network.loss = random.choice([0.0, 0.0, 0.02, 0.1])
    world.network.duplication = random.choice([0.0, 0.0, 0.05])
    world.crash_chance = random.choice([0.0, 0.0, 0.001, 0.003])
    correct = sorted(node.name for node in world.correct())
    for _ in range(random.choice([0, 0, 1, 2, 4])):
        name, time = random.choice(correct), random.randint(100, FAULTS_UNTIL - 1_500)
        world.at(time, lambda name=name: world.crash(world.nodes[name]))
        world.at(time + random.randint(20, 1_400), lambda name=name: world.restart(world.nodes[name]))
    for _ in range(random.choice([0, 0, 1, 2])):
        time = random.randint(50, FAULTS_UNTIL - 3_000)
        names = sorted(world.nodes)
        random.shuffle(names)
        cut = random.randint(1, len(names) - 1)
        groups = [set(names[:cut]), set(names[cut:])]
        world.at(time, lambda groups=groups: setattr(world.network, "groups", groups))
        world.at(time + random.randint(100, 3_000), lambda: setattr(world.network, "groups", None))


def _plan_members(world: FederationWorld, random: Random, cast: Cast) -> None:
    """Have members come, leave, be put out and come back with new keys while everything else goes wrong.

    Never more than the federation can bear at any size that it passes through: who leaves or loses its disk is honest.
    """
    if random.random() < 0.5:
        return
    names = sorted(world.nodes)
    smallest, faulty, newcomers, time = len(names), cast.faulty, 0, random.randint(50, 800)
    for _ in range(random.randint(1, 3)):
        choice = random.random()
        honest = [name for name in names if name not in cast.liars and name not in cast.clocks]
        liars = [name for name in names if name in cast.liars]
        if choice < 0.4 and len(names) < 9:
            name, newcomers = f"n{newcomers:02d}", newcomers + 1
            names.append(name)
            world.at(time, partial(_come, world, name))
        elif choice < 0.6 and liars and tolerated(min(smallest, len(names) - 1)) >= faulty - 1:
            name = random.choice(liars)
            names.remove(name)
            world.at(time, partial(world.want, Change(name, None, None)))
        elif choice < 0.8 and tolerated(min(smallest, len(names) - 1)) >= faulty and len(names) > 4:
            name = random.choice(honest)
            names.remove(name)
            world.at(time, partial(_go, world, name, faulty))
        elif tolerated(smallest) > faulty:
            name = random.choice(honest)
            faulty += 1  # its old key is gone, and until its new one counts it is one of the f
            world.at(time, partial(_come_back, world, name))
        smallest = min(smallest, len(names))
        time += random.randint(300, 2_500)


def _go(world: FederationWorld, name: str, faulty: int) -> None:
    """An honest member goes, unless those that were to come before it are not here yet and too few would be left."""
    members = world.federation.latest.terms.members
    going = sum(change.account is None and change.name in members for change in world.wanted)
    if tolerated(len(members) - 1 - going) >= faulty:
        world.want(Change(name, None, None))


def _come(world: FederationWorld, name: str) -> None:
    world.add_node(name)
    world.want(world.newcomer(name))


def _come_back(world: FederationWorld, name: str) -> None:
    """A node has lost its disk, and comes back with new keys."""
    node = world.nodes.get(name)
    if node is not None and not node.damaged:
        world.reincarnate(name)
        world.want(world.newcomer(name, node.incarnation + 1))


def _heal(world: FederationWorld) -> None:
    world.network = Network()
    world.crash_chance = 0.0
    for node in list(world.nodes.values()):
        if node.replica is None and not node.damaged:
            world.restart(node)


def _run_on(world: FederationWorld) -> None:
    """Run until rounds have ended, wanted members have come or gone, and all members are at one."""
    healed = world.now
    while not _settled(world, healed):
        world.federation.overdue(healed)
        if world.now - healed > PATIENCE:
            raise Violation(f"liveness: {_stuck(world, healed)}")
        world.run(world.now + 500)


def _settled(world: FederationWorld, healed: int) -> bool:
    state = world.federation.latest
    ended = sum(
        began >= healed and number in world.federation.ended for number, began in world.federation.began.items()
    )
    if not (state.next is None or ended >= ROUNDS_AFTER):
        return False
    return not _missing(world) and _at_one(world)


def _missing(world: FederationWorld) -> list[str]:
    """Return what was wanted and has not come about."""
    state = world.federation.latest
    return [change.name for change in world.wanted if not world.has_come_about(change, state)]


def _at_one(world: FederationWorld) -> bool:
    """Whether all honest members have executed the same, and vote if the federation says so."""
    honest = world.honest()
    heights = {-1 if one.node.replica is None else one.height for one in honest}
    voting = {one.name: one.keys[0].data for one in world.membership().members}
    # Who has left follows, and may be the first to know a block.
    ahead = world.federation.height > max(heights)
    return len(heights) == 1 and not ahead and voting == dict(world.federation.latest.accounts)


def _stuck(world: FederationWorld, healed: int) -> str:
    stands = {
        one.name: None if one.node.replica is None else (one.height, *one.node.replica.view) for one in world.honest()
    }
    return (
        f"{world.now - healed} ms after healing, {_missing(world)} are wanted in vain, rounds ended "
        f"{len(world.federation.ended)}; (height, epoch, view, changing): {stands}"
    )


def _outcome(world: FederationWorld, seed: int, count: int, cast: Cast) -> Outcome:
    found = world.federation
    rounds = Counter(phase.value for phase, _ in found.ended.values())
    liars = [part for kind in cast.liars.values() for part in kind if part]
    liars += [f"clock {how}" for how in cast.clocks.values()]
    return Outcome(
        seed, count, tuple(sorted(liars)), {phase.value: rounds[phase.value] for phase in Phase if rounds[phase.value]},
        found.changes, found.audits, found.shows, world.membership().epoch, found.largest,
        max(world.checker.headers, default=0), world.steps, world.fingerprint(),
    )  # fmt: skip


if __name__ == "__main__":
    print(run_seed(int(sys.argv[1])))
