"""An update goes the way that spec/round.md lists, at four members that train."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.federation.application import FederationApplication, FederationSnapshot
from medward.flows.datasets import DATASETS
from medward.ledger.execution import Execution
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import sign_transaction
from medward.ledger.types import Block, Member, Receipt
from medward.node.interfaces import Host, Ledger, LedgerEvent
from medward.node.ledger.feed import Feed, Observed
from medward.node.training.data import ParticipantSettings, plan_for
from medward.node.training.participant import TrainingParticipant
from medward.node.training.rules import agreement_parameters, read_agreement
from medward.store.local import in_memory
from tests.paths import UPDATE, calls, follow

NAMES = ("h0", "h1", "h2", "h3")
SIGNERS = {name: MemberSigner(Ed25519PrivateKey.generate()) for name in NAMES}
MEMBERS = tuple(Member(name, 0, SIGNERS[name].public_keys, b"", "127.0.0.1:1") for name in NAMES)
CHAIN = bytes(32)


class OwnView(Ledger):
    """A member's view of a ledger that orders at once, for all, what anybody hands in."""

    def __init__(self, name: str, application: FederationApplication, views: list["OwnView"]) -> None:
        self._name, self._views, self._nonce, self._feed = name, views, 0, Feed()
        self.execution = Execution(Observed(application, self._feed), 0)
        self.state = application.snapshot
        views.append(self)

    def events(self) -> AsyncIterator[LedgerEvent]:
        return self._feed.events()

    async def submit(self, payload: bytes) -> Receipt:
        self._nonce += 1
        transaction = sign_transaction(CHAIN, SIGNERS[self._name], self._nonce, payload)
        at = max(int(time.time() * 1000), self.execution.time)
        results = [view.execution.execute(at, [transaction]).results for view in self._views]
        return Receipt(self.execution.height, results[0][0])

    async def certify(self, block: Block | None) -> None:
        """All views are one."""

    def query(self, path: str) -> bytes | None:
        return self._feed.query(path)

    @property
    def members(self) -> Sequence[Member]:
        return MEMBERS


@pytest.mark.slow
def test_update_goes_the_way_that_the_page_says(tmp_path: Path) -> None:
    table = {"data": "ward", "rows": 1200, "rounds": 1, "sites": 4, "trial": True}
    settings = [ParticipantSettings(**table, site=site) for site in range(4)]  # type: ignore[arg-type]
    plan = plan_for(DATASETS["ward"], settings[0])
    agreement = read_agreement(agreement_parameters(plan, MEMBERS, name="path", deadline=60.0))
    store, views = in_memory(), list[OwnView]()

    async def train() -> FederationSnapshot:
        taking_part = []
        for site, name in enumerate(NAMES):
            view = OwnView(name, FederationApplication(agreement), views)
            own = {**table, "site": site}
            folder = tmp_path / name
            host = Host(name, MEMBERS[site], CHAIN, folder, folder / "data", own, store, view, asyncio.Event())
            taking_part.append(asyncio.create_task(TrainingParticipant(host).run()))
        try:
            async with asyncio.timeout(240):
                while (state := views[0].state()).federation.next is not None:
                    assert not any(task.done() for task in taking_part), taking_part
                    await asyncio.sleep(0.05)
        finally:
            for task in taking_part:
                task.cancel()
            await asyncio.gather(*taking_part, return_exceptions=True)
        return state

    with calls(UPDATE) as seen:
        state = asyncio.run(train())
    assert state.federation.model
    follow(UPDATE, seen)
