"""What the API answers: what the node shows, exactly one change at a time, and one sentence for everything else."""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from medward.errors import MedwardError
from medward.node.api.server import API_PLACES, ApiRooms, ApiServer, Shown, api_application
from medward.node.errors import ExposedSecret, NodeError
from medward.node.home.cards import Card, card_form
from medward.node.home.configuration import ApiTable
from medward.node.home.folder import Home
from medward.node.trial.ports import free_ports
from tests.admission.world import bound


class Ward(Shown):
    """A node that does what it is asked, and notes it."""

    def __init__(self, problem: str | None = None, refusal: MedwardError | None = None) -> None:
        self.problem, self.refusal, self.done = problem, refusal, list[object]()

    def _do(self, *what: object) -> Mapping[str, Any]:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(what)
        return {"height": 7}

    def health(self) -> str | None:
        return self.problem

    def has_quorum(self) -> bool:
        return self.problem is None

    async def status(self) -> Mapping[str, Any]:
        return {"name": "north"}

    def members(self) -> Sequence[Mapping[str, Any]]:
        return [{"name": "north"}]

    def rounds(self) -> Sequence[Mapping[str, Any]]:
        return ({"round": 1},)

    def models(self) -> Sequence[Mapping[str, Any]]:
        return ()

    def datasets(self) -> Sequence[Mapping[str, Any]]:
        raise ZeroDivisionError("a secret of the node")

    async def about_data(self, wanted: Mapping[str, str]) -> Mapping[str, Any]:
        return self._do(dict(wanted))

    async def resume(self) -> Mapping[str, Any]:
        return self._do("resume")

    async def metrics(self) -> bytes:
        return b"medward_up 1\n"

    def federation(self) -> bytes:
        return b"{}"

    def audit_copy(self) -> Iterator[bytes]:
        self._do("copy")
        return iter((b"one", b"two"))

    async def admit(self, card: Card) -> Mapping[str, Any]:
        return self._do("admit", card)

    async def remove(self, name: str) -> Mapping[str, Any]:
        return self._do("remove", name)

    async def retract(self, name: str) -> Mapping[str, Any]:
        return self._do("retract", name)

    async def leave(self) -> Mapping[str, Any]:
        return self._do("leave")


def ask(node: Shown, method: str, path: str, content: bytes | None = None) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(api_application(node), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            return await client.request(method, path, content=content)

    return asyncio.run(run())


def test_what_the_node_shows_is_told() -> None:
    told = {path: ask(Ward(), "GET", path) for path in ("/status", "/members", "/rounds", "/models", "/federation")}
    assert {answer.status_code for answer in told.values()} == {200}
    assert [answer.json() for answer in told.values()] == [
        {"name": "north"},
        [{"name": "north"}],
        [{"round": 1}],
        [],
        {},
    ]
    assert ask(Ward(), "GET", "/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
    copy = ask(Ward(), "GET", "/audit")
    assert (copy.content, copy.headers["content-type"]) == (b"onetwo", "application/x-tar")


def test_health_says_whether_it_works_and_not_why_not() -> None:
    good, bad = ask(Ward(), "GET", "/health"), ask(Ward(problem="the disk of ward 3 is full"), "GET", "/health")
    assert (good.status_code, good.json()) == (200, {"healthy": True, "quorum": True})
    # Whoever asks needs no token.
    assert (bad.status_code, bad.json()) == (503, {"healthy": False, "quorum": False})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/members/north", 404),
        ("PUT", "/members", 405),
        ("DELETE", "/datasets", 405),
        ("POST", "/status", 405),
        ("GET", "/resume", 405),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(method: str, path: str, status: int) -> None:
    answer = ask(Ward(), method, path)
    assert answer.status_code == status
    assert answer.json()["error"].startswith("there is nothing here")


def test_defect_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    answer = ask(Ward(), "GET", "/datasets")
    assert (answer.status_code, answer.json()) == (500, {"error": "the node failed to answer; see its log"})
    assert "a defect answering GET /datasets: ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("body", "done"),
    [
        ({"remove": "south"}, ("remove", "south")),
        ({"retract": "south"}, ("retract", "south")),
        ({"leave": True}, ("leave",)),
    ],
)
def test_one_change_of_membership_is_ordered(body: dict[str, Any], done: tuple[object, ...]) -> None:
    node = Ward()
    answer = ask(node, "POST", "/members", json.dumps(body).encode())
    assert (answer.status_code, answer.json()) == (200, {"height": 7})
    assert node.done == [done]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 10_000, 400),
        (b'{"remove": 5}', 400),
        (b'{"remove": "south", "by": "north"}', 400),
        (b'{"admit": {"name": "south"}}', 400),
        (b'{"leave": 1}', 400),
        (b"{}", 409),
        (b'{"leave": false}', 409),
        (b'{"remove": "south", "leave": true}', 409),
        (b'{"remove": "south", "retract": "south"}', 409),
    ],
)
def test_anything_but_one_change_changes_nothing(body: bytes, status: int) -> None:
    node = Ward()
    answer = ask(node, "POST", "/members", body)
    assert answer.status_code == status
    assert len(answer.json()["error"]) < 400
    assert node.done == []


