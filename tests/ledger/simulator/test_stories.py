"""Single stories, told out: dead and slow leaders, members that come and go, lost disks, large gaps."""

import pytest

from medward.ledger.bank import Bank, ChangeMembers, Deposit
from medward.ledger.errors import InvalidCertificate
from medward.ledger.membership import ChainParameters
from medward.ledger.pbft.audit import audit_chain, verify_evidence
from medward.ledger.pbft.effects import Asked, Received, Reply, StoreEvidence
from medward.ledger.pbft.messages import Commit, Echo, Evidence, Prepare
from medward.ledger.signatures import Domain
from medward.ledger.types import MemberUpdate
from tests.ledger.simulator.behaviours import BEHAVIOURS
from tests.ledger.simulator.world import SIM_TIMERS, World


def load(world, count, clients=2):
    for index in range(clients):
        client = world.add_client(f"client-{index}", [Deposit(f"account-{index}", 1) for _ in range(count)])
        world.at(1, lambda client=client: world.issue(client))


def order_members(world, updates):
    governor = world.clients.get("governor") or world.add_client("governor", [], world.governor)
    governor.orders.append(ChangeMembers(tuple(updates)))
    world.issue(governor)


def finish(world, patience=60_000):
    assert world.run(world.now + patience, world.converged)
    world.checker.all_acknowledged_survive(
        (n.name, n.replica.height)
        for n in world.correct()
        if n.replica is not None and world.membership().member(n.name) is not None
    )


def views(world):
    return {node.replica.view[1] for node in world.correct() if node.replica is not None}


def test_view_change_under_a_dead_leader_takes_at_most_two_timeouts():
    for seed in range(20):
        world = World(seed, 4)
        world.crash(world.nodes["h00"])
        client = world.add_client("client", [Deposit("a", 1)])
        client.target = "h01"
        world.issue(client)
        assert world.run(20_000, world.all_answered)
        (operation,) = world.history
        assert operation.returned - operation.invoked <= 2 * SIM_TIMERS.request_timeout


def test_who_asks_after_it_was_applied_is_answered_from_the_receipts():
    world = World(2, 4)
    load(world, 3, clients=1)
    assert world.run(20_000, world.all_answered)
    finish(world)
    client = world.clients["client-0"].signer.public_keys[0].data
    for node in world.nodes.values():
        effects = node.replica.step(Asked(client, range(2, 6)), world.now, world.now)
        answered = [(effect.nonce, effect.receipt) for effect in effects if isinstance(effect, Reply)]
        # The third was the last; of those that are still to come nothing is said.
        assert answered == [(nonce, node.replica.execution.reply(client, nonce)) for nonce in (2, 3)]
        assert not [e for e in node.replica.step(Asked(bytes(32), range(1, 5)), world.now, 0) if isinstance(e, Reply)]


def test_a_slow_leader_leaves_the_stated_throughput():
    world = World(3, 4)
    world.nodes["h00"].behaviour = BEHAVIOURS["slow leader"]()
    clients, each = 6, 12
    load(world, each, clients)
    assert world.run(600_000, world.all_answered)
    finished = max(operation.returned for operation in world.history)
    # spec/ledger.md, "Why it is live": c waiting clients get c transactions per time-out and one view change.
    assert finished <= each * SIM_TIMERS.request_timeout + 2 * SIM_TIMERS.request_timeout


def test_a_leader_that_ignores_one_replica_is_found_out():
    world = World(5, 4)
    world.network.groups = [{"h00", "h01", "h02"}, {"h01", "h02", "h03"}]
    load(world, 3)
    finish(world)


@pytest.mark.parametrize("seed", range(6))
def test_a_replica_that_missed_some_blocks_catches_up_without_leaving_the_view(seed):
    world = World(seed, 4, chain=ChainParameters(checkpoint_interval=64, log_window=128))
    load(world, 4)
    world.run(400)
    world.crash(world.nodes["h01"])
    load(world, 6 + 2 * seed)
    assert world.run(world.now + 60_000, world.all_answered)
    assert views(world) == {0}
    world.restart(world.nodes["h01"])
    finish(world)
    load(world, 3)
    finish(world)
    assert views(world) == {0}


