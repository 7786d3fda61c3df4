"""What a node tells of its rounds: the ledger's state, and the seconds and bytes that each took here."""

from dataclasses import replace

import msgspec

from medward.federation.records import Attest, Submit
from medward.federation.round.state import OVER, Phase, Round
from medward.federation.terms import Terms
from medward.node.training.round_log import RoundLog, summary

NAMES = ("a", "b", "c", "d")
BEGUN = Round(Terms("t", NAMES), 0, "train", "model", NAMES, 1, 1, Phase.COMMITTING, 0.0, bytes(32), {})


def ledger(*rounds: Round) -> dict[str, bytes]:
    return {f"round/{one.number:08d}": msgspec.msgpack.encode(one) for one in rounds}


def round_number(number: int, phase: Phase = Phase.FINAL, outcome: str = "next model") -> Round:
    return replace(BEGUN, number=number, phase=phase, outcome=outcome, cohort=NAMES[:3])


def test_rounds_are_told_from_the_ledger_the_latest_first() -> None:
    told = RoundLog().told(ledger(*map(round_number, range(3))).get)
    assert [one["round"] for one in told] == [2, 1, 0]
    assert RoundLog().told({}.get) == []


def test_of_many_rounds_the_last_hundred_are_told() -> None:
    told = RoundLog().told(ledger(*map(round_number, range(130))).get)
    assert [one["round"] for one in told] == list(range(129, 29, -1))


def test_round_that_came_to_a_node_by_snapshot_is_told_although_earlier_ones_are_not_there() -> None:
    log = RoundLog()
    log.entered(7, Phase.FINAL, 50.0)
    assert [one["round"] for one in log.told(ledger(round_number(7)).get)] == [7]


def test_seconds_of_phases_and_bytes_are_those_of_their_round() -> None:
    clock = [0.0]
    log = RoundLog(lambda: clock[0])
    log.entered(0, Phase.COMMITTING, 100.0)
    clock[0] = 5.0
    log.entered(0, Phase.COMMITTING, 104.0)  # told again, as after a restart: it goes on
    log.entered(0, Phase.ANSWERING, 110.0)
    clock[0] = 6.0
    log.entered(0, Phase.FINAL, 112.0, block_time=111.5)
    clock[0] = 99.0  # after its end: no round's
    log.stored("round/0", 10)
    log.stored("round/0", 5)
    log.stored("models", 1000)
    log.fetched(0, 7)
    log.fetched(1, 9)
    [told] = log.told(ledger(round_number(0)).get)
    assert told["phases"] == {"committing": 10.0, "answering": 2.0}
    assert told["ended"] == 111.5
    assert sum(told["seconds"].values()) == 6.0
    assert (told["bytes_up"], told["bytes_down"]) == (15, 7)


def test_only_a_final_round_has_a_model_and_a_cohort() -> None:
    for phase in Phase:
        told = summary(round_number(0, phase, "why not"))
        assert told["outcome"] == ("final" if phase is Phase.FINAL else "why not")
        assert (told["model"], told["cohort"]) == (("why not", list(NAMES[:3])) if phase is Phase.FINAL else (None, []))
    assert Phase.FINAL in OVER


def test_complaints_are_told_by_the_dealer_that_they_are_of() -> None:
    submissions = {name: Submit(0, name, f"blob {name}", "response") for name in "ab"}
    verdicts = {"c": Attest(0, "c", ("b",), (), ("a",)), "d": Attest(0, "d", (), ("b",), ("a",))}
    told = summary(replace(BEGUN, submissions=submissions, verdicts=verdicts))
    assert told["complaints"] == {"a": ["c", "d"]}
    assert told["checks"]["complaints"] == 2
    assert told["contributions"] == {"a": "blob a", "b": "blob b"}
