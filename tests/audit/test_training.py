"""A federation that trains, before its first round: what an audit of it needs to know."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from medward.audit.findings import AuditResult
from medward.audit.stores import Stores
from medward.audit.training import AuditedTraining
from medward.federation.records import Resume, encode_record
from medward.node.home.folder import Home
from medward.node.training.data import ParticipantSettings, plan_candidates
from medward.node.training.rules import agreement_parameters
from medward.node.trial.founding import Seat, found_on_one_machine
from tests.audit.homes import TABLE


@pytest.fixture
def homes(tmp_path: Path) -> Mapping[str, Home]:
    plan = next(iter(plan_candidates(ParticipantSettings(**TABLE))))  # type: ignore[arg-type]
    return found_on_one_machine(
        tmp_path,
        "ward",
        [Seat.of(f"{name}=127.0.0.1:{24000 + 10 * number}") for number, name in enumerate("abcd")],
        "training",
        settings={"participant": TABLE},
        agree=lambda members: agreement_parameters(plan, members, name="ward", deadline=60.0),
    )


def audited(homes: Mapping[str, Home], telling: Mapping[str, Home]) -> AuditedTraining:
    return AuditedTraining(homes["a"].federation().application.parameters, telling.values())


def test_plan_is_the_one_that_was_agreed_on(homes: Mapping[str, Home]) -> None:
    found = audited(homes, homes)
    assert found.plan is not None
    assert found.outcomes() == {}
    named, needed = found.blobs({"a"})
    assert named == needed == {found.history.state.agreement.model: "the first model"}
    assert found.decode(encode_record(Resume())) == Resume()
    assert found.decode(b"none") is None


def test_plan_that_no_home_tells_is_a_problem(homes: Mapping[str, Home]) -> None:
    found = audited(homes, {})
    groups = {name: AuditResult() for name in ("files", *found.groups)}
    told: list[str] = []
    with closing(Stores({})) as stores:
        found.check([], stores, groups, told.append)
    (problem,) = groups["files"].problems
    assert problem.what.startswith("no home's node.toml gives the plan")
    assert told == ["the keys", "the rounds"]


def test_its_state_is_that_of_the_ledgers_own_replay(homes: Mapping[str, Home]) -> None:
    found = audited(homes, {})
    found.new_application()
    assert found.agrees()
