"""A desk at which any message is composed in any member's name, and one replica that hears it.

The replica under test is h02 of four: a backup in the views 0 and 1, which h00 and h01 lead. Everything is signed by
the key it should be signed by, but for what a test says.
"""

import msgspec

from medward.ledger.bank import Deposit
from medward.ledger.certificates import (
    BlockHeader,
    CertifiedBlock,
    CheckpointCertificate,
    CommitCertificate,
    Vote,
)
from medward.ledger.encoding import encode
from medward.ledger.execution import transactions_root
from medward.ledger.pbft.effects import (
    Append,
    Received,
    Send,
    StoreBlock,
)
from medward.ledger.pbft.messages import (
    BlockAnswer,
    CheckpointVote,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    ViewChange,
)
from medward.ledger.pbft.replica.view_change import Proofs, reproposed_headers
from medward.ledger.signatures import Domain
from medward.ledger.transactions import decode_transaction, encode_transaction, sign_transaction
from tests.ledger.simulator.world import GENESIS_TIME, World

NAMES = ("h00", "h01", "h02", "h03")
CLOCK = GENESIS_TIME + 5_000


class Desk:
    """Composes messages in any member's name, and hands them to the replica under test."""

    def __init__(self):
        self.world = World(1, 4)
        self.world.run(1_000)  # until all know that their journals are complete
        self.chain = self.world.genesis.chain
        self.replica = self.world.nodes["h02"].replica

    # What happens.

    def hear(self, peer, *messages):
        """Let the replica hear messages over the channel of `peer`; return what it wrote, and what it sent."""
        return [e for m in messages for e in self.replica.step(Received(peer, m), self.world.now, CLOCK)]

    # What is said.

    def sign(self, name, kind, view, height, content, epoch=0, chain=None):
        domain = Domain(chain or self.chain, kind, epoch, view, height)
        return self.world.nodes[name].signer.sign(domain, content)

    def header(self, height=1, transactions=(), time=CLOCK, chain=None, epoch=0):
        root = transactions_root(transactions)
        return BlockHeader(chain or self.chain, epoch, height, time, root, len(transactions))

    def propose(self, header, transactions=(), view=0, leader=None):
        leader = leader or NAMES[view % 4]
        signed = self.sign(leader, "pre-prepare", view, header.height, header.digest(), header.epoch, header.chain)
        return PrePrepare(view, header, tuple(transactions), leader, signed)

    def vote(self, form, name, header, view=0):
        kind = "prepare" if form is Prepare else "commit"
        signed = self.sign(name, kind, view, header.height, header.digest())
        return form(0, view, header.height, header.digest(), name, signed)

    def prepared(self, header, view=0, voters=("h02", "h03"), leader=None):
        leader = leader or NAMES[view % 4]
        content, height = header.digest(), header.height
        signed = self.sign(leader, "pre-prepare", view, height, content, header.epoch, header.chain)
        votes = [Vote(name, self.sign(name, "prepare", view, height, content, header.epoch)) for name in voters]
        return PreparedCertificate(view, header, signed, tuple(votes))

    def view_change(self, name, view=1, prepared=(), stable=None, epoch=0):
        unsigned = ViewChange(epoch, view, stable, tuple(prepared), name, ())
        signed = self.sign(name, "view-change", view, unsigned.stable_height, unsigned.content(), epoch)
        return msgspec.structs.replace(unsigned, signatures=signed)

    def new_view(self, view_changes, view=1, headers=None, leader=None, proposer=None):
        leader = leader or NAMES[view % 4]
        if headers is None:
            headers = reproposed_headers(self.chain, 0, view_changes)
        proposals = [
            Proposal(h, self.sign(proposer or leader, "pre-prepare", view, h.height, h.digest(), h.epoch, h.chain))
            for h in headers
        ]
        unsigned = NewView(0, view, tuple(view_changes), tuple(proposals), leader, ())
        return msgspec.structs.replace(unsigned, signatures=self.sign(leader, "new-view", view, 0, unsigned.content()))

    def certified(self, header, transactions=(), voters=("h00", "h01", "h03")):
        content = header.digest()
        votes = [Vote(name, self.sign(name, "commit", 0, header.height, content)) for name in voters]
        return CertifiedBlock(CommitCertificate(header, 0, tuple(votes)), tuple(transactions))

    def checkpoint(self, body, voters):
        votes = [Vote(name, self.sign(name, "checkpoint", 0, body.height, body.digest())) for name in voters]
        return CheckpointCertificate(body, tuple(votes))

    def order(self, client="client", nonce=1, amount=1):
        signer = self.world.secrets.signer(client)
        return encode_transaction(sign_transaction(self.chain, signer, nonce, encode(Deposit("a", amount))))

    def forged_order(self):
        good, other = (decode_transaction(self.order(amount=amount)) for amount in (1, 2))
        return encode_transaction(msgspec.structs.replace(other, signatures=good.signatures))

    def proofs(self):
        return Proofs([self.world.genesis.membership], self.chain, self.world.verifier, 16)


def records(effects, form):
    return [e.record for e in effects if isinstance(e, Append) and isinstance(e.record, form)]


def sent(effects, form):
    return [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, form)]


def other_kind(desk, vote):
    """The same vote with a signature of its own sender under something else."""
    return msgspec.structs.replace(vote, signatures=desk.sign(vote.sender, "transaction", 0, 0, bytes(32)))


def at_checkpoint(desk):
    """Execute up to the first checkpoint; return what the replica signed there."""
    for height in range(1, 5):
        effects = desk.hear("h03", BlockAnswer(desk.certified(desk.header(height))))
        assert any(isinstance(effect, StoreBlock) for effect in effects)
    return desk.replica._state.own_checkpoints[4].body


def checkpoint_vote(desk, name, body):
    return CheckpointVote(body, name, desk.sign(name, "checkpoint", 0, body.height, body.digest()))
