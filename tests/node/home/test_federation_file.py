"""`federation.json`: what it says is what it is, and two members are never taken for each other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from medward.ledger.errors import LedgerError
from medward.ledger.membership import ChainParameters
from medward.node.errors import InvalidConfiguration
from medward.node.home.cards import Card
from medward.node.home.federation_file import (
    ApplicationTerms,
    FederationFile,
    found_federation,
    members_to_call,
    read_federation,
    render_federation,
    write_federation,
)
from medward.node.home.folder import Home

BANK = ApplicationTerms("bank", {"governor": "00" * 32})
TIME = 1_700_000_000_000


@pytest.fixture
def cards(homes: dict[str, Home]) -> list[Card]:
    return [homes["south"].card(), homes["north"].card()]


@pytest.fixture
def federation(cards: list[Card]) -> FederationFile:
    return found_federation("ward", TIME, cards, BANK)


def altered(path: Path, alter: Callable[[dict[str, Any]], object]) -> Path:
    form = json.loads(path.read_text())
    alter(form)
    path.write_text(json.dumps(form))
    return path


def test_what_is_written_is_read_and_the_order_of_cards_changes_nothing(cards: list[Card], tmp_path: Path) -> None:
    federation = found_federation("ward", TIME, cards, BANK)
    write_federation(federation, tmp_path / "federation.json")
    assert read_federation(tmp_path / "federation.json") == federation
    assert render_federation(found_federation("ward", TIME, cards[::-1], BANK)) == render_federation(federation)
    assert [member.name for member in members_to_call(federation)] == ["north", "south"]
    assert federation.card("north") == cards[1]
    assert federation.card("west") is None


def test_fingerprint_changes_with_whatever_must_never_change(cards: list[Card]) -> None:
    other = msgspec.structs.replace
    federation = found_federation("ward", TIME, cards, BANK, comet={"genesis": "{}"})
    variants = [
        federation,
        found_federation("ward 2", TIME, cards, BANK, comet={"genesis": "{}"}),
        found_federation("ward", TIME + 1, cards, BANK, comet={"genesis": "{}"}),
        found_federation("ward", TIME, cards[:1], BANK, comet={"genesis": "{}"}),
        found_federation("ward", TIME, cards, BANK, parameters=ChainParameters(in_flight=2), comet={"genesis": "{}"}),
        other(federation, engine="cometbft"),
        other(federation, comet={"genesis": "{ }"}),
        other(federation, application=ApplicationTerms("training", BANK.parameters)),
        other(federation, application=ApplicationTerms("bank", {"governor": "11" * 32})),
        other(federation, application=ApplicationTerms("bank", {})),
    ]
    assert len({one.fingerprint for one in variants}) == len(variants)
    # Cards only say where members are reached now.
    assert other(federation, cards=()).fingerprint == federation.fingerprint


@pytest.mark.parametrize("shared", ["name", "key", "certificate", "address", "gateway", "gateway as address"])
def test_members_that_share_anything_are_refused(cards: list[Card], shared: str) -> None:
    one, two = cards
    changed = msgspec.structs.replace
    if shared == "gateway":
        two = changed(two, gateway=one.gateway)
    elif shared == "gateway as address":
        two = changed(two, gateway=one.member.address)
    else:
        field = "keys" if shared == "key" else shared
        two = changed(two, member=changed(two.member, **{field: getattr(one.member, field)}))
    told = "address" if "gateway" in shared else shared
    with pytest.raises(InvalidConfiguration, match=f"have the same {told}"):
        found_federation("ward", TIME, [one, two], BANK)


def test_federation_has_members_but_not_too_many(cards: list[Card]) -> None:
    with pytest.raises(InvalidConfiguration, match="needs members"):
        found_federation("ward", TIME, [], BANK)
    with pytest.raises(InvalidConfiguration, match="at most 64 members, not 65"):
        found_federation("ward", TIME, cards[:1] * 65, BANK)
    with pytest.raises(LedgerError, match="in_flight"):
        found_federation("ward", TIME, cards, BANK, parameters=ChainParameters(in_flight=0))


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (lambda form: form.update(format="medward-federation/2"), "format: expected medward-federation/1"),
        (lambda form: form.update(fingerprint="0000"), "its fingerprint is .* and not the one it states"),
        (lambda form: form.update(name="other"), "not the one it states"),
        (lambda form: form["application"]["parameters"].update(governor="11" * 32), "not the one it states"),
        (lambda form: form.update(engine="cometbft"), "not the one it states"),
        (lambda form: form.update(engine="paxos"), "is no federation file"),
        (lambda form: form.update(extra=1), "is no federation file"),
        (lambda form: form.pop("genesis"), "is no federation file"),
        (lambda form: form.update(genesis="!"), "federation.json: "),
        (lambda form: form.update(genesis="AAAA"), "not a canonical encoding"),
        (lambda form: form["members"].append(form["members"][0]), "have the same name"),
        (lambda form: form["members"][0].update(certificate="!"), "malformed"),
        (lambda form: form["members"][0].update(incarnation=-1), "malformed"),
        (lambda form: form["members"][0].update(keys=[]), "malformed"),
        (lambda form: form.update(application=[[[]]]), "is no federation file"),
    ],
)
def test_file_that_says_of_itself_what_is_not_so_is_refused_in_one_sentence(
    federation: FederationFile, tmp_path: Path, alter: Callable[[dict[str, Any]], object], told: str
) -> None:
    path = tmp_path / "federation.json"
    write_federation(federation, path)
    with pytest.raises(InvalidConfiguration, match=told) as refused:
        read_federation(altered(path, alter))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"format": ' + b"[" * 100_000])
def test_any_other_content_is_no_federation_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "federation.json"
    path.write_bytes(content)
    with pytest.raises(InvalidConfiguration, match="is no federation file"):
        read_federation(path)


def test_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"get federation\.json from a member"):
        read_federation(tmp_path / "federation.json")
    with pytest.raises(InvalidConfiguration, match="cannot read"):
        read_federation(tmp_path)
