"""Whoever alters a file of a demo's folder is noticed, or the file is one that the audit says it does not check."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from medward.audit.demo import DemoTerms, audit_demo
from medward.audit.findings import AuditResult
from medward.audit.homes import audit
from medward.audit.unchecked import unchecked_files
from medward.errors import BadUsage
from medward.node.home.folder import Home
from medward.node.trial.founding import Seat, found_on_one_machine
from medward.node.trial.manifest import DemoManifest, may_list, write_manifest
from medward.report.federation_page import page_of
from tests.audit.demo_folder import copied_homes, stores_of, terms_of, written_demo
from tests.audit.homes import NAMES, altered, one_byte_altered

pytestmark = pytest.mark.slow
DOCUMENTS = ("metrics.json", "report.html", "manifest.json", "model/model.json", "model/weights.safetensors")


@pytest.fixture(scope="module")
def demo(audited_homes: dict[str, Home], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"
    folder.mkdir()
    written_demo(copied_homes(audited_homes, folder), folder)
    return folder


@pytest.fixture(scope="module")
def terms(demo: Path) -> Iterator[DemoTerms]:
    stores = stores_of(demo)
    yield terms_of(demo, stores)
    stores.close()


def found_in(demo: Path, terms: DemoTerms) -> AuditResult:
    found = AuditResult()
    audit_demo(demo, NAMES, terms, found)
    return found


def problems_in(demo: Path, terms: DemoTerms) -> str:
    return "\n".join(map(str, found_in(demo, terms).problems))


def test_untouched_demo_is_sound_and_says_what_its_signatures_are_worth(demo: Path) -> None:
    found = audit(demo, only=0, make_page=page_of)
    assert found.sound, "\n".join(map(str, found.problems))
    checked = found.groups["demo"].checked
    assert (checked["signatures"], checked["rounds"], checked["model files"], checked["pages"]) == (4, 4, 2, 1)
    assert found.demo.signed_by == found.demo.keys_here == NAMES
    assert "could sign again" in found.groups["demo"].remarks[0].what
    assert {one.path for one in found.unchecked} >= {f"{name}/ledger/keys/" for name in NAMES}
    assert not {one.path for one in found.unchecked} & set(DOCUMENTS)


def test_altered_byte_in_every_file_is_noticed_or_the_file_is_named(demo: Path, terms: DemoTerms) -> None:
    untouched = found_in(demo, terms)
    told = audit_demo(demo, NAMES, terms, AuditResult())
    compared = told.listed | {"manifest.json"}
    unchecked = [one.path for one in unchecked_files(demo, NAMES, compared)]
    drawn = random.Random(5)
    noticed = 0
    for file in sorted(path for path in demo.rglob("*") if path.is_file()):
        path = file.relative_to(demo).as_posix()
        if any(path == one or (one.endswith("/") and path.startswith(one)) for one in unchecked):
            continue
        if "/store/blocks/" in path:
            continue  # hashed by the group `store`: test_altered_bytes.py
        content = file.read_bytes()
        for at in {0, len(content) - 1, *(drawn.randrange(len(content)) for _ in range(3))}:
            with altered(file, one_byte_altered(content, at)):
                found = found_in(demo, terms)
            if path in DOCUMENTS or "/" not in path:
                assert any(path in str(one) for one in found.problems), (path, at)
            else:
                new = [one for one in found.remarks if one not in untouched.remarks]
                assert any(one.home == path.split("/")[0] and path.split("/", 1)[1] in one.what for one in new), path
            noticed += 1
    assert noticed > 5 * len(DOCUMENTS)


@contextmanager
def signed_again(demo: Path, file: str, content: bytes, signers: tuple[str, ...] = NAMES) -> Iterator[None]:
    """Alter a file as somebody does who has the members' keys too."""
    homes = {name: Home(demo / name) for name in NAMES}
    manifest = demo / "manifest.json"
    with altered(manifest, manifest.read_bytes()), altered(demo / file, content):
        write_manifest(demo, homes, signers)
        yield


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: told["rounds_log"][1]["cohort"].pop(), "round 1: metrics.json: it says other cohort"),
        (lambda told: told["rounds_log"][2]["answers"].clear(), "other answers"),
        (lambda told: told["rounds_log"][3].update(model="bafkother"), "other model"),
        (lambda told: told["rounds_log"].pop(), "rounds, each once"),
        (lambda told: told["rounds_log"].append(told["rounds_log"][0]), "rounds, each once"),
        (lambda told: told.update(sites=5), "sites is not 4"),
        (lambda told: told.update(synthetic=1), "synthetic is not True"),
        (lambda told: told.update(model_name="sha256:00"), "model_name is not"),
        (lambda told: told.pop("rounds_log"), "tells of no rounds"),
        (lambda told: told.update(expected_cost=0.5), "report.html: it is not the page"),
        (lambda told: told.update(classes=7), "report.html: no page can be made"),
    ],
)
def test_who_signs_again_must_still_agree_with_the_ledger(
    demo: Path, terms: DemoTerms, change: Callable[[dict[str, object]], object], says: str
) -> None:
    told = json.loads((demo / "metrics.json").read_bytes())
    change(told)
    with signed_again(demo, "metrics.json", json.dumps(told).encode()):
        assert says in problems_in(demo, terms)


def test_who_signs_another_model_must_still_agree_with_the_ledger(demo: Path, terms: DemoTerms) -> None:
    content = (demo / "model" / "model.json").read_bytes()
    with signed_again(demo, "model/model.json", content.replace(b'"seed": 1', b'"seed": 2')):
        assert problems_in(demo, terms) == "model/model.json: it is not what the ledger's last model leads to"


