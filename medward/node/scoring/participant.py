"""A member of a federation that scores: it asks, offers, computes and opens as the ledger orders.

The rules are pure (medward/federation/scoring); here are the store, the ledger, the key and the order of steps. All
that is done is in the ledger's state, so a member that comes back does what is still to be done. A part that was opened
is on disk before it is sent, and is sent again as it is.
"""

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from medward.agents.sentinel.model import load_model
from medward.agents.sentinel.polynomial import complex_inputs, polynomial_network
from medward.federation.computing.preparation import MOST_BYTES, write_preparation
from medward.federation.scoring import answers
from medward.federation.scoring.answers import (
    check_result,
    names_of,
    read_parts,
    work_of,
    write_parts,
)
from medward.federation.scoring.application import scoring_state
from medward.federation.scoring.circuit import (
    flow_ciphertexts,
    model_ciphertexts,
    scored_batch,
    scored_network,
    scores_of,
    terms_of,
)
from medward.federation.scoring.preparation import read_preparation
from medward.federation.scoring.records import (
    BatchAsked,
    BatchDeclined,
    ModelOffered,
    PartOpened,
    ResultComputed,
    ScoringState,
)
from medward.federation.scoring.terms import BadTerms, ScoringTerms
from medward.fhe.computing.ciphertexts import Ciphertext
from medward.fhe.computing.keys import EvaluationKey, SecretKey
from medward.fhe.computing.opening import OpenedPart, combine, open_part
from medward.fhe.errors import BudgetSpent
from medward.ledger.encoding import Structure
from medward.ledger.types import Snapshot
from medward.node.computing.key import keep_opened
from medward.node.computing.orders import NO_ARRAYS
from medward.node.computing.participant import ComputingParticipant
from medward.node.errors import NodeError
from medward.node.interfaces import Host
from medward.node.scoring.blobs import ScoringBlobs
from medward.node.scoring.key_folder import KeyFolder
from medward.whole_file import write_whole

_NPY_HEADER = 256


