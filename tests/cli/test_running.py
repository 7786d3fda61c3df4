"""What is asked of running nodes, and what is said of them: also where none runs, and where one says what is not so."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medward.cli import _console
from medward.cli.running import _show
from medward.node.home.cards import read_card
from medward.node.ledger.wishes import told
from tests.cli.conftest import Done, Run, assert_bad_usage
from tests.federation.test_membership import founded, goes
from tests.store.hostile import Exchange, hostile_peer

STATUS: dict[str, Any] = {
    "name": "north", "incarnation": 2, "federation": "wards", "fingerprint": "77c0 1234", "phase": "running",
    "problem": None, "members": ["north", "south"], "warnings": [],
    "ledger": {"height": 41, "votes": True, "in_reach": 2}, "store": {"disk_free": 3 * 2**30},
    "participant": {"round": 5, "phase": "answering"},
}  # fmt: skip
SET = {"member": "south", "data": "bafkset", "rows": 12, "data_set": "ward", "readers": ["south", "north"]}


class Node:
    """What answers as a node: a document for each path, and what it was asked to order."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"/status": STATUS, "/members": [], "/datasets": []}
        self.refusal: str | None = None
        self.asked: list[Any] = []
        self.url = ""
        self.seconds = 0.0

    def answer(self, request: Exchange) -> None:
        if request.command == "POST":
            body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
            self.asked.append(json.loads(body) if body else request.path)
        time.sleep(self.seconds)
        request.begin(200 if self.refusal is None else 403, content_type="application/json")
        found = self.answers.get(request.path) if self.refusal is None else {"error": self.refusal}
        request.send(json.dumps(found).encode())


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    with hostile_peer(node.answer) as peer:
        node.url = peer.peer.url
        yield node


Ask = Callable[..., Done]


@pytest.fixture
def ask(medward: Run, node: Node, tmp_path: Path) -> Ask:
    """Return a function that says something to the node."""
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("secret-token\n")
    return lambda *words: medward("federation", *words, "--node", node.url, "--token-file", token)


def test_a_node_that_does_not_run_is_shown_as_such(medward: Run, trial: Path) -> None:
    done = medward("federation", "status", "--home", trial, "--json")
    assert done.code == 1
    assert len(done.document["nodes"]) == 4
    assert all("is it running?" in node["problem"] for node in done.document["nodes"])
    assert "Traceback" not in done.err
    done = medward("federation", "leave", "--home", trial / "h0")
    assert done.code == 1
    assert "is it running?" in done.sentence


def test_status_shows_which_changes_of_the_members_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    ledger = founded("abcd")
    ledger.order(("a", goes("d")), time=1_700_000_000.0)
    wishes = told(ledger.application.federation.membership, 1_700_000_000.0)
    _show([{"node": "n", "problem": None, "datasets": [], "participant": {"wishes": wishes}}])
    assert "a wants d to go: 1 more member must want it, until 2023-11-21 22:13 UTC\n" in capsys.readouterr().out


def test_card_that_nobody_compared_is_shown_with_its_fingerprint(medward: Run, trial: Path) -> None:
    file = trial / "h2" / "card.json"
    shown = read_card(file).fingerprint
    done = medward("federation", "admit", file, "--home", trial / "h0")  # whose node does not run
    assert f"the card of h2 has the fingerprint {shown}, which nobody has compared" in done.err
    done = medward("federation", "admit", file, "--home", trial / "h0", "--fingerprint", shown)
    assert "nobody has compared" not in done.err