def test_fewer_signers_than_a_quorum_and_strangers_prove_nothing(demo: Path, terms: DemoTerms) -> None:
    metrics = (demo / "metrics.json").read_bytes()
    with signed_again(demo, "metrics.json", metrics, NAMES[:2]):
        assert "2 of the members signed it; a quorum of 3 is needed" in problems_in(demo, terms)
    manifest = demo / "manifest.json"
    for name, says in (("hospital-9", "hospital-9 is no member"), ("hospital-3", "hospital-3 did not sign")):
        told = json.loads(manifest.read_bytes())
        told["signatures"][name] = told["signatures"]["hospital-1"]
        content = (
            msgspec.json.format(
                msgspec.json.encode(msgspec.convert(told, DemoManifest), order="deterministic"), indent=1
            )
            + b"\n"
        )
        with altered(manifest, content):
            assert says in problems_in(demo, terms)


@pytest.mark.parametrize("name", ["metrics.json", "report.html", "manifest.json", "model/model.json", "model"])
def test_missing_linked_and_strange_files_are_told_and_not_followed(
    demo: Path, terms: DemoTerms, tmp_path: Path, name: str
) -> None:
    file, away = demo / name, tmp_path / "away"
    shutil.move(file, away)
    try:
        assert name in problems_in(demo, terms), "missing"
        for make in (file.mkdir, lambda: file.symlink_to(away), lambda: os.mkfifo(file)):
            make()
            assert name in problems_in(demo, terms)
            shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()
    finally:
        shutil.move(away, file)


def test_huge_document_is_not_read(demo: Path, terms: DemoTerms) -> None:
    with altered(demo / "metrics.json", b""):
        os.truncate(demo / "metrics.json", 2**40)
        assert "metrics.json: cannot be read: it has more than" in problems_in(demo, terms)


def test_home_that_was_taken_away_is_told(demo: Path, terms: DemoTerms) -> None:
    found = AuditResult()
    audit_demo(demo, NAMES[:3], terms, found)
    assert not found.problems
    assert [one.home for one in found.remarks if "is not here" in one.what] == [NAMES[3]]


def test_manifest_with_more_signatures_than_members_is_not_read(demo: Path, terms: DemoTerms) -> None:
    told = json.loads((demo / "manifest.json").read_bytes())
    told["signatures"] |= {f"stranger-{number:03}": "AA==" for number in range(100)}
    with altered(demo / "manifest.json", json.dumps(told).encode()):
        assert "signatures, and a ledger at most" in problems_in(demo, terms)


def test_manifest_lists_no_secret_and_nothing_outside() -> None:
    for path in ("a/ledger/keys/signing.key", "a/token", "a/participant/secret", "../x/node.toml", "a/../node.toml"):
        assert not may_list(path)
    for path in ("/etc/federation.json", "a/log/../../x", "a/log/\n", "model/../x"):
        assert not may_list(path)
    assert may_list("node-hospital-1/log/node.jsonl")


def test_what_somebody_put_there_is_named(demo: Path) -> None:
    strange = demo / "paid\x1b[2J\nsound"
    block = next((demo / "hospital-1" / "store" / "blocks").iterdir()) / "notes.txt"
    strange.write_text("")
    block.write_text("")
    (demo / "link").symlink_to("/etc")
    try:
        named = {one.path: one.why for one in unchecked_files(demo, NAMES, ())}
    finally:
        for path in (strange, block, demo / "link"):
            path.unlink()
    assert named[strange.name] == "no audit reads a file of this name here"
    assert "not followed" in named["link"]
    assert block.relative_to(demo).as_posix() in named


def test_homes_of_two_federations_are_refused_in_one_sentence(demo: Path, tmp_path: Path) -> None:
    copied_homes({"hospital-1": Home(demo / "hospital-1")}, tmp_path)
    seats = [Seat.of(f"other-{n}=127.0.0.1:{23000 + 10 * n}") for n in range(3)]
    found_on_one_machine(tmp_path / "second", "second", seats, "bank")
    (tmp_path / "second" / "other-0").rename(tmp_path / "other-0")
    with pytest.raises(BadUsage, match="homes of several federations: hospital-1 belongs to ward") as refused:
        audit(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["node.toml", "federation.json", "card.json", "ledger/journal/journal.sqlite"])
def test_pipe_in_a_home_is_told_and_waited_for_by_nobody(demo: Path, tmp_path: Path, name: str) -> None:
    homes = copied_homes({one: Home(demo / one) for one in NAMES}, tmp_path)
    file = homes["hospital-2"].folder / name
    file.unlink()
    os.mkfifo(file)
    found = audit(tmp_path, only=0)
    assert [one.home for one in found.groups["files"].problems] == ["hospital-2"]
    assert f"{file.name} is no plain file" in found.problems[0].what


def test_home_whose_node_never_ran_is_a_remark_beside_others_and_a_problem_alone(demo: Path, tmp_path: Path) -> None:
    homes = copied_homes({one: Home(demo / one) for one in NAMES}, tmp_path)
    silent = homes["hospital-2"]
    shutil.rmtree(silent.ledger / "journal")
    shutil.rmtree(silent.store)
    found = audit(tmp_path, only=0)
    assert found.sound, "\n".join(map(str, found.problems))
    assert [str(one) for one in found.groups["files"].remarks] == [
        "hospital-2: it has no ledger and no store: its node never ran, or somebody emptied it"
    ]
    assert not audit(silent.folder).sound
