"""The replica: `step(event) -> effects`, a pure object without sockets, clocks, files or randomness.

Every handler notes what came; then the rules run until nothing more follows. What a step wants done is returned as
effects (`effects.py`), to be carried out by a shell: the runtime with real disks and sockets, or the simulator.
See spec/ledger.md.
"""

from collections import deque
from collections.abc import Sequence

from medward.ledger.certificates import CertifiedAnswer, CheckpointCertificate, Handover
from medward.ledger.execution import Execution
from medward.ledger.membership import Genesis, Membership
from medward.ledger.pbft.effects import Asked, Damaged, Received, Recovered, ReplicaEffect, ReplicaEvent, Submitted
from medward.ledger.pbft.messages import (
    BatchAnswer,
    BlockAnswer,
    CheckpointVote,
    ChunkAnswer,
    Commit,
    Echo,
    FetchBatch,
    FetchBlocks,
    FetchChunk,
    FetchManifest,
    Manifest,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Request,
    StableProof,
    Status,
    ViewChange,
)
from medward.ledger.pbft.parameters import Parameters
from medward.ledger.pbft.replica import (
    catch_up,
    checkpoints,
    confirmation,
    ordering,
    repair,
    requests,
    transfer,
    view_change,
)
from medward.ledger.pbft.replica.recovery import recover
from medward.ledger.pbft.replica.state import ReplicaState
from medward.ledger.signatures import Signer, Verifier
from medward.ledger.types import Application, Member

_VIEW_MESSAGES = (PrePrepare, Prepare, Commit)
#: How many checkpoints who left has to learn that it did (M4).
_FAREWELL_CHECKPOINTS = 2


