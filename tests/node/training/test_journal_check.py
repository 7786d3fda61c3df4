"""A journal of answers that is older than what the ledger shows is found, and no other is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from medward.federation.application import encode_state
from medward.federation.records import Submit
from medward.federation.round.state import AnswerAudit, Phase, Round
from medward.federation.rules import FederationState, founded
from medward.federation.sums.journal import AnswerJournal, ShownKind
from medward.federation.terms import Terms
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Block, Member, Receipt
from medward.node.errors import Retired
from medward.node.interfaces import Host, Ledger, LedgerEvent
from medward.node.training.journal_check import check_journal
from medward.store.local import in_memory
from tests.federation.ledger import AGREEMENT, NAMES

NAME = NAMES[0]
STATE = replace(founded(msgspec.structs.replace(AGREEMENT, protect="aggregate")), number=4)


class Written(Ledger):
    """A ledger that is only read."""

    def __init__(self, values: dict[str, bytes]) -> None:
        self._values = values

    def events(self) -> AsyncIterator[LedgerEvent]:
        raise NotImplementedError

    async def submit(self, payload: bytes) -> Receipt:
        raise NotImplementedError

    async def certify(self, block: Block | None) -> None:
        raise NotImplementedError

    def query(self, path: str) -> bytes | None:
        return self._values.get(path)

    @property
    def members(self) -> Sequence[Member]:
        return ()


def host(folder: Path, state: FederationState | None, *rounds: Round) -> Host:
    values = {f"round/{one.number:08d}": msgspec.msgpack.encode(one) for one in rounds}
    if state is not None:
        values["state"] = encode_state(state)
    member = Member(NAME, 0, (AlgorithmBytes("ed25519", AGREEMENT.accounts[NAME]),), b"", "127.0.0.1:1")
    return Host(NAME, member, bytes(32), folder, folder, {}, in_memory(), Written(values), asyncio.Event())


def over(number: int, *contributors: str, answered: Sequence[str] | None = None) -> Round:
    """A round in which these contributed, and the same, or others, answered."""
    keys = dict.fromkeys(NAMES, b"key")
    begun = Round(Terms("test", NAMES), number, "train", "m", NAMES, 1, 3, Phase.FINAL, 0.0, bytes(32), keys)
    submissions = {name: Submit(number, name, "bafk", "bafk") for name in contributors}
    answers = dict.fromkeys(contributors if answered is None else answered, "bafk")
    return replace(begun, submissions=submissions, answers=answers)


CONTRIBUTED: tuple[ShownKind, ...] = ("contribution", "response")
ANSWERED: tuple[ShownKind, ...] = (*CONTRIBUTED, "answer")


def knowing(path: Path, number: int, kinds: Sequence[ShownKind] = ANSWERED) -> Path:
    with AnswerJournal(path) as journal:
        for kind in kinds:
            journal.once(AGREEMENT.name, number, kind, b"question", lambda: b"answer")
    return path


ROUNDS = (over(1, *NAMES), over(2, *NAMES), over(3, *NAMES[1:]))


@pytest.mark.parametrize("last", [None, 1], ids=["no journal", "one round behind"])
def test_journal_that_lacks_what_the_ledger_shows_retires_the_member(tmp_path: Path, last: int | None) -> None:
    answers = tmp_path / "answers.sqlite"
    if last is not None:
        knowing(answers, last)
    with pytest.raises(Retired, match=r"answered in round 2.*restored from an old copy.*rotate"):
        check_journal(host(tmp_path, STATE, *ROUNDS), answers)


def test_journal_of_the_same_round_before_the_answer_retires_the_member(tmp_path: Path) -> None:
    with pytest.raises(Retired, match=r"in round 2.*\(answer\)"):
        check_journal(host(tmp_path, STATE, *ROUNDS), knowing(tmp_path / "answers.sqlite", 2, CONTRIBUTED))


@pytest.mark.parametrize("kind", ["shown", "audit"])
def test_shown_shares_and_responses_to_an_audit_count(tmp_path: Path, kind: ShownKind) -> None:
    now = over(2, *NAMES)
    said = {"shown": replace(now, shown={NAME: "b"}), "audit": replace(now, audit=AnswerAudit(b"", {}, {NAME: b"r"}))}
    answers = knowing(tmp_path / "answers.sqlite", 2)
    with pytest.raises(Retired, match=rf"\({kind}\)"):
        check_journal(host(tmp_path, STATE, said[kind]), answers)
    check_journal(host(tmp_path, STATE, said[kind]), knowing(answers, 2, [kind]))


def test_journal_that_knows_all_that_the_ledger_shows_lets_the_member_go_on(tmp_path: Path) -> None:
    answers = knowing(tmp_path / "answers.sqlite", 2)
    check_journal(host(tmp_path, STATE, *ROUNDS), answers)
    with AnswerJournal(answers) as journal:
        journal.forget(AGREEMENT.name, 4)
    check_journal(host(tmp_path, STATE, *ROUNDS), answers)


def test_round_that_is_under_way_counts(tmp_path: Path) -> None:
    now = replace(over(3, NAME, answered=()), phase=Phase.CHECKING)
    with pytest.raises(Retired, match="in round 3"):
        check_journal(host(tmp_path, replace(STATE, round=now)), knowing(tmp_path / "answers.sqlite", 2))


@pytest.mark.parametrize(
    "state",
    [
        None,
        founded(AGREEMENT),
        replace(STATE, membership=replace(STATE.membership, joined={NAME: 3})),
        replace(STATE, membership=replace(STATE.membership, accounts={**STATE.accounts, NAME: b"k" * 32})),
    ],
    ids=["no ledger yet", "sums in the open", "came after it", "the ledger knows another incarnation"],
)
def test_nobody_is_retired_where_the_ledger_shows_no_answer_of_these_keys(
    tmp_path: Path, state: FederationState | None
) -> None:
    check_journal(host(tmp_path, state, over(2, *NAMES)), tmp_path / "answers.sqlite")
