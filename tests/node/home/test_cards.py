"""Cards and the federation file: what they promise, and that nothing in them can be changed unnoticed."""

import json
from pathlib import Path

import pytest

from medward.node.errors import InvalidCard, InvalidConfiguration
from medward.node.home.cards import read_card
from medward.node.home.federation_file import read_federation, write_federation
from medward.node.home.folder import Home
from medward.node.trial.founding import found_on_one_machine, found_with_cards
from tests.node.conftest import seats


def changed(path: Path, **fields: object) -> Path:
    content = json.loads(path.read_text()) | fields
    path.write_text(json.dumps(content))
    return path


def test_a_card_that_is_read_is_the_one_that_was_written(homes: dict[str, Home]) -> None:
    home = homes["north"]
    card = read_card(home.card_file)
    assert card == home.card()
    assert card.member == home.identity().member("north", 0, "127.0.0.1:21000")


@pytest.mark.parametrize("field", ["name", "incarnation", "address", "gateway", "keys", "certificate", "signatures"])
def test_a_card_with_anything_of_another_member_is_refused(homes: dict[str, Home], field: str) -> None:
    other = json.loads(homes["south"].card_file.read_text())
    other["incarnation"] = 7
    with pytest.raises(InvalidCard, match="not signed by the keys"):
        read_card(changed(homes["north"].card_file, **{field: other[field]}))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"gateway": "nowhere"}, "gateway: expected host:port"),
        ({"name": "../north"}, "name: expected 1 to 40"),
        ({"format": "medward-card/9"}, "no card that this version reads"),
        ({"certificate": "%"}, "malformed"),
        ({"keys": []}, "malformed"),
        ({"extra": 1}, "no member's card"),
    ],
)
def test_a_malformed_card_is_refused_in_one_sentence(
    homes: dict[str, Home], fields: dict[str, object], told: str
) -> None:
    with pytest.raises(InvalidCard, match=told) as caught:
        read_card(changed(homes["north"].card_file, **fields))
    assert "\n" not in str(caught.value)


def test_all_members_hold_the_same_federation_file(homes: dict[str, Home], tmp_path: Path) -> None:
    north, south = homes["north"].federation(), homes["south"].federation()
    assert north == south == read_federation(tmp_path / "ward" / "federation.json")
    assert [card.name for card in north.cards] == ["north", "south"]
    assert north.genesis.membership.names == ("north", "south")
    write_federation(north, tmp_path / "copy.json")
    assert read_federation(tmp_path / "copy.json") == north


def test_a_changed_federation_file_does_not_keep_its_fingerprint(homes: dict[str, Home], tmp_path: Path) -> None:
    file = homes["north"].federation_file
    other = found_on_one_machine(tmp_path / "other", "ward", seats("north", "south"), "bank")
    content = json.loads(other["north"].federation_file.read_text())
    for field in ("genesis", "application", "engine"):
        value = "cometbft" if field == "engine" else content[field]
        copy = tmp_path / f"{field}.json"
        copy.write_text(file.read_text())
        with pytest.raises(InvalidConfiguration, match="fingerprint"):
            read_federation(changed(copy, **{field: value}))


def test_a_home_belongs_to_one_federation(homes: dict[str, Home], tmp_path: Path) -> None:
    other = found_with_cards("elsewhere", [home.card() for home in homes.values()], "bank")
    with pytest.raises(Exception, match="belongs to the federation ward"):
        homes["north"].install(other)
    assert homes["north"].federation().name == "ward"


def test_two_members_cannot_share_what_tells_them_apart(homes: dict[str, Home]) -> None:
    north = homes["north"].card()
    with pytest.raises(InvalidConfiguration, match="north and north have the same name"):
        found_with_cards("ward", [north, north], "bank")
    with pytest.raises(InvalidConfiguration, match="at most 64 members, not 65"):
        found_with_cards("ward", [north] * 65, "bank")
    homes["south"].card_file.write_text(homes["north"].card_file.read_text().replace('"north"', '"south"'))
    with pytest.raises(InvalidCard):
        homes["south"].card()
