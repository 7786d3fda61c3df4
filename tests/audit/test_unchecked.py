"""Whatever lies in an audited folder was compared or is named with the reason why not: nothing is passed over."""

import os
from collections.abc import Collection
from pathlib import Path

import pytest

from medward.audit.unchecked import unchecked_files
from medward.store.cid import Cid

BLOCK = Cid.of(b"content").key


def named(folder: Path, homes: Collection[str] = (), compared: Collection[str] = ()) -> dict[str, str]:
    return {one.path: one.why for one in unchecked_files(folder, homes, compared)}


def made(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")


def test_what_an_audit_reads_is_not_named(tmp_path: Path) -> None:
    made(tmp_path, "federation.json", "card.json", "ledger/journal/journal.sqlite", "ledger/journal/journal.sqlite-wal")
    made(tmp_path, "ledger/journal/witness", f"store/blocks/{BLOCK[-2]}/{BLOCK}")
    (tmp_path / "store" / "incoming").mkdir()
    assert named(tmp_path) == {}


@pytest.mark.parametrize(
    ("path", "shown", "why"),
    [
        ("token", "token", "a secret of the node's API"),
        ("ledger/keys/signing.key", "ledger/keys/", "secret keys"),
        ("participant/secret", "participant/", "own secrets"),
        ("node.toml", "node.toml", "rebuilds the plan"),
        ("ledger/journal/other", "ledger/journal/other", "no audit reads"),
        ("ledger/journal/deep/journal.sqlite", "ledger/journal/deep/", "no audit reads"),
        ("store/pins.sqlite", "store/pins.sqlite", "what the node keeps"),
        ("store/blocks/stray", "store/blocks/stray", "no audit reads"),
        (f"store/blocks/{BLOCK[-2]}/{BLOCK}x", f"store/blocks/{BLOCK[-2]}/{BLOCK}x", "no audit reads"),
        (f"store/blocks/zz/{BLOCK}", f"store/blocks/zz/{BLOCK}", "no audit reads"),
        (f"store/blocks/{BLOCK[-2]}/{BLOCK.upper()}", f"store/blocks/{BLOCK[-2]}/{BLOCK.upper()}", "no audit reads"),
        ("log/node.jsonl", "log/node.jsonl", "for its operator"),
        ("anything/at/all", "anything/", "no audit reads"),
        ("\x1b[2J", "\x1b[2J", "no audit reads"),
    ],
)
def test_everything_else_in_a_home_is_named_with_the_reason(tmp_path: Path, path: str, shown: str, why: str) -> None:
    made(tmp_path, path)
    [(found, reason)] = named(tmp_path).items()
    assert found == shown
    assert why in reason


@pytest.mark.parametrize(
    "path", ["federation.json", "card.json", "ledger/journal/witness", "ledger", "store/blocks", "log", "x"]
)
def test_link_in_the_place_of_anything_is_named_and_not_followed(tmp_path: Path, path: str) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    made(elsewhere, "journal/secret", "deep/file")
    (home / path).parent.mkdir(parents=True)
    (home / path).symlink_to(elsewhere)
    assert named(home) == {path: "a symbolic link, which is not followed"}


@pytest.mark.parametrize("path", ["federation.json", "card.json"])
def test_folder_in_the_place_of_a_file_that_is_read_is_named(tmp_path: Path, path: str) -> None:
    made(tmp_path, f"{path}/hidden")
    assert list(named(tmp_path)) == [f"{path}/"]


def test_pipe_among_blocks_is_named_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "store" / "blocks" / BLOCK[-2]).mkdir(parents=True)
    os.mkfifo(tmp_path / "store" / "blocks" / BLOCK[-2] / BLOCK)
    assert list(named(tmp_path)) == [f"store/blocks/{BLOCK[-2]}/{BLOCK}"]


def test_of_a_demo_what_was_compared_is_left_out_and_the_rest_is_named(tmp_path: Path) -> None:
    made(
        tmp_path,
        "north/federation.json",
        "north/token",
        "north/log/a",
        "metrics.json",
        "model/a",
        "model/b",
        "trial.json",
    )
    made(tmp_path, "south/node.toml", "other/deep/file")
    found = named(tmp_path, ["north"], ["metrics.json", "model/a", "north/log/a"])
    assert set(found) == {"north/token", "model/b", "trial.json", "south/", "other/"}
    assert found["trial.json"] == "it says which folders are homes"


def test_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert named(tmp_path / "missing") == {}
    made(tmp_path, "file")
    assert named(tmp_path / "file") == {}