def test_a_replica_alone_in_a_later_view_still_gets_its_own_transactions_ordered(monkeypatch):
    world = World(1, 4)
    monkeypatch.setattr(world, "_retry", lambda *_: None)  # the client of a node knows that node alone
    client = world.add_client("client", [Deposit("a", 1) for _ in range(3)])
    client.target = "h01"
    world.run(1000)  # until it knows that its journal is complete
    world.network.groups = [{"h00", "h02", "h03"}, {"h01"}]
    world.issue(client)
    world.run(10_000)
    world.network.groups = None
    world.run(12_000)
    assert views(world) == {0, 1}
    assert world.nodes["h01"].replica.view[2]
    world._submit("h01", client.open[1][1])
    assert world.run(world.now + 20_000, world.all_answered)


def test_the_others_follow_a_replica_that_left_its_view_alone():
    """It may not come back to the view it left; after a while they come to it, and it votes again."""
    world = World(1, 4)
    client = world.add_client("client", [Deposit("a", 1) for _ in range(3)])
    client.target = "h01"
    world.run(1000)
    world.network.groups = [{"h00", "h02", "h03"}, {"h01"}]
    world.issue(client)
    world.run(6_000)
    world.network.groups = None
    world.run(7_000)
    assert views(world) == {0, 1}
    world.run(7_000 + 15 * SIM_TIMERS.request_timeout)
    assert views(world) == {1}
    assert not world.nodes["h01"].replica.view[2]
    # Its vote counts: with another one gone, the three left decide.
    world.crash(world.nodes["h03"])
    assert world.run(world.now + 30_000, world.all_answered)


def test_view_changes_while_nobody_waits_make_no_time_out_longer():
    world = World(1, 4)
    world.nodes["h03"].behaviour = BEHAVIOURS["restless"]()
    world.run(100 * SIM_TIMERS.request_timeout)
    assert min(views(world)) >= 5
    client = world.add_client("client", [Deposit("a", 1)])
    (view,) = views(world)
    leader = world.nodes["h00"].replica.membership.leader(view)
    if leader != "h03":
        world.nodes["h03"].behaviour = None
        world.crash(world.nodes[leader])
    client.target = "h03"
    world.issue(client)
    assert world.run(world.now + 60_000, world.all_answered)
    (operation,) = world.history
    assert operation.returned - operation.invoked <= 5 * SIM_TIMERS.request_timeout


@pytest.mark.slow
def test_members_come_and_go_while_load_runs():
    world = World(11, 4)
    load(world, 120, clients=3)
    for step, name in enumerate(["h04", "h05", "h06"]):
        world.at(100 + 1500 * step, lambda name=name: join(world, name))
    for step, name in enumerate(["h00", "h04", "h01"]):
        world.at(6000 + 1500 * step, lambda name=name: order_members(world, [MemberUpdate(name, None)]))
    sizes = []
    while world.now < 14_000:
        world.run(world.now + 100)
        size = world.membership().size
        if not sizes or sizes[-1] != size:
            sizes.append(size)
    assert sizes == [4, 5, 6, 7, 6, 5, 4]
    finish(world)
    assert world.membership().names == ("h02", "h03", "h05", "h06")


@pytest.mark.parametrize("away", [False, True])
def test_who_left_is_talked_to_until_it_knows_and_for_two_checkpoints_at_most(away):
    world = World(5, 5)
    load(world, 200, clients=3)
    leaver = world.identity("h04", 0)
    if away:
        world.crash(world.nodes["h04"])
    world.at(100, lambda: order_members(world, [MemberUpdate("h04", None)]))
    assert world.run(60_000, lambda: world.membership().size == 4)
    (watched, *_) = (n.replica for n in world.correct() if n.replica is not None and n.replica.membership.size == 4)
    assert not away or "h04" in {member.name for member in watched.recent_members}
    end = watched.membership.first_height + 2 * world.genesis.parameters.checkpoint_interval
    assert world.run(world.now + 60_000, lambda: "h04" not in {member.name for member in watched.recent_members})
    assert (watched.height >= end) == away
    assert watched.has_left(leaver)
    assert not any(watched.has_left(member) for member in watched.recent_members)