def test_card_is_checked_before_its_member_is_admitted(homes: dict[str, Home]) -> None:
    node, card = Ward(), homes["south"].card()
    form = msgspec.to_builtins(card_form(card))
    assert ask(node, "POST", "/members", json.dumps({"admit": form}).encode()).status_code == 200
    assert node.done == [("admit", card)]
    forged = msgspec.to_builtins(card_form(msgspec.structs.replace(card, gateway="10.0.0.66:7451")))
    answer = ask(node, "POST", "/members", json.dumps({"admit": forged}).encode())
    assert answer.status_code == 400
    assert len(node.done) == 1


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"take": 5}', b'{"take": "a", "fetch": "b"}', b'{"eat": "a"}'])
def test_anything_but_one_thing_about_data_does_nothing(body: bytes) -> None:
    node = Ward()
    assert ask(node, "POST", "/datasets", body).status_code == 400
    assert node.done == []
    assert ask(node, "POST", "/datasets", b'{"take": "rows.csv"}').status_code == 200
    assert node.done == [({"take": "rows.csv"},)]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/members", b'{"leave": true}'),
        ("POST", "/datasets", b'{"fetch": "bafy"}'),
        ("POST", "/resume", None),
        ("GET", "/audit", None),
    ],
)
def test_refusal_is_the_node_s_own_sentence(method: str, path: str, body: bytes | None) -> None:
    answer = ask(Ward(refusal=NodeError("the node is starting; try again")), method, path, body)
    assert (answer.status_code, answer.json()) == (409, {"error": "the node is starting; try again"})


def test_body_that_a_caller_made_up_is_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ask(Ward(), "POST", "/members", b'{"all is well\\n2026 north: ' + b"x" * 3000 + b'": 1}')
    [record] = caplog.records
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 300


@pytest.mark.parametrize("share", [1.0, 0.5, 0.001])
def test_places_are_as_many_as_they_are_said_to_be(share: float) -> None:
    rooms = ApiRooms.of(share)
    assert sum(room.places for room in rooms) <= max(share * API_PLACES, 32)
    assert [room.known for room in rooms] == [False, True]


def served(table: ApiTable, home: Path) -> ApiServer:
    return ApiServer(Ward(), table, home, "token")


def test_address_and_certificate_that_cannot_be_had_are_told(tmp_path: Path) -> None:
    with bound() as taken:
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(NodeError, match=f"cannot listen on {address}: .*change api.listen in node.toml"):
            served(ApiTable(listen=address), tmp_path)
    table = ApiTable(listen=f"127.0.0.1:{free_ports(1)[0]}", certificate="api.crt", key="api.key")
    (tmp_path / "api.key").write_text("no key")
    (tmp_path / "api.key").chmod(0o644)
    with pytest.raises(ExposedSecret):
        served(table, tmp_path)
    (tmp_path / "api.key").chmod(0o600)
    with pytest.raises(NodeError, match=r"cannot use api.certificate .*api.crt with api.key .*api.key: "):
        served(table, tmp_path)


def test_server_that_was_stopped_serves_no_more(tmp_path: Path) -> None:
    server = served(ApiTable(listen=f"127.0.0.1:{free_ports(1)[0]}"), tmp_path)
    server.stop()
    asyncio.run(asyncio.wait_for(server.run(), 5))