def test_a_forged_card_is_not_sent_to_the_ledger(medward: Run, trial: Path) -> None:
    file = trial / "h1" / "card.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"address": "10.6.6.6:7450"}))
    done = medward("federation", "admit", file, "--home", trial / "h0")
    assert done.code == 1
    assert "not signed by the keys" in done.sentence
    done = medward("federation", "admit", trial / "h2" / "card.json", "--home", trial / "h0", "--fingerprint", "00")
    assert "fingerprint" in done.sentence


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["status", "--node", "http://127.0.0.1:7452"],
        ["leave"],
        ["resume"],
        ["remove", "a", "--home", "x", "--node", "http://127.0.0.1:1", "--token-file", "t"],
    ],
)
def test_bad_usage_is_told_in_one_sentence(
    medward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_bad_usage(medward, tmp_path, ("federation", *words))


def test_status_tells_what_a_node_says_of_itself_and_of_its_federation(ask: Ask, node: Node) -> None:
    part = {"labels": "benign", "labels_mean": "trains on benign rows alone", "last_final_round": 4}
    part |= {"last_final_seconds": 7200.0, "model_round": 3, "model_seconds": None}
    part |= {"validation": {"rows": 50, "attack_recall": 0.5}}
    node.answers["/status"] = STATUS | {"participant": STATUS["participant"] | part, "warnings": ["the disk is slow"]}
    node.answers["/datasets"] = [SET, SET | {"data": "bafkbytes", "data_set": ""}]
    done = ask("status")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "wards (77c0 1234)"
    assert [*done.out.splitlines()[2].split()] == [
        *("north.2", "running", "5", "answering", "41", "yes", "2", "of", "2", "3.0", "GiB")
    ]
    assert done.out.splitlines()[3:] == [
        "south keeps bafkset: 12 rows of ward, to south, north",
        "south keeps bafkbytes: sealed data, to south, north",
        "north trains on benign rows alone",
        "north: the last final round is 4, 2 hours ago; the model is of round 3, at a time that this node does not "
        "know; on 50 own validation rows: attack recall 0.5000",
        "north: the disk is slow",
    ]
    [shown] = ask("status", "--json").document["nodes"]
    assert shown.items() >= {"node": node.url, "name": "north", "known_members": [], "problem": None}.items()


def test_time_since_a_round_is_told_in_the_unit_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    for seconds, said in ((0, "0 s"), (119, "119 s"), (120, "2 minutes"), (7199, "120 minutes"), (2 * 86400, "2 days")):
        part = {"last_final_round": 4, "last_final_seconds": seconds}
        _show([{"node": "n", "name": "n", "incarnation": 0, "problem": None, "participant": part}])
        assert f"n: the last final round is 4, {said} ago\n" in capsys.readouterr().out


def test_federation_that_stopped_is_a_problem_and_it_is_said_how_to_go_on(ask: Ask, node: Node) -> None:
    stopped = {"stopped": "three rounds led to nothing"}
    node.answers["/status"] = STATUS | {"participant": STATUS["participant"] | stopped}
    done = ask("status")
    assert done.code == 1
    assert "north: the federation has stopped: three rounds led to nothing; " in done.out
    assert "medward federation resume" in done.out
    assert "not everything is well with north" in done.sentence
    node.answers["/status"] = STATUS | {"participant": stopped, "problem": "the disk is full"}
    assert "north: the disk is full\n" in ask("status").out


@pytest.mark.parametrize("evil", ["\x1b[2J", "[/not open]", "[bold]", "a\nb", "\u202e"])
def test_words_of_others_are_shown_as_they_are_and_change_nothing_on_a_terminal(
    ask: Ask, node: Node, evil: str
) -> None:
    """A name may hold brackets, which are markup elsewhere; other words may hold anything."""
    wish = {"member": evil, "wants": "to come", "by": [evil], "agreed": False, "more": 1, "until": 1_700_000_000}
    node.answers["/status"] = STATUS | {
        "federation": evil, "name": evil, "phase": evil, "warnings": [evil], "problem": evil,
        "participant": {"wishes": [wish]},
    }  # fmt: skip
    node.answers["/datasets"] = [SET | {"member": evil, "readers": [evil], "data_set": evil}]
    done = ask("status")
    assert done.code == 1
    shown = evil.encode("unicode_escape").decode() if not evil.isprintable() else evil
    assert f"{shown} wants {shown} to come: " in done.out
    assert f"{shown} keeps bafkset: 12 rows of {shown}, to {shown}\n" in done.out
    assert done.out.count(shown) >= 9
    assert shown in done.sentence
    assert not {"\x1b", "\u202e"} & {*done.out, *done.err}


@pytest.mark.parametrize(
    "answer", [None, [], {}, "north", 7, {"status": "ok"}, STATUS | {"participant": []}, STATUS | {"name": {}}]
)
def test_what_is_no_node_is_told_as_a_problem(ask: Ask, node: Node, answer: Any) -> None:
    node.answers = dict.fromkeys(("/status", "/members", "/datasets"), answer)
    done = ask("status", "--json")
    assert done.code == 1
    [shown] = done.document["nodes"]
    assert shown == {
        "node": node.url,
        "problem": f"what answers at {node.url} is no medward node, or one of another version; check the address",
    }


def test_what_was_ordered_is_told_with_its_height(ask: Ask, node: Node, trial: Path) -> None:
    node.answers |= {"/members": {"height": 7, "member": "north"}, "/resume": {"height": 8, "member": "north"}}
    node.answers["/resume"]["needed"] = 2
    card = read_card(trial / "h2" / "card.json")
    fingerprint = card.fingerprint.upper().replace(" ", "")
    for words, said in (
        (("admit", trial / "h2" / "card.json", "--fingerprint", fingerprint), "height 7: h2 (" + card.fingerprint),
        (("remove", "south"), "height 7: south goes"),
        (("retract", "south"), "height 7: the wish about south is taken back"),
        (("leave",), "height 7: north goes"),
        (("resume",), "height 8: north says that the federation goes on; it does once 2 members have"),
    ):
        done = ask(*words)
        assert (done.code, done.err) == (0, "")
        assert f"ordered at {said}" in done.out
    assert node.asked[0]["admit"]["name"] == "h2"
    assert node.asked[1:] == [{"remove": "south"}, {"retract": "south"}, {"leave": True}, "/resume"]
    told = ask("admit", trial / "h2" / "card.json", "--fingerprint", fingerprint, "--json").document
    assert told == {"height": 7, "member": "north", "card_fingerprint": card.fingerprint}


def test_command_that_waits_for_the_ledger_says_so(
    ask: Ask, node: Node, trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(_console.QUIET)
    for seconds in ("_FIRST_SECONDS", "_TELL_SECONDS", "_LOOK_SECONDS"):
        monkeypatch.setattr(_console, seconds, 0.01)
    node.answers |= {"/members": {"height": 7, "member": "north"}, "/resume": {"height": 8, "member": "north"}}
    node.answers["/resume"]["needed"] = 2
    node.seconds = 0.3
    card = trial / "h2" / "card.json"
    for words in (("admit", card), ("remove", "south"), ("retract", "south"), ("leave",), ("resume",)):
        done = ask(*words)
        assert done.code == 0
        assert "waiting for the ledger to order it (" in done.err


def test_card_of_another_fingerprint_is_sent_to_nobody(ask: Ask, node: Node, trial: Path) -> None:
    other = read_card(trial / "h1" / "card.json").fingerprint
    done = ask("admit", trial / "h2" / "card.json", "--fingerprint", other)
    assert (done.code, node.asked) == (1, [])
    assert "this is not the file that you were told of" in done.sentence


def test_refusal_is_told_in_one_line_that_changes_nothing_on_a_terminal(ask: Ask, node: Node) -> None:
    node.refusal = "no \x1b[31mmember\x1b[0m\r of that name"
    done = ask("remove", "south")
    assert (done.code, done.out) == (1, "")
    assert "refuses POST /members: no \\x1b[31mmember" in done.sentence
    assert "\x1b" not in done.err


@pytest.mark.parametrize("content", [b"", b"\n", b"secret\nsecret", b"\xff\xfesecret", "sécret".encode(), b"a secret"])
def test_token_that_no_header_holds_is_refused_and_not_shown(
    medward: Run, node: Node, tmp_path: Path, content: bytes
) -> None:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_bytes(content)
    done = medward("federation", "leave", "--node", node.url, "--token-file", token)
    assert (done.code, node.asked) == (1, [])
    assert "holds no token" in done.sentence
    assert "secret" not in done.err
    assert "cret" not in done.err.replace(str(token), "")


@pytest.mark.parametrize("url", ["http://127.0.0.1:port", "http://127.0.0.1:9\x1b", "nonsense", "ftp://127.0.0.1"])
def test_address_that_is_none_is_told(ask: Ask, medward: Run, tmp_path: Path, url: str) -> None:
    done = medward("federation", "leave", "--node", url, "--token-file", tmp_path / "token")
    assert done.code == 1
    assert "\x1b" not in done.sentence
