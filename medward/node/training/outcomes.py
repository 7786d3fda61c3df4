"""Outcomes of rounds, kept where the hospital uses them: the model (model_folder.py), the rounds (round_history.py)."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from medward.errors import MedwardError
from medward.federation.rules import FederationState
from medward.node.training.model_folder import ModelFolder
from medward.node.training.round_history import RoundHistory
from medward.node.training.work import TrainingWork

_LOG = logging.getLogger("medward.node")


class Outcomes:
    """Keeps what each round led to, one round after the other.

    A failure to write costs the round its place, never the node: the log says why, and the next round tries again.

    Args:
        bench: makes the model for use, and measures it.
        history: keeps the rounds.
        folder: HOME/model, None where no model is kept.
    """

    def __init__(self, bench: TrainingWork, history: RoundHistory, folder: Path | None) -> None:
        self._bench, self._history = bench, history
        self._folder = None if folder is None else ModelFolder(folder)
        self.busy = False
        self._final: Mapping[str, Any] | None = None
        self._trained: Mapping[str, Any] | None = None
        known: list[dict[str, Any]] = []
        with suppress(MedwardError):
            known = history.rounds()
        self._look_at(known)
        # A restart has nothing to do again where the files have it all.
        self._model = None if self._folder is None else self._folder.shared_model()
        self._until = known[-1]["round"] if known else -1

    def lack(self, state: FederationState) -> bool:
        """Whether the ledger's state has led to something that is not kept yet."""
        return state.model != self._model or _last_over(state) > self._until

    def told(self, now: float) -> dict[str, Any]:
        """Return how long ago the last final round was, how old the model is, and how it does on own rows.

        Args:
            now: the time, in seconds since 1970.
        """
        return {
            "last_final_round": None if self._final is None else self._final["round"],
            "last_final_seconds": _age(self._final, now),
            "model_round": None if self._trained is None else self._trained["round"],
            "model_seconds": _age(self._trained, now),
            "validation": None if self._trained is None else self._trained.get("validation"),
        }

    async def keep(
        self, state: Callable[[], FederationState], rounds: Callable[[], Sequence[Mapping[str, Any]]]
    ) -> None:
        """Keep what is lacking, until nothing is.

        Args:
            state: returns the ledger's state now.
            rounds: returns the rounds that are over, the latest first.
        """
        self.busy = True
        try:
            while self.lack(now := state()):
                measured = await self._keep_model(now) if now.model != self._model else None
                await self._keep_rounds(rounds(), now.model, measured)
                self._model, self._until = now.model, _last_over(now)
        finally:
            self.busy = False

    async def _keep_model(self, state: FederationState) -> Mapping[str, float] | None:
        model = await self._bench.for_use(state.model, len(state.membership.names), state.agreement.protect)
        if model is None or self._folder is None:
            return None
        try:
            if await asyncio.to_thread(self._folder.shared_model) != state.model:
                await asyncio.to_thread(self._folder.replace, model)
        except MedwardError as error:
            _LOG.warning("the model is not kept: %s", error)
        return await self._bench.validation(model)

    async def _keep_rounds(
        self, rounds: Sequence[Mapping[str, Any]], model: str, measured: Mapping[str, float] | None
    ) -> None:
        reports = [{**one, "validation": measured if one["model"] == model else None} for one in rounds]
        self._look_at(reports)
        try:
            await asyncio.to_thread(self._history.add, reports)
        except MedwardError as error:
            _LOG.warning("the rounds are not kept: %s", error)

    def _look_at(self, rounds: Iterable[Mapping[str, Any]]) -> None:
        """Note the last final round, and the last of them that trained, among what is known and these."""
        for one in rounds:
            if one.get("outcome") != "final":
                continue
            if self._final is None or one["round"] > self._final["round"]:
                self._final = one
            if one.get("task") in ("train", "gram") and (
                self._trained is None or one["round"] > self._trained["round"]
            ):
                self._trained = one


def _age(report: Mapping[str, Any] | None, now: float) -> float | None:
    ended = None if report is None else report.get("ended")
    return None if ended is None else round(max(0.0, now - ended), 1)


def _last_over(state: FederationState) -> int:
    """Return the number of the last round that is over, -1 where there is none."""
    now = state.round
    return -1 if now is None else now.number if now.over else now.number - 1
