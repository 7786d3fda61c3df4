"""Node processes that score, of which some lie: what a file in their home says, they hand in as a result.

weights   the beginning of the vendor's encrypted model
crafted   the true result with one coefficient of one component changed

With `withholds` in that file they compute honestly, and have as many batches scored as they may, of flows that nobody
can get.
"""

import sys
from dataclasses import replace

from medward.federation.scoring import answers
from medward.federation.scoring.records import MOST_WAITING, BatchAsked, ResultComputed, ScoringState
from medward.node.interfaces import Program
from medward.node.scoring.participant import ScoringParticipant
from medward.node.scoring.rules import ScoringRules
from medward.store.cid import Cid
from tests.node.computing.running import main

COMMAND = (sys.executable, "-m", "tests.node.scoring.process")


class Liar(ScoringParticipant):
    """Computes honestly until it is told to lie."""

    async def _work_on(self, state: ScoringState) -> None:
        lie = self._host.folder / "lie"
        if lie.exists() and lie.read_text() == "withholds":
            lie.unlink()
            [number] = state.offers
            await self._secret(state, state.offers[number].offered.terms)
            for batch in range(MOST_WAITING):
                flows = str(Cid.of(b"withheld %d" % batch))
                await self._say(BatchAsked(number, flows, 10))
        await super()._work_on(state)

    async def _compute(self, state: ScoringState, number: str) -> None:
        lie = self._host.folder / "lie"
        if not lie.exists():
            await super()._compute(state, number)
            return
        batch = state.batches[number]
        offer = state.offers[batch.asked.offer].offered
        terms = offer.terms
        if lie.read_text() == "weights":
            weights = list(self.blobs.ciphertexts(offer.model, terms, answers.most_model_bytes(terms)))
            result = weights[: terms.pairs]
        else:
            others = [name for member, name in batch.results if member != self._host.name]
            if not others:
                return  # until somebody has computed what it alters
            result = list(self.blobs.ciphertexts(others[0], terms, answers.most_result_bytes(terms)))
            parts = result[0].parts.copy()
            parts[1, 0, 0] += -1 if parts[1, 0, 0] > 0 else 1
            result[0] = replace(result[0], parts=parts)
        await self._say(ResultComputed(number, self.blobs.put_ciphertexts(result, terms, f"batch/{number}")))


if __name__ == "__main__":
    sys.exit(main({"scoring": Program(ScoringRules, Liar)}))