def test_who_executes_the_end_of_an_epoch_before_it_may_vote_signs_it_afterwards(monkeypatch):
    world = World(1, 4)
    load(world, 2)
    world.at(100, lambda: join(world, "h04"))

    def at_end():
        return [n for n in world.correct() if n.replica._state.epoch_end == n.replica.height > 0]

    while not at_end():
        world.run(world.now + 1)
    (first,) = at_end()
    late = [node for node in world.correct() if node is not first and node.name != "h04"]
    for node in late:
        world.crash(node)
    # They fetch the last block before the others have told them that their journals are whole.
    send = world.send
    monkeypatch.setattr(world, "send", lambda node, to, message: isinstance(message, Echo) or send(node, to, message))
    for node in late:
        world.restart(node)
    world.run(world.now + 3000)
    assert {node.replica.height for node in late} == {first.replica.height}
    assert not any(node.replica.confirmed for node in late)
    monkeypatch.undo()
    world.run(world.now + 3000)
    assert world.membership().size == 5
    load(world, 3)
    finish(world)


def join(world, name):
    world.add_node(name)
    order_members(world, [MemberUpdate(name, world.identity(name, 0))])


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_a_replica_with_an_emptied_disk_rejoins_as_a_new_incarnation(seed):
    world = World(seed, 4)
    load(world, 60)
    world.run(2500)
    world.reincarnate("h02")
    order_members(world, [MemberUpdate("h02", world.identity("h02", 1))])
    finish(world)
    node = world.nodes["h02"]
    assert node.replica.membership.member("h02").incarnation == 1
    assert node.replica.height == max(world.checker.headers)
    # It votes again: without it the other two and one more crash could not go on.
    world.crash(world.nodes["h01"])
    load(world, 3)
    world.run(world.now + 60_000, world.all_answered)
    assert world.all_answered()


def test_the_old_key_of_a_new_incarnation_counts_for_nothing():
    world = World(2, 4)
    load(world, 40)
    world.run(2000)
    old = world.nodes["h02"].signer
    world.reincarnate("h02")
    order_members(world, [MemberUpdate("h02", world.identity("h02", 1))])
    finish(world)
    world.run(world.now + 2000)
    target = world.nodes["h00"]
    epoch, view, _ = target.replica.view
    height = target.replica.height + 1
    for kind, form in (("prepare", Prepare), ("commit", Commit)):
        domain = Domain(world.genesis.chain, kind, epoch, view, height)
        vote = form(epoch, view, height, b"x" * 32, "h02", old.sign(domain, b"x" * 32))
        target.replica.step(Received("h02", vote), world.now, 0)
    slot = target.replica._state.slots.get(height)
    assert slot is None or "h02" not in {**slot.prepares, **slot.commits}


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_a_replica_far_behind_takes_a_snapshot_in_verified_chunks(seed):
    world = World(seed, 4)
    world.network.groups = [{"h00", "h01", "h02"}, {"h03"}]
    load(world, 100)
    world.run(8000)
    assert world.nodes["h00"].replica.stable.body.height > SIM_TIMERS.transfer_gap
    world.nodes["h01"].behaviour = BEHAVIOURS["lying server"]()
    world.network.groups = None
    finish(world)
    snapshot = world.nodes["h03"].disk.snapshot()
    assert snapshot is not None
    # It never had the first blocks: it took the state over instead of replaying them.
    assert world.nodes["h03"].disk.block(1) is None


