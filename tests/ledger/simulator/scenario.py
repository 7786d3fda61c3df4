"""From a seed to a run: how many replicas, who lies and how, what breaks and when, and what must hold in the end."""

import sys
from dataclasses import dataclass
from random import Random

import msgspec

from medward.ledger.bank import Balance, BankOrder, Deposit, Transfer
from medward.ledger.membership import tolerated_faults
from medward.ledger.types import MemberUpdate
from tests.ledger.simulator.behaviours import BEHAVIOURS
from tests.ledger.simulator.checker import Violation
from tests.ledger.simulator.linearizability import check_history
from tests.ledger.simulator.world import SIM_TIMERS, Network, World

FAULTS_UNTIL = 4_000
PATIENCE = 90_000


@dataclass(frozen=True)
class Outcome:
    seed: int
    members: int
    liars: tuple[str, ...]
    height: int
    steps: int
    fingerprint: str
    evidence: int
    epochs: int


def run_seed(seed: int, members: int | None = None, liar: str | None = None, extra_liars: int = 0) -> Outcome:
    """Run one scenario.

    Raises:
        Violation: with the seed in its text, to replay the same run bit for bit.
    """
    random = Random(f"scenario {seed}")
    count = members or random.choice([4, 4, 4, 4, 4, 4, 5, 7, 7, 10])
    pace = Random(f"pace {seed}")
    timers = msgspec.structs.replace(SIM_TIMERS, eager_in_flight=pace.randint(1, 4), gather=pace.choice([0, 50]))
    world = World(seed, count, timers=timers, codec=seed % 8 == 0)
    kinds = _choose_liars(random, count, liar, extra_liars)
    for name, kind in kinds.items():
        world.nodes[name].behaviour = BEHAVIOURS[kind]()
    _add_clients(world, random)
    disks = _plan_faults(world, random)
    if not extra_liars:
        _plan_members(world, Random(f"members {seed}"), faulty=len(kinds) + disks)
    try:
        world.run(FAULTS_UNTIL)
        _heal(world)
        if not world.run(FAULTS_UNTIL + PATIENCE, world.converged):
            raise Violation(f"liveness: {_stuck(world)}")
        voting = [n for n in world.correct() if world.is_member(n)]
        world.checker.all_acknowledged_survive((n.name, n.replica.height) for n in voting if n.replica is not None)
        check_history(world.history)
    except Violation as violation:
        raise Violation(f"seed {seed}, n={count}, liars {kinds}: {violation}") from violation
    height = max(world.checker.headers, default=0)
    evidence = sum(len(node.disk.evidence()) for node in world.correct())
    liars = tuple(sorted(kinds.values()))
    return Outcome(seed, count, liars, height, world.steps, world.fingerprint(), evidence, world.membership().epoch)


def _choose_liars(random: Random, count: int, liar: str | None, extra: int) -> dict[str, str]:
    most = tolerated_faults(count)
    number = most + extra if extra or liar else random.randint(0, most)
    # The first members lead the first views, so that liars get to lead.
    names = [f"h{i:02d}" for i in range(count)]
    chosen = names[:number] if extra else sorted(random.sample(names[: 2 * most + 1], number))
    kinds = sorted(BEHAVIOURS)
    return {name: liar or random.choice(kinds) for name in chosen}


def _add_clients(world: World, random: Random) -> None:
    accounts = ["a", "b", "c"]
    for index in range(random.randint(2, 4)):
        orders: list[BankOrder] = []
        for _ in range(random.randint(5, 14)):
            account = random.choice(accounts)
            choice = random.random()
            if choice < 0.5:
                orders.append(Deposit(account, random.randint(1, 9)))
            elif choice < 0.75:
                orders.append(Transfer(account, random.choice(accounts), random.randint(1, 9)))
            else:
                orders.append(Balance(account))
        client = world.add_client(f"client-{index}", orders)
        for _ in range(random.randint(1, 3)):
            world.at(random.randint(0, 300), lambda client=client: world.issue(client))


