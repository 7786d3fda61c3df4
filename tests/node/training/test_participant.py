"""A node that trains: what it keeps, what it tells."""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from medward.federation.application import FederationSnapshot
from medward.federation.model.hospital import Carried
from medward.federation.model.survey import first_model
from medward.federation.participant import FederationMember
from medward.federation.records import Attest, Submit
from medward.federation.round.state import AnswerAudit, Phase, Round
from medward.federation.terms import Terms
from medward.ledger.types import Block
from medward.node.errors import InvalidConfiguration, NodeError
from medward.node.interfaces import Host, Ordered
from medward.node.training import participant
from medward.node.training.data import ParticipantSettings, own_side, read_settings
from medward.node.training.files import TrainingFiles
from medward.node.training.recent_models import RecentModels
from medward.node.training.round_log import RoundLog, summary
from tests.node.training.test_rules import NAMES, PLAN


@pytest.mark.parametrize("table", [{}, {"data": 3}, {"data": "ward", "color": "red"}])
def test_wrong_settings_name_the_table(table: dict[str, object]) -> None:
    with pytest.raises(InvalidConfiguration, match=r"\[participant\]"):
        read_settings(table)


def test_members_of_a_trial_share_the_rows_and_the_plan() -> None:
    sides = [own_side(ParticipantSettings(data="ward", rows=3000, sites=3, site=site), b"secret") for site in range(3)]
    assert len({side.plan.space.columns for side in sides}) == 1
    assert min(side.rows for side in sides) > 0


def test_files_of_a_member_are_its_owners_alone_and_survive(tmp_path: Path) -> None:
    files = TrainingFiles(tmp_path / "participant")
    assert files.secret() == TrainingFiles(tmp_path / "participant").secret()
    assert files.carried() is None
    files.carry(Carried(4, np.zeros(3), np.ones(3)))
    carried = files.carried()
    assert carried is not None
    assert (carried.step, list(carried.after)) == (4, [1.0, 1.0, 1.0])
    for number in range(12):
        files.keep_model(f"model-{number}", b"x")
    assert files.model("model-11") == b"x"
    assert files.model("model-0") is None
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "participant").rglob("*"))


def test_shared_model_stays_at_hand_however_many_after_it_were_rejected() -> None:
    models, shared = RecentModels(), first_model(PLAN)
    for candidate in range(5):
        models.use("shared", shared)  # to work from
        models.use(f"candidate {candidate}", shared)
        assert models.use("shared", models["shared"]) is shared  # to vote
        assert list(models)[-2:] == [f"candidate {candidate}", "shared"]
        assert len(models) <= 3


def ended(number: int) -> Round:
    keys = dict.fromkeys(NAMES, b"")
    begun = Round(Terms("t", NAMES), number, "train", "m", NAMES, 1, 1, Phase.VOID, 0.0, bytes(32), keys)
    return replace(begun, outcome="too few")


def test_summary_of_a_round_names_who_contributed_complained_showed_and_answered() -> None:
    over = replace(
        ended(7),
        phase=Phase.FINAL,
        outcome="model",
        cohort=NAMES,
        submissions={name: Submit(7, name, f"contribution of {name}", f"response of {name}") for name in NAMES},
        verdicts={"south": Attest(7, "south", ("north", "south"), complaints=("east",))},
        shown={"east": "shares"},
        answers={"west": "answer"},
        audit=AnswerAudit(bytes(32), {"west": "answer"}),
    )
    told = summary(over)
    assert told["contributions"]["north"] == "contribution of north"
    assert told["complaints"] == {"east": ["south"]}
    assert told["shown"] == {"east": "shares"}
    assert (told["answers"], told["audited"]) == ({"west": "answer"}, ["west"])
    assert (told["cohort"], told["model"], told["outcome"]) == (list(NAMES), "model", "final")


def test_round_log_tells_phases_and_seconds() -> None:
    now = [0.0]
    log = RoundLog(lambda: now[0])
    over = ended(0)
    store = {"round/00000000": msgspec.msgpack.encode(over)}
    log.entered(0, Phase.COMMITTING, 10.0)
    with log.watch.doing("encrypt"):
        now[0] += 0.75
    now[0] += 0.5
    for when, phase in enumerate((Phase.SUBMITTING, Phase.VOID), 11):
        log.entered(0, phase, when)
    now[0] += 8.0  # the round is over
    log.stored("round/0", 7)
    (told,) = log.told(store.get)
    assert told["seconds"] == {"encrypt": 0.75, "wait": 0.5}
    assert told["phases"] == {"committing": 1.0, "submitting": 1.0}
    assert (told["bytes_up"], told["outcome"], told["cohort"]) == (7, "too few", [])
    assert summary(over)["model"] is None


def test_round_log_goes_on_where_a_node_comes_back_in_the_middle_of_a_round() -> None:
    now = [0.0]
    log = RoundLog(lambda: now[0])
    now[0] += 3.0  # before it knew of the round
    for when, phase in ((10.0, Phase.ANSWERING), (12.0, Phase.ANSWERING), (15.0, Phase.FINAL)):
        log.entered(4, phase, when)
        now[0] += 1.0
    (told,) = log.told({"round/00000004": msgspec.msgpack.encode(ended(4))}.get)
    assert told["phases"] == {"answering": 5.0}
    assert told["seconds"] == {"wait": 2.0}


class Part(participant.TrainingParticipant):
    """A participant of which nothing is there but the ledger's state, and what the test gives it."""

    def __init__(self, state: Any, **parts: Any) -> None:
        self._machine = cast(FederationMember, SimpleNamespace(state=state))
        self._tasks = set()
        self._failure = None
        vars(self).update(parts)

    async def see_a_block(self) -> None:
        """Take an event of the ledger, and see what it began to its end."""
        snapshot = FederationSnapshot.__new__(FederationSnapshot)
        await self._take(Ordered(cast(Block, SimpleNamespace(transactions=())), (), snapshot))
        await asyncio.gather(*self._tasks)

    async def _in_turn(self, *_: object) -> None:
        """Leave the machine alone: the state is the test's."""

    async def _let_go(self) -> None:
        """Keep every blob."""


def test_federation_that_cannot_order_that_it_goes_on_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medward.node.ledger.submitter.ORDER_SECONDS", 0.01)

    async def never(_: bytes) -> None:
        await asyncio.Event().wait()

    host = cast(Host, SimpleNamespace(name="north", ledger=SimpleNamespace(submit=never)))
    part = Part(SimpleNamespace(stopped="three rounds led to nothing", resuming=()), _host=host)

    async def run() -> None:
        async with asyncio.timeout(20):
            await part.resume()

    with pytest.raises(NodeError, match=r"ordered nothing within .* that the federation goes on may still be ordered"):
        asyncio.run(run())
