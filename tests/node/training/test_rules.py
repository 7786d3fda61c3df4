"""What the federation file says of a federation that trains, and how its members change."""

import pytest

from medward.flows.datasets import DATASETS
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Member, MemberUpdate
from medward.node.errors import InvalidConfiguration
from medward.node.home.cards import Contact
from medward.node.training.data import ParticipantSettings, plan_for
from medward.node.training.rules import TrainingRules, agreement_parameters, participant_table, read_agreement
from tests.federation.ledger import Ledger

NAMES = ("north", "south", "east", "west")


MEMBERS = [Member(n, 0, (AlgorithmBytes("ed25519", n[0].encode() * 32),), b"", "127.0.0.1:1") for n in NAMES]


PLAN = plan_for(DATASETS["ward"], ParticipantSettings(data="ward", rounds=3))


def training_parameters() -> dict[str, str]:
    return agreement_parameters(PLAN, MEMBERS, name="ward", deadline=12.5)


def test_agreement_comes_back_from_the_federation_file() -> None:
    agreement = read_agreement(training_parameters())
    assert agreement.members == NAMES
    assert agreement.accounts["east"] == b"e" * 32
    assert (agreement.deadline, agreement.protect, agreement.bits) == (12.5, "aggregate", 16)
    assert agreement.first.task == "survey"
    assert read_agreement(training_parameters()).name != agreement.name, "two federations of one name are told apart"


@pytest.mark.parametrize("key", ["accounts", "first", "protect", "bits"])
def test_damaged_federation_file_is_refused_in_one_sentence(key: str) -> None:
    for parameters in (
        {**training_parameters(), key: "?"},
        {k: v for k, v in training_parameters().items() if k != key},
    ):
        with pytest.raises(InvalidConfiguration, match="get it again from a member"):
            read_agreement(parameters)


def test_contact_of_a_newcomer_is_known_once_it_is_in() -> None:
    rules = TrainingRules(training_parameters())
    application = rules.make_application()
    newcomer = Member("up", 0, (AlgorithmBytes("ed25519", b"u" * 32),), b"", "127.0.0.1:2")
    contact = Contact("up", "10.0.0.9:7451")
    (payload,) = rules.change_members(MemberUpdate("up", newcomer), contact)
    assert rules.contact("up", application.query) is None
    ledger = Ledger(application)
    assert [u.name for u in ledger.order(("n", payload), ("s", payload)).member_updates] == ["up"]
    ledger.order(("u", rules.announce(contact)))
    assert rules.contact("up", application.query) == contact


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("deadline", value) for value in ("nan", "inf", "0", "-1", "")),
        *(("sample", value) for value in ("nan", "0", "-0.5", "1.5")),
        *(("bits", value) for value in ("0", "-3", "65", "1" * 4000, "1" * 5000)),
        ("first", "[" * 100_000),
        ("first", "[1, 2]"),
        ("first", '["survey", -1, 3]'),
        ("first", '["dance", 1, 3]'),
        ("first", '["survey", 1.5, "3"]'),
        ("accounts", "[" * 100_000),
        ("accounts", "{}"),
    ],
)
def test_federation_file_with_a_value_that_no_federation_has_is_refused(key: str, value: str) -> None:
    with pytest.raises(InvalidConfiguration, match="get it again from a member") as refused:
        read_agreement({**training_parameters(), key: value})
    assert len(str(refused.value)) < 500


def test_participant_is_told_the_plan_that_was_agreed_on() -> None:
    parameters = training_parameters()
    table = participant_table(parameters)
    assert table == {"data": "ward", "rounds": 3, "bits": PLAN.bits, "seed": PLAN.seed}
    assert participant_table(parameters, "rows.csv")["data"] == "rows.csv"
    more = parameters | {"schema": "text", "features": "32", "courier": "weighted", "budget": "5", "members": "4"}
    assert participant_table(more) == table | {
        "schema": "text", "features": 32, "courier": "weighted", "budget": 5, "members": 4,
    }  # fmt: skip
    for key, value in (("rounds", "many"), ("features", ""), ("budget", "x")):
        with pytest.raises(InvalidConfiguration, match="get it again from a member"):
            participant_table({**more, key: value})
    for key in ("rounds", "seed", "data"):
        with pytest.raises(InvalidConfiguration, match="get it again from a member"):
            participant_table({name: value for name, value in more.items() if name != key})


def test_one_who_leaves_and_a_wish_that_is_taken_back_need_no_contact() -> None:
    rules = TrainingRules(training_parameters())
    ledger = Ledger(rules.make_application())
    (leave,) = rules.change_members(MemberUpdate("west", None), None)
    ledger.order(("n", leave))
    ledger.order(("n", rules.retract_wish("west")))
    # One wish is there again, and two are needed.
    assert not ledger.order(("s", leave)).member_updates
    assert [u.name for u in ledger.order(("e", leave)).member_updates] == ["west"]