def _plan_faults(world: World, random: Random) -> int:
    """Plan what breaks; return how many disks are lost for good."""
    world.network.delay = (1, random.choice([5, 20, 80]))
    world.network.loss = random.choice([0.0, 0.0, 0.02, 0.1])
    world.network.duplication = random.choice([0.0, 0.05])
    world.crash_chance = random.choice([0.0, 0.0, 0.001, 0.004])
    correct = sorted(node.name for node in world.correct())
    for _ in range(random.choice([0, 0, 1, 2, 4])):
        name, time = random.choice(correct), random.randint(100, FAULTS_UNTIL - 1500)
        world.at(time, lambda name=name: world.crash(world.nodes[name]))
        world.at(time + random.randint(20, 1400), lambda name=name: world.restart(world.nodes[name]))
    for _ in range(random.choice([0, 0, 1, 2])):
        time = random.randint(50, FAULTS_UNTIL - 1000)
        names = sorted(world.nodes)
        random.shuffle(names)
        cut = random.randint(1, len(names) - 1)
        groups = [set(names[:cut]), set(names[cut:])]
        world.at(time, lambda groups=groups: setattr(world.network, "groups", groups))
        world.at(time + random.randint(100, 900), lambda: setattr(world.network, "groups", None))
    lies = sum(1 for node in world.nodes.values() if node.behaviour is not None)
    if lies < tolerated_faults(len(world.nodes)) and random.random() < 0.15:
        # A corrupted disk is one of the f faults: the node must notice and refuse to vote with it.
        victim, time = world.nodes[random.choice(correct)], random.randint(500, FAULTS_UNTIL - 800)

        def corrupt() -> None:
            world.crash(victim)
            victim.disk.corrupted = True
            world.restart(victim)

        world.at(time, corrupt)
        return 1
    return 0


def _plan_members(world: World, random: Random, faulty: int) -> None:
    """Have members join, leave and come back with an emptied disk while everything else goes wrong.

    Never more than the federation can bear at any size that it passes through: who leaves or is emptied is correct.
    """
    if random.random() < 0.6:
        return
    liars = {name for name, node in world.nodes.items() if node.behaviour is not None}
    names, newcomers = sorted(world.nodes), 0
    # Changes that were ordered may take effect at any time from then on, so every size from the first on counts.
    smallest = len(names)
    time = random.randint(50, 400)
    for _ in range(random.randint(1, 4)):
        choice, honest = random.random(), [name for name in names if name not in liars]
        if choice < 0.5 and len(names) < 10:
            name, newcomers = f"n{newcomers:02d}", newcomers + 1
            names.append(name)
            world.at(time, lambda name=name: _join(world, name))
        elif choice < 0.8 and tolerated_faults(min(smallest, len(names) - 1)) >= faulty:
            name = random.choice(honest)
            names.remove(name)
            smallest = min(smallest, len(names))
            world.at(time, lambda name=name: world.order_members(MemberUpdate(name, None)))
        elif tolerated_faults(smallest) > faulty:
            name = random.choice(honest)
            faulty += 1  # its old key is gone, and until its new one counts it is one of the f
            world.at(time, lambda name=name: _empty(world, name))
        time += random.randint(200, 1500)


def _join(world: World, name: str) -> None:
    world.add_node(name)
    world.order_members(MemberUpdate(name, world.identity(name, 0)))


def _empty(world: World, name: str) -> None:
    # The order of a newcomer that never was, or of one that has left, makes no member; nobody empties such a disk.
    node = world.nodes.get(name)
    if node is None or node.damaged:
        return
    world.reincarnate(name)
    world.order_members(MemberUpdate(name, world.identity(name, node.incarnation + 1)))


def _heal(world: World) -> None:
    world.network = Network()
    world.crash_chance = 0.0
    for node in world.nodes.values():
        if node.replica is None and not node.damaged:
            world.restart(node)


def _stuck(world: World) -> str:
    stands = {
        node.name: None if node.replica is None else (node.replica.height, *node.replica.view)
        for node in world.correct()
    }
    unanswered = sum(len(client.open) + len(client.orders) for client in world.clients.values())
    return f"{unanswered} requests unanswered {PATIENCE} ms after healing; (height, epoch, view, changing): {stands}"


if __name__ == "__main__":
    print(run_seed(int(sys.argv[1])))
