"""A federation that trains in rounds, as an audit sees it: sealed data, keys and rounds (rounds.py, sums.py)."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from medward.audit.demo import DemoTruth
from medward.audit.findings import AuditResult, Finding, Read
from medward.audit.history import History, PastRound
from medward.audit.kinds import AuditedFederation
from medward.audit.rounds import (
    audit_cohorts,
    audit_round,
    audit_sealing_keys,
    named_blobs,
    round_blobs,
    sums_of_auditor,
)
from medward.audit.sealed_data import audit_data, data_blobs
from medward.audit.stores import Stores
from medward.errors import MedwardError
from medward.federation.application import REFUSED, FederationApplication, encode_state
from medward.federation.errors import FederationError
from medward.federation.model.plan import TrainingPlan, plan_digest
from medward.federation.model.shared_model_format import MOST_BYTES, decode_model
from medward.federation.records import Record, decode_record
from medward.federation.rules import Agreement
from medward.ledger.execution import Executed
from medward.ledger.types import Transaction, TxResult
from medward.node.home.folder import Home
from medward.node.training.data import plan_candidates, read_settings
from medward.node.training.round_log import summary
from medward.node.training.rules import read_agreement
from medward.node.trial.final_model import final_model
from medward.node.trial.manifest import MODEL
from medward.node.trial.trial import SHARED_KEYS
from medward.store.limits import file_up_to


class AuditedTraining(AuditedFederation):
    """A federation that trains.

    Args:
        parameters: of its federation file.
        homes: that tell its plan.

    Raises:
        InvalidConfiguration: the parameters are none.

    Attributes:
        history: what became of it.
        plan: what was trained, None where no home tells.
    """

    unit, groups = "round", ("data", "keys", "rounds", "demo")

    def __init__(self, parameters: Mapping[str, str], homes: Iterable[Home]) -> None:
        super().__init__()
        agreement = read_agreement(parameters)
        self.history = History(agreement)
        self.plan = _plan(homes, agreement)
        self._application = FederationApplication(agreement)
        self._named: dict[str, str] = {}

    def new_application(self) -> FederationApplication:
        """Return the ledger's application as it begins."""
        self._application = FederationApplication(self.history.state.agreement)
        return self._application

    def decode(self, payload: bytes) -> Record | None:
        """Return the record that a payload holds, None where it holds none."""
        return decode_record(payload)

    def take(self, executed: Executed, transaction: Transaction, result: TxResult) -> None:
        """Take an ordered transaction and what became of it."""
        height, record = executed.block.height, decode_record(transaction.payload)
        if record is not None:
            author = self.history.state.author(transaction.client) or "a stranger"
            for name, what in named_blobs(record, author):
                self._named.setdefault(name, what)
        if record is None or result.code not in (0, REFUSED):
            self.note_unread(executed, result)
            return
        time, block = executed.block.time / 1000, self._application.snapshot().block
        self.history.take(record, transaction.client, time, block, height, executed.block.epoch)
        self.refused, self.taken = self.history.refused, self.history.taken

    def agrees(self) -> bool:
        """Return whether the records led here to the same state as in the replayed application."""
        return encode_state(self.history.state) == encode_state(self._application.federation)

    def outcomes(self) -> Mapping[int, tuple[str, str]]:
        """Return, of every round by its number, its task and how it ended."""
        return {n: (past.now.task, past.now.phase.value) for n, past in sorted(self.history.rounds.items())}

    def blobs(self, members: Collection[str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the blobs that records name, and those that rounds rest on; data sets are their owners' to keep."""
        needed: dict[str, str] = {self.history.state.agreement.model: "the first model"}
        for past in self.history.rounds.values():
            # A model is told as what a round led to, rather than as what the next one worked from.
            needed = round_blobs(past) | needed
        needed |= data_blobs(self.history.state.data, members)
        return {**self._named, **needed}, needed

    def truth(self, read: Read, found: AuditResult) -> DemoTruth:
        """Return what a demo of it must have written."""
        state = self.history.state
        facts: dict[str, object] = {"sites": len(state.agreement.members), "protect": state.agreement.protect}
        if self.plan is not None:
            schema = self.plan.space.schema
            facts |= {"rounds": self.plan.rounds, "seed": self.plan.seed}
            facts |= {"data": schema.dataset, "synthetic": schema.synthetic}
        work = {}
        for number, past in sorted(self.history.rounds.items()):
            if past.now.over:
                told = summary(past.now)
                work[number] = {key: told[key] for key in SHARED_KEYS} | {"model": told["model"] or ""}
        return DemoTruth("round", work, facts, self._last_model(read, found))

    def _last_model(self, read: Read, found: AuditResult) -> Mapping[str, bytes] | None:
        """Return the files of the model that follows from the ledger's last one; None where there is none."""
        state = self.history.state
        content = read(state.model, file_up_to(MOST_BYTES))
        if content is None or self.plan is None:
            return None  # which the groups `store` and `files` say
        try:
            shared = decode_model(self.plan, content)
            if shared.round < 1:
                return None
            agreed = state.agreement
            return final_model(shared, len(agreed.members), agreed.protect, state.model).files()
        except FederationError as error:
            what = f"{MODEL}: no model follows from the ledger's last shared model: {error}"
            found.problems.append(Finding(what))
            return None

    def check(
        self,
        numbers: Sequence[int],
        stores: Stores,
        groups: Mapping[str, AuditResult],
        said: Callable[[str], None],
    ) -> None:
        """Check sealed data, keys, cohorts and rounds."""
        audit_data(self.history.state, stores, groups["data"])
        said("the keys")
        audit_sealing_keys(self.history.rounds, groups["keys"])
        audit_cohorts(self.history.rounds, groups["rounds"])
        if self.plan is None:
            what = "no home's node.toml gives the plan that was agreed on, so no model can be computed anew"
            groups["files"].problems.append(Finding(what))
        said("the rounds")
        protect = self.history.state.agreement.protect
        check = partial(_audit_round, protect=protect, read=stores.read, plan=self.plan)
        chosen = [self.history.rounds[number] for number in numbers]
        with ThreadPoolExecutor(os.cpu_count() or 1) as workers:
            for past, one in zip(chosen, workers.map(check, chosen), strict=True):
                groups["rounds"].take(one)
                said(f"the rounds: {past.now.number} is checked")


def _audit_round(past: PastRound, protect: str, read: Read, plan: TrainingPlan | None) -> AuditResult:
    """Return what there is to find in one round; rounds share nothing, so that several can be audited at once."""
    found = AuditResult()
    audit_round(past, sums_of_auditor(protect), read, plan, found)
    return found


def _plan(homes: Iterable[Home], agreement: Agreement) -> TrainingPlan | None:
    """Rebuild the plan from the settings of any home and the schemas that this version knows; no rows are read."""
    for home in homes:
        try:
            settings = read_settings(home.configuration().participant)
        except MedwardError:
            continue
        for plan in plan_candidates(settings):
            if plan_digest(plan) == agreement.plan:
                return plan
    return None
