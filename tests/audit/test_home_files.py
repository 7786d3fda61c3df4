"""Which homes an audit reads: those that are plain and ran; what stands in the way is told, and nothing waits on it."""

import os
from pathlib import Path

import pytest

from medward.audit.findings import AuditResult
from medward.audit.home_files import audit_cards, homes_that_ran, plain_homes, read_federations
from medward.audit.homes import audit
from medward.errors import BadUsage
from medward.ledger.membership import Membership
from medward.node.errors import NodeError
from medward.node.home.folder import Home
from medward.node.trial.founding import found_on_one_machine
from tests.node.conftest import seats


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    found_on_one_machine(tmp_path / "ward", "ward", seats("north", "south", "west"), "bank")
    return tmp_path / "ward"


def test_homes_are_found_in_a_folder_or_as_one(ward: Path) -> None:
    found = AuditResult()
    assert list(plain_homes(ward, found)) == ["north", "south", "west"]
    assert list(plain_homes(ward / "south", found)) == ["south"]
    assert found.nothing


def test_folder_without_a_home_is_told(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NodeError, match=r"there is no node.toml"):
            plain_homes(place, AuditResult())


@pytest.mark.parametrize("file", ["federation.json", "card.json", "ledger/journal/journal.sqlite"])
def test_pipe_in_the_place_of_a_file_is_told_and_not_read(ward: Path, file: str) -> None:
    path = ward / "south" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    found = AuditResult()
    assert list(plain_homes(ward, found)) == ["north", "west"]
    (problem,) = found.problems
    assert (problem.home, problem.what.split()[0]) == ("south", path.name)
    with pytest.raises(NodeError, match=r"no home in .* can be read"):
        plain_homes(ward / "south", AuditResult())


def test_huge_file_is_told_and_not_read(ward: Path) -> None:
    os.truncate(ward / "south" / "card.json", 2**24 + 1)
    found = AuditResult()
    assert "south" not in plain_homes(ward, found)
    assert "16777217 bytes" in found.problems[0].what


def test_homes_whose_node_never_ran_are_told_in_their_order(ward: Path) -> None:
    homes, found = plain_homes(ward, AuditResult()), AuditResult()
    assert homes_that_ran(homes, found) == homes
    assert found.nothing
    (ward / "north" / "ledger" / "journal").mkdir(parents=True, exist_ok=True)
    ran = homes_that_ran(homes, found)
    assert list(ran) == ["north"]
    assert [remark.home for remark in found.remarks] == ["south", "west"]


def test_homes_of_two_federations_and_of_one_that_no_audit_knows_are_told(ward: Path, tmp_path: Path) -> None:
    homes = plain_homes(ward, AuditResult())
    with pytest.raises(NodeError, match="runs 'bank'; an audit knows federations that train, score or train on enc"):
        audit(ward)
    found_on_one_machine(tmp_path / "other", "other", seats("east"), "bank")
    with pytest.raises(BadUsage, match=r"homes of several federations: north belongs to ward .* east to other"):
        read_federations({**homes, "east": Home(tmp_path / "other" / "east")}, ward, AuditResult())


def test_federation_files_that_cannot_be_read_are_told(ward: Path) -> None:
    homes, found = plain_homes(ward, AuditResult()), AuditResult()
    for name in homes:
        (ward / name / "federation.json").write_text("{")
    with pytest.raises(NodeError, match=r"no home in .* has a federation file that can be read"):
        read_federations(homes, ward, found)
    assert [problem.home for problem in found.problems] == list(homes)


def test_cards_are_those_of_the_ledger_and_of_each_other(ward: Path) -> None:
    homes = plain_homes(ward, AuditResult())
    federations = {name: home.federation() for name, home in homes.items()}
    members = federations["north"].genesis.members
    found = AuditResult()
    audit_cards(homes, federations, [Membership(0, 0, members)], found)
    assert found.problems == found.remarks == []
    assert found.checked == {"cards": 3 + 9}
    (ward / "south" / "card.json").write_bytes((ward / "north" / "card.json").read_bytes()[:-9])
    audit_cards(homes, federations, [Membership(0, 0, members[:1])], found)
    assert found.problems[0].home == "south"
    assert any("the ledger knows no west" in remark.what for remark in found.remarks)
