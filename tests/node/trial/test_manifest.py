"""A demo's manifest: what it may name, who signed it, and how files below a folder are read (threat T12)."""

import base64
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.types import Member
from medward.node.errors import NodeError
from medward.node.home.folder import Home
from medward.node.trial.manifest import (
    MANIFEST,
    DemoManifest,
    FileDigest,
    digest_of,
    may_list,
    open_inside,
    read_inside,
    read_manifest,
    write_manifest,
)


@dataclass
class Demo:
    folder: Path
    homes: dict[str, Home]
    members: dict[str, Member]


@pytest.fixture
def demo(homes: dict[str, Home]) -> Demo:
    folder = homes["north"].folder.parent
    (folder / "metrics.json").write_text("{}")
    write_manifest(folder, homes, ["north", "south"])
    return Demo(folder, homes, {name: home.card().member for name, home in homes.items()})


def test_manifest_is_signed_by_exactly_its_signers_and_names_no_secret(demo: Demo) -> None:
    manifest = read_manifest(demo.folder)
    north, south = demo.members["north"], demo.members["south"]
    assert manifest.signed_by(north)
    assert manifest.signed_by(south)
    assert manifest.files["metrics.json"] == digest_of(demo.folder, "metrics.json")
    assert "north/card.json" in manifest.files
    assert not [path for path in manifest.files if "key" in path or "token" in path or "secret" in path]
    # The name alone is no signature: the key is the one that the ledger has.
    assert not manifest.signed_by(msgspec.structs.replace(north, keys=south.keys))
    assert not manifest.signed_by(msgspec.structs.replace(north, name="west"))


@pytest.mark.parametrize(
    "alter",
    [
        lambda one: {"federation": one.federation.replace(one.federation[0], "x", 1)},
        lambda one: {"files": {**one.files, "report.html": FileDigest(1, "00")}},
        lambda one: {"files": {**one.files, "metrics.json": FileDigest(3, one.files["metrics.json"].sha256)}},
        lambda one: {"files": dict(list(one.files.items())[1:])},
        lambda one: {"signatures": {"north": one.signatures["south"]}},
        lambda one: {"signatures": {"north": ""}},
        lambda one: {"signatures": {"north": "é"}},
        lambda one: {"signatures": {"north": one.signatures["north"] + "\n"}},
        lambda one: {"signatures": {"north": _other_base64(one.signatures["north"])}},
    ],
)
def test_signature_holds_for_these_files_alone_and_in_one_form(
    demo: Demo, alter: Callable[[DemoManifest], dict[str, Any]]
) -> None:
    manifest = read_manifest(demo.folder)
    assert not msgspec.structs.replace(manifest, **alter(manifest)).signed_by(demo.members["north"])


def _other_base64(text: str) -> str:
    """Return another text that lax readers of base64 take for the same 64 bytes."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:-3] + letters[letters.index(text[-3]) ^ 1] + "=="
    assert base64.b64decode(other) == base64.b64decode(text)
    return other


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no manifest"),
        (b"\xff", "no manifest"),
        (b"[" * 100_000, "no manifest"),
        (b'{"files": ' + b'{"a":' * 100_000, "no manifest"),
        (b"{}", "no manifest"),
    ],
)
def test_other_content_is_no_manifest(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(NodeError, match=told):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (lambda form: form.update(format="medward-manifest/2"), "another format"),
        (lambda form: form["files"].update({"north/token": {"bytes": 1, "sha256": ""}}), "no demo lists"),
        (lambda form: form["files"].update({"../x": {"bytes": 1, "sha256": ""}}), "no demo lists"),
        (lambda form: form.update(files={f"model/{n}": {"bytes": 1, "sha256": ""} for n in range(10_001)}), "no demo"),
        (lambda form: form.update(signatures={str(n): "" for n in range(65)}), "65 signatures"),
        (lambda form: form.update(extra=1), "no manifest"),
        (lambda form: None, "somebody altered it"),
    ],
)
def test_altered_manifest_is_refused(demo: Demo, alter: Callable[[dict[str, Any]], None], told: str) -> None:
    path = demo.folder / MANIFEST
    form = json.loads(path.read_text())
    alter(form)
    path.write_text(json.dumps(form))
    with pytest.raises(NodeError, match=told):
        read_manifest(demo.folder)


def test_manifest_without_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / MANIFEST).open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(NodeError, match="more than 16777216 bytes"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        *("token", "north/token", "north/ledger/keys/signing.key", "north/participant/secret", "north/swarm.key"),
        *("../metrics.json", "./metrics.json", "/metrics.json", "north/../metrics.json", "north//card.json", ""),
        *(
            "metrics.json/",
            "model/a/b",
            "model/",
            "model/ledger/nonce",
            "north/log/a/b",
            "north/log/\x1b[2J",
            "model/..",
        ),
        *("north/south/card.json", "metrics.json\n", "report.html\0"),
    ],
)
def test_no_manifest_names_a_secret_or_what_lies_elsewhere(path: str) -> None:
    assert not may_list(path)


@given(st.text("./\\\0\nmodelg", max_size=20))
def test_no_path_that_may_be_listed_leads_out_of_the_folder(path: str) -> None:
    if may_list(path):
        assert ".." not in path.split("/")
        assert not os.path.isabs(path)
        assert path.isprintable()


def test_only_plain_files_below_the_folder_are_opened(tmp_path: Path) -> None:
    folder, outside = tmp_path / "demo", tmp_path / "outside"
    (folder / "model").mkdir(parents=True)
    outside.mkdir()
    for place in (folder / "model" / "plain", outside / "plain"):
        place.write_bytes(b"content")
    (folder / "link").symlink_to(outside / "plain")
    (folder / "way").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    assert read_inside(folder, "model/plain", 7) == b"content"
    before = len(os.listdir("/proc/self/fd"))
    for path in ("link", "way/plain", "pipe", "model", "nothing", "nothing/plain", "model/plain/deep"):
        with pytest.raises(OSError, match=r".*"):
            open_inside(folder, path)
    with pytest.raises(OSError, match="more than 6 bytes"):
        read_inside(folder, "model/plain", 6)
    assert len(os.listdir("/proc/self/fd")) == before


def test_file_of_another_length_is_not_read_and_has_no_digest(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**42)
    assert digest_of(tmp_path, "large", 5) == FileDigest(2**42, "")
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, SHA-256 of "abc"
    assert digest_of(tmp_path, "abc", 3) == digest_of(tmp_path, "abc") == FileDigest(3, known)