class Replica:
    """One member's part in PBFT, or an observer's.

    Args:
        name: the member's name.
        genesis: what all agreed on at the start.
        signer: this incarnation's keys.
        verifier: checks signatures.
        application: in its genesis state; the replica owns it from now on.
        parameters: timers and limits.
        found: what was on disk, already checked for damage.
        confirm: whether to ask others for this replica's own votes before voting; only a test of what happens without
            sets it to False.

    Raises:
        JournalCorrupt: what was on disk contradicts its certificates.
    """

    def __init__(
        self,
        name: str,
        genesis: Genesis,
        signer: Signer,
        verifier: Verifier,
        application: Application,
        *,
        parameters: Parameters,
        found: Recovered | None = None,
        confirm: bool = True,
    ) -> None:
        genesis.parameters.validate()
        execution = Execution(application, genesis.time)
        self._state = ReplicaState(
            name, genesis, genesis.chain, signer, verifier, parameters, execution, [genesis.membership]
        )
        self._state.last_time = genesis.time
        self._state.confirmed = not confirm or genesis.membership.quorum == 1
        recover(self._state, found or Recovered())
        # What recovery drew from the disk is there already; nothing of it is written or sent again.
        self._state.effects.clear()
        self._delivered: tuple[int, ...] = ()

    def step(self, event: ReplicaEvent, now: int, clock: int) -> list[ReplicaEffect]:
        """Handle one event and return what is to be done, writes to be made durable before anything is sent.

        Args:
            event: what happened.
            now: monotonic time in milliseconds, for timers.
            clock: this node's wall clock in milliseconds since 1970, for block times.
        """
        state = self._state
        state.now, state.clock = max(now, state.now), clock
        if state.halted is None:
            if isinstance(event, Received):
                self._receive(event.peer, event.message)
            elif isinstance(event, Submitted):
                requests.on_submitted(state, event)
            elif isinstance(event, Asked):
                requests.on_asked(state, event)
            elif isinstance(event, Damaged):
                repair.on_damaged(state, event.height)
            else:
                self._tick()
            self._advance()
        effects, state.effects = state.effects, []
        return effects

    @property
    def height(self) -> int:
        """The last executed height."""
        return self._state.executed

    @property
    def oldest_block(self) -> int:
        """The first height whose block is stored here, and all after it; 0 where none is."""
        return self._state.oldest_block

    @property
    def stable(self) -> CheckpointCertificate | None:
        """The last stable checkpoint, None before the first."""
        return self._state.stable

    @property
    def view(self) -> tuple[int, int, bool]:
        """The present epoch and view, and whether the replica is on its way to it."""
        return self._state.epoch, self._state.view, self._state.changing

    @property
    def membership(self) -> Membership:
        """The members that vote in the present epoch."""
        return self._state.membership

    @property
    def memberships(self) -> Sequence[Membership]:
        """The members of every epoch so far, the present one last."""
        return tuple(self._state.memberships)

    @property
    def recent_members(self) -> tuple[Member, ...]:
        """Everybody worth talking to: the members, those that are about to come, and who left and may not know (M4)."""
        state = self._state
        known = {m.name: m for m in self._told_to_go()}
        known.update({m.name: m for m in state.membership.members})
        known.update({u.member.name: u.member for u in state.updates if u.member is not None})
        return tuple(known.values())

    def has_left(self, member: Member) -> bool:
        """Whether a member of an earlier epoch is none any more, with the keys that it had then."""
        past, present = self._state.memberships[:-1], self._state.membership.members
        return any(member.keys == known.keys for membership in past for known in membership.members) and not any(
            member.keys == known.keys for known in present
        )

    def _told_to_go(self) -> list[Member]:
        """Those of the epoch before who have not said that they know of its end, for two checkpoints at most."""
        state = self._state
        if len(state.memberships) < 2:
            return []
        last = state.membership.first_height + _FAREWELL_CHECKPOINTS * state.genesis.parameters.checkpoint_interval
        if state.executed >= last:
            return []
        known = {name for name, status in state.peers.items() if status.epoch >= state.epoch}
        return [member for member in state.memberships[-2].members if member.name not in known]

    @property
    def handovers(self) -> Sequence[Handover]:
        """How each epoch was proved by the one before."""
        return tuple(self._state.handovers)

    @property
    def confirmed(self) -> bool:
        """Whether enough members have said that this disk has forgotten no vote (J5); before that it does not vote."""
        return self._state.confirmed

    @property
    def halted(self) -> str | None:
        """Why the replica stopped voting for good, None where it did not."""
        return self._state.halted

    @property
    def clock_off(self) -> int:
        """By how many milliseconds this replica's clock is ahead of the others', as far as the last block tells;
        negative where it is behind, 0 within the bound (N2).
        """
        return self._state.clock_off

    @property
    def execution(self) -> Execution:
        """The replicated state, to be read only."""
        return self._state.execution

    def query(self, path: str) -> CertifiedAnswer | None:
        """Return the value at `path` at the last stable checkpoint with its proof, None before the first one."""
        state = self._state
        if state.stable is None or state.stable_snapshot is None:
            return None
        value, key, proof = state.stable_snapshot.application.prove(path)
        return CertifiedAnswer(key, value, proof, state.stable)

    def next_deadline(self) -> int:
        """Return when `Tick` is due, in the milliseconds of `now`; call again after every step."""
        state = self._state
        deadlines = [state.next_status]
        since = requests.oldest_wait(state)
        if since is not None and state.voting and not state.changing:
            half = since + state.timeout() // 2
            deadlines.append(half if half > state.now else since + state.timeout())
        if state.new_view_deadline is not None:
            deadlines.append(state.new_view_deadline)
        company = view_change.company_deadline(state)
        if company is not None and state.voting and not state.changing:
            deadlines.append(company)
        early = ordering.early_deadline(state)
        if early is not None and state.voting:
            deadlines.append(early)
        gathered = ordering.gather_deadline(state)
        if gathered is not None and state.accepted - state.executed < state.parameters.eager_in_flight:
            deadlines.append(gathered)
        return max(min(deadlines), state.now + 1)

    def _tick(self) -> None:
        state = self._state
        catch_up.tick(state)
        if not state.voting:
            return
        if state.changing:
            if state.new_view_deadline is not None and state.now >= state.new_view_deadline:
                state.attempts += 1
                view_change.leave_view(state, state.view + 1)
            return
        view_change.keep_company(state)
        if state.changing:
            return
        requests.spread_overdue(state)
        since = requests.oldest_wait(state)
        if since is not None and state.now - since >= state.timeout():
            view_change.leave_view(state, state.view + 1)

    def _advance(self) -> None:
        """Run the rules until nothing more follows: each may enable another."""
        state = self._state
        before = None
        while before != (now := self._measure()) and state.halted is None:
            before = now
            view_change.advance_view_change(state)
            view_change.advance_reproposed(state)
            self._deliver_future()
            if not ordering.advance_proposals(state):
                view_change.leave_view(state, state.view + 1)
            ordering.propose(state)
            ordering.advance_votes(state)
            ordering.advance_execution(state)
            checkpoints.sign_checkpoints(state)
            checkpoints.advance_stable(state)
            catch_up.after_progress(state)

    def _measure(self) -> tuple[int, ...]:
        """Return numbers that change whenever a rule did something."""
        state = self._state
        return (state.epoch, state.view, int(state.changing), state.executed, state.low, state.accepted,
                len(state.effects), len(state.decided))  # fmt: skip

    def _receive(self, peer: str, message: Message) -> None:
        state = self._state
        if isinstance(message, _VIEW_MESSAGES):
            self._receive_vote(peer, message)
        elif isinstance(message, ViewChange | NewView | CheckpointVote):
            if message.sender != peer and not isinstance(message, NewView):
                return
            if isinstance(message, ViewChange):
                view_change.on_view_change(state, message)
            elif isinstance(message, NewView):
                view_change.on_new_view(state, message)
            else:
                checkpoints.on_checkpoint_vote(state, message)
        else:
            self._receive_other(peer, message)

    def _receive_vote(self, peer: str, message: PrePrepare | Prepare | Commit) -> None:
        state = self._state
        if message.sender != peer:
            return
        epoch = message.header.epoch if isinstance(message, PrePrepare) else message.epoch
        height = message.header.height if isinstance(message, PrePrepare) else message.height
        if epoch < state.epoch or (epoch == state.epoch and (height <= state.low or message.view < state.view)):
            return
        early = epoch > state.epoch or message.view > state.view or state.changing
        if early or height > state.high:
            self._keep_for_later(peer, message)
        elif isinstance(message, PrePrepare):
            ordering.on_pre_prepare(state, message)
        elif isinstance(message, Prepare):
            ordering.on_prepare(state, message)
        else:
            ordering.on_commit(state, message)

    def _keep_for_later(self, peer: str, message: PrePrepare | Prepare | Commit) -> None:
        """Keep a message for a short while; what is lost here is sent again when this replica says where it stands."""
        state = self._state
        waiting = state.future.setdefault(peer, deque(maxlen=state.parameters.future_per_peer))
        if isinstance(message, PrePrepare):
            # Proposals are long, and a correct leader has no more under way.
            proposals = sum(isinstance(kept, PrePrepare) for kept in waiting)
            if proposals >= state.genesis.parameters.in_flight:
                return
        waiting.append(message)

    def _deliver_future(self) -> None:
        state = self._state
        reach = (state.epoch, state.view, int(state.changing), state.high)
        if state.changing or not state.future or reach == self._delivered:
            return
        self._delivered = reach
        waiting, state.future = state.future, {}
        for peer, messages in waiting.items():
            for message in messages:
                self._receive_vote(peer, message)  # type: ignore[arg-type]

    def _receive_other(self, peer: str, message: Message) -> None:
        state = self._state
        match message:
            case Request():
                requests.on_request(state, message.transactions)
            case Status():
                catch_up.on_status(state, peer, message)
            case StableProof():
                catch_up.on_stable_proof(state, message)
            case Echo():
                confirmation.on_echo(state, peer, message)
            case FetchBatch():
                catch_up.on_fetch_batch(state, peer, message)
            case BatchAnswer():
                catch_up.on_batch(state, message)
            case FetchBlocks():
                catch_up.on_fetch_blocks(state, peer, message)
            case BlockAnswer():
                catch_up.on_block(state, message)
            case _:
                self._receive_transfer(peer, message)

    def _receive_transfer(self, peer: str, message: Message) -> None:
        match message:
            case FetchManifest():
                transfer.on_fetch_manifest(self._state, peer, message)
            case Manifest():
                transfer.on_manifest(self._state, peer, message)
            case FetchChunk():
                transfer.on_fetch_chunk(self._state, peer, message)
            case ChunkAnswer():
                transfer.on_chunk(self._state, message)