class ScoringParticipant(ComputingParticipant[ScoringState]):
    """A member of a federation that scores.

    Args:
        host: what the node gives it.
    """

    _unit, _last_step = "batch", "receive"

    def __init__(self, host: Host) -> None:
        self._folder = KeyFolder(host.folder)
        self.blobs = ScoringBlobs(host.store, self._folder.folder)
        super().__init__(host, self._folder.folder, self._folder.key, self.blobs)

    def _state_at(self, snapshot: Snapshot) -> ScoringState:
        return scoring_state(snapshot)

    async def _work_on(self, state: ScoringState) -> None:
        """Do what is to be done now, one thing after the other; what fails for want of a blob is tried again."""
        self._problem = ""
        await self._let_go(state)
        for folder in self._folder.waiting_offers():
            if await self._tried(self._offer(state, folder), folder):
                self._folder.done(folder)
        for file in self._folder.waiting_flows():
            if await self._tried(self._ask(state, file), file):
                self._folder.done(file)
        for number, offer in state.offers.items():
            if offer.vendor != self._host.name:
                await self._keep_preparation(self._folder.preparations / number, offer.offered.preparation)
        await self._do_all(state, list(work_of(state, self._host.name, self._settings.compute)))

    async def _let_go(self, state: ScoringState) -> None:
        """Release what was named on record and is not any more."""
        named = names_of(state)
        if gone := self._named - named:
            await asyncio.to_thread(self.blobs.release, gone)
            self._folder.forget(state.offers, state.batches)
        self._named = named

    def _step_of(self, kind: str) -> Callable[[ScoringState, str], Awaitable[None]]:
        return {"compute": self._compute, "answer": self._answer, "receive": self._receive}[kind]

    def _is_over(self, number: str) -> bool:
        return any(self._folder.scores.glob(f"{number}.*"))

    def _refusal(self, number: str) -> Path:
        return self._folder.scores / f"{number}.refused"

    def _declined(self, number: str, reason: str) -> Structure:
        return BatchDeclined(number, reason)

    async def _offer(self, state: ScoringState, folder: Path) -> None:
        model = load_model(folder)
        network = polynomial_network(model)
        degree = int((folder / "ready").read_text() or 32768)
        terms = terms_of(network, degree, for_tests=degree < 8192)
        self._allow(terms)
        secret = await self._secret(state, terms)

        def encrypted() -> str:
            scored = scored_network(network, terms)
            return self.blobs.put_ciphertexts(model_ciphertexts(secret, scored, terms), terms, "offer")

        preparation = await asyncio.to_thread(self.blobs.put, write_preparation(model), "offer")
        await self._say(ModelOffered(await asyncio.to_thread(encrypted), preparation, terms))

    async def _ask(self, state: ScoringState, file: Path) -> None:
        try:
            with np.load(file, allow_pickle=False) as asked:
                number, x = str(asked["offer"]), asked["x"].astype(np.float32)
        except NO_ARRAYS as error:
            raise NodeError(f"these are no flows ({error}); have them scored by `medward score flows`") from None
        offer = state.offers.get(number)
        if offer is None:
            raise NodeError(f"there is no offer {number}")
        terms = offer.offered.terms
        self._allow(terms)
        content = await asyncio.to_thread(self.blobs.get, offer.offered.preparation, MOST_BYTES)
        model = read_preparation(content, terms)
        if x.ndim != 2 or x.shape[1] != len(model.space.columns):
            raise NodeError(f"the flows have {x.shape} values, and the model takes {len(model.space.columns)} columns")
        secret = await self._secret(state, terms)

        def encrypted() -> str:
            inputs = complex_inputs(model.scorer().inputs(x))
            return self.blobs.put_ciphertexts(flow_ciphertexts(secret, inputs, terms), terms, "flows")

        batch = await self._say(BatchAsked(number, await asyncio.to_thread(encrypted), len(x)))
        write_whole(self._folder.folder / f"{file.stem}.asked", f"{batch}\n".encode())

    async def _compute(self, state: ScoringState, number: str) -> None:
        batch = state.batches[number]
        offer = state.offers[batch.asked.offer]
        terms = offer.offered.terms
        self._allow(terms)

        def computed() -> str:
            flows = self.blobs.ciphertexts(batch.asked.flows, terms, answers.most_flows_bytes(terms), input_only=True)
            model = self.blobs.ciphertexts(offer.offered.model, terms, answers.most_model_bytes(terms), input_only=True)
            hospital, vendor = (self._key_of(state, name, terms) for name in (batch.hospital, offer.vendor))
            result = scored_batch(terms, flows, model, hospital, vendor)
            return self.blobs.put_ciphertexts(result, terms, f"batch/{number}")

        await self._say(ResultComputed(number, await asyncio.to_thread(computed)))

    async def _answer(self, state: ScoringState, number: str) -> None:
        """Open the vendor's part of a result that f + 1 members computed, or this one; each output is counted first."""
        batch = state.batches[number]
        terms = state.offers[batch.asked.offer].offered.terms
        result = batch.result_of(self._host.name) or batch.agreed
        await self._host.ledger.certify(None)
        secret = await self._secret(state, terms)
        kept = self._folder.parts / f"{number}-{hashlib.sha256(result.encode()).hexdigest()[:16]}"

        def opened() -> str:
            if not kept.exists():
                results = self._result(terms, state, number, result)
                most = answers.most_result_bytes(terms)
                keep_opened(kept, most, lambda: write_parts(self._parts(results, secret, terms)))
            return self.blobs.put(kept.read_bytes(), f"batch/{number}")

        await self._say(PartOpened(number, result, await asyncio.to_thread(opened)))

    async def _receive(self, state: ScoringState, number: str) -> None:
        """Open the hospital's part for itself, and keep the scores."""
        batch = state.batches[number]
        terms = state.offers[batch.asked.offer].offered.terms
        secret = await self._secret(state, terms)

        def received() -> None:
            results = self._result(terms, state, number, batch.agreed)
            theirs = read_parts(terms, self.blobs.get(batch.part, answers.most_result_bytes(terms)))

            def scores() -> bytes:
                own = self._parts(results, secret, terms)
                opened = [
                    combine(one, list(pair)) for one, pair in zip(results, zip(theirs, own, strict=True), strict=True)
                ]
                content = io.BytesIO()
                fine = 1 / terms.coarseness
                np.save(content, np.rint(scores_of(opened, terms, batch.asked.rows) * fine) / fine)
                return content.getvalue()

            most = _NPY_HEADER + 8 * batch.asked.rows * terms.classes
            keep_opened(self._folder.scores / f"{number}.npy", most, scores)

        await asyncio.to_thread(received)

    def _parts(self, results: Sequence[Ciphertext], secret: SecretKey, terms: ScoringTerms) -> list[OpenedPart]:
        """Open this member's part of a result; each output is counted first."""
        with self._key.journal() as journal:
            if journal.left < len(results):
                raise BudgetSpent(
                    f"the key of {self._host.name} may open {journal.left} more ciphertexts, and a result has "
                    f"{len(results)}; a new member with a new key must take its place"
                )
            return [open_part(one, secret, journal, terms.coarseness) for one in results]

    def _result(self, terms: ScoringTerms, state: ScoringState, number: str, name: str) -> list[Ciphertext]:
        """Return a result that may be opened, as far as one can see."""
        batch = state.batches[number]
        vendor = state.offers[batch.asked.offer].vendor
        results = []
        for one in self.blobs.ciphertexts(name, terms, answers.most_result_bytes(terms)):
            results.append(one)
            if len(results) > terms.pairs:
                break
        holders = state.keys[vendor].published.holder, state.keys[batch.hospital].published.holder
        check_result(terms, results, holders)
        return results

    async def _secret(self, state: ScoringState, terms: ScoringTerms) -> SecretKey:
        """Return this member's key, and publish it if it is new."""
        return await self._secret_of(state, terms.parameters, conjugation=True)

    def _key_of(self, state: ScoringState, member: str, terms: ScoringTerms) -> EvaluationKey:
        return self._evaluation_key(state, member, terms.parameters)

    def _allow(self, terms: ScoringTerms) -> None:
        if terms.for_tests and not self._settings.insecure_ring_for_tests:
            raise BadTerms("the offer asks for a ring that is not secure, which is for tests alone")
        terms.result_bound()

    def rounds(self) -> Sequence[Mapping[str, Any]]:
        """Return the batches, the latest first."""
        state = self._state
        if state is None:
            return ()
        return [_batch_told(state, number) for number in sorted(state.batches, reverse=True)]

    def models(self) -> Sequence[Mapping[str, Any]]:
        """Return the offers, the latest first."""
        if self._state is None:
            return ()
        return [
            {
                "offer": number,
                "vendor": offer.vendor,
                "classes": offer.offered.terms.classes,
                "rows": offer.offered.terms.rows,
                "terms": msgspec.to_builtins(offer.offered.terms),
            }
            for number, offer in sorted(self._state.offers.items(), reverse=True)
        ]

    def status(self) -> Mapping[str, Any]:
        """Return whether this member computes, what its key may still open, and what stands in its way."""
        return {
            "computes": self._settings.compute,
            "outputs_left": self._outputs_left(),
            "problem": self._problem or None,
        }


def _batch_told(state: ScoringState, number: str) -> Mapping[str, Any]:
    batch = state.batches[number]
    different = len({result for _, result in batch.results})
    if batch.part:
        what = "opened"
    elif state.closed(number):
        what = "; ".join(f"{name} declined: {reason}" for name, reason in batch.declined)
    elif batch.agreed:
        what = "computed, waits for the vendor"
    elif different > 1:
        told = ", ".join(f"{name}: {result[-8:]}" for name, result in batch.results)
        what = f"the results differ ({told}), and nobody opens one before {state.faulty + 1} members have the same"
    else:
        what = f"{len(batch.results)} of {state.faulty + 1} members have computed it"
    return {
        "batch": number,
        "offer": batch.asked.offer,
        "hospital": batch.hospital,
        "rows": batch.asked.rows,
        "results": dict(batch.results),
        "state": what,
        "answered": bool(batch.part),
        "closed": state.closed(number),
    }