def test_a_damaged_disk_is_refused_and_the_others_go_on():
    world = World(9, 4)
    load(world, 30)
    world.run(800)
    victim = world.nodes["h01"]
    world.crash(victim)
    victim.disk.corrupted = True
    world.restart(victim)
    assert victim.damaged
    assert victim.replica is None
    finish(world)


def test_equivocation_is_kept_as_evidence_once_and_proves_itself():
    world = World(1, 4)
    target, liar = world.nodes["h00"], world.nodes["h03"]
    kept = []
    for content in (b"x" * 32, b"y" * 32, b"z" * 32):
        domain = Domain(world.genesis.chain, "prepare", 0, 0, 1)
        vote = Prepare(0, 0, 1, content, "h03", liar.signer.sign(domain, content))
        effects = target.replica.step(Received("h03", vote), 1, 0)
        kept += [effect.evidence for effect in effects if isinstance(effect, StoreEvidence)]
    (evidence,) = kept
    verify_evidence(evidence, [world.genesis.membership], world.genesis.chain, world.verifier)
    forged = Evidence("h02", evidence.first, evidence.second)
    with pytest.raises(InvalidCertificate):
        verify_evidence(forged, [world.genesis.membership], world.genesis.chain, world.verifier)
    with pytest.raises(InvalidCertificate):
        verify_evidence(Evidence("h03", evidence.first, evidence.first), [world.genesis.membership],
                        world.genesis.chain, world.verifier)  # fmt: skip


def test_blocks_that_all_lose_in_one_power_failure_are_decided_again_from_the_votes():
    lost = 0
    for seed in range(10):
        world = World(seed, 4)
        load(world, 6)
        world.run(20_000, lambda world=world: len(world.checker.acknowledged) >= 5)
        for node in world.nodes.values():
            # Nothing that was not waited for survives (spec/ledger.md, J6).
            blocks = len(node.disk.units) - node.disk.synced
            lost += blocks
            node.disk.units = node.disk.units[: node.disk.synced]
            world.crash(node)
        for node in world.nodes.values():
            world.restart(node)
        finish(world)
    assert lost > 0


def test_a_slow_network_without_faults_changes_no_view():
    world = World(4, 7)
    world.network.delay = (20, 60)
    load(world, 30)
    finish(world)
    assert views(world) == {0}


def test_application_learns_the_epoch_that_ordered_a_block_the_same_from_votes_disk_and_replay(monkeypatch):
    """Threat T1: one change at a time rests on it, so replicas, restarts and audits must agree on it."""
    world = World(3, 4)
    seen = {}
    apply = Bank.apply

    def noting(bank, block):
        seen.setdefault(block.height, []).append(block.epoch)
        return apply(bank, block)

    monkeypatch.setattr(Bank, "apply", noting)
    load(world, 60, clients=3)
    world.at(100, lambda: join(world, "h04"))
    world.at(2500, lambda: join(world, "h05"))
    for when in range(150, 4000, 550):
        name = "h01" if when % 100 else "h02"
        world.at(when, lambda name=name: world.crash(world.nodes[name]))
        world.at(when + 100, lambda name=name: world.restart(world.nodes[name]))
    finish(world)
    node = next(node for node in world.correct() if node.name == "h00")
    memberships, handovers = node.replica._state.memberships, node.replica._state.handovers
    blocks = [node.disk.block(height).block for height in range(1, node.replica.height + 1)]
    bank = Bank(world.governor.public_keys[0].data)
    summary = audit_chain(world.genesis, bank, handovers, blocks, world.verifier)
    assert summary == node.replica.execution.summary
    assert all(len(set(epochs)) == 1 for epochs in seen.values())
    assert len(memberships) == 3
    for height, (epoch, *_) in seen.items():
        assert memberships[epoch].first_height <= height
        assert epoch + 1 == len(memberships) or height < memberships[epoch + 1].first_height
    assert len({epochs[0] for epochs in seen.values()}) == 3
    first = [len(epochs) for height, epochs in seen.items() if height < memberships[1].first_height]
    assert max(first) > 5, "no replica applied a block of its disk again"
