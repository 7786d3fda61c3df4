"""`medward detect` on a file, on standard input and on a file that grows; `--model` that is something else."""

import gzip
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.numpy

from medward.flows.datasets import ward
from tests.cli.conftest import Run
from tests.node.hosts import MEDWARD


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unseen") / "unseen.csv"
    ward.write_csv(path, 300, 77)
    return path


@contextmanager
def detecting(*words: object) -> Iterator[subprocess.Popen[str]]:
    command = [*MEDWARD, "detect", *map(str, words)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def assert_alike(found: list[str], expected: list[str]) -> None:
    """Check that decisions are the same; rows that come in other batches are rounded in another way."""
    for one, other in zip(map(json.loads, found), map(json.loads, expected), strict=True):
        assert one.pop("q") == pytest.approx(other.pop("q"), abs=1e-4)
        assert one == other


@pytest.mark.slow
def test_standard_input_is_decided_as_it_comes_and_as_the_file_is(medward: Run, ward_model: Path, unseen: Path) -> None:
    expected = medward("detect", "--model", ward_model, "--flows", unseen).out.splitlines()
    lines = unseen.read_text().splitlines(keepends=True)
    with detecting("--model", ward_model, "--flows", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.writelines(lines[:101])
        process.stdin.flush()
        found = [process.stdout.readline().rstrip() for _ in range(100)]
        process.stdin.writelines(["nonsense\n", *lines[101:]])
        process.stdin.close()
        found += process.stdout.read().splitlines()
        assert process.stderr is not None
        told = process.stderr.read()
        assert process.wait() == 1
    assert_alike(found, expected)
    assert told.count("\n") == 2
    assert "standard input, row 101: the row has 1 fields" in told


@pytest.mark.slow
def test_growing_file_is_followed(medward: Run, ward_model: Path, unseen: Path, tmp_path: Path) -> None:
    expected = medward("detect", "--model", ward_model, "--flows", unseen).out.splitlines()
    lines = unseen.read_text().splitlines(keepends=True)
    growing = tmp_path / "growing.csv"
    growing.write_text("".join(lines[:11]))
    with detecting("--model", ward_model, "--flows", growing, "--follow") as process:
        assert process.stdout is not None
        found = [process.stdout.readline().rstrip() for _ in range(10)]
        with growing.open("a") as file:
            file.write("".join(lines[11:21]))
        found += [process.stdout.readline().rstrip() for _ in range(10)]
    assert_alike(found, expected[:20])


@pytest.mark.slow
def test_lines_carry_time_addresses_and_ports_of_an_own_table(medward: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    attack = np.repeat(rng.random(60) < 0.4, 10)
    size = rng.normal(100, 10, 600) + 60 * attack
    rows = [
        f"2024-05-01T10:{k // 60:02d}:{k % 60:02d}Z,10.0.0.{k % 3},10.0.1.9,{4000 + k},502,{value},"
        f"{'bad' if a else 'ok'}"
        for k, (value, a) in enumerate(zip(size, attack, strict=True))
    ]
    table, schema = tmp_path / "own.csv", tmp_path / "own.toml"
    table.write_text("\n".join(["START,SRC_IP,DST_IP,L4_SRC_PORT,L4_DST_PORT,SIZE,What", *rows]) + "\n")
    schema.write_text(
        'name = "own"\nlabel = "What"\nbenign = ["ok"]\ntime = "START"\ndevice = "SRC_IP"\nblock = 10\n[columns]\n'
        'cheap = ["SIZE"]\nforbidden = ["DST_IP", "L4_SRC_PORT", "L4_DST_PORT"]\n'
    )
    model = tmp_path / "model"
    trained = medward("train", "--data", table, "--schema", schema, "--out", model)
    assert trained.code == 0, trained.err
    lines = [json.loads(line) for line in medward("detect", "--model", model, "--flows", table).out.splitlines()]
    # A class of the hospital's own has the middle severity; what is allowed has none.
    assert {(one["decision"], one.get("severity")) for one in lines} == {("ALERT", 2), ("ALLOW", None)}
    line = lines[61]
    assert (line["at"], line["device"]) == ("2024-05-01T10:01:01.000Z", "10.0.0.1")
    ends = {"source": "10.0.0.1", "destination": "10.0.1.9", "source_port": 4061, "destination_port": 502}
    assert line.items() >= ends.items()


def test_model_that_is_something_else_is_named(medward: Run, ward_model: Path, unseen: Path, tmp_path: Path) -> None:
    home, trial = tmp_path / "trial" / "north", tmp_path / "trial"
    home.mkdir(parents=True)
    (home / "node.toml").write_text("")
    shared = tmp_path / "shared"
    arrays = {"scaler.mean": np.zeros(1, np.float32)}
    shared.write_bytes(safetensors.numpy.save(arrays, {"head": "{}"}))
    (tmp_path / "pins").mkdir()
    (tmp_path / "pins" / "pins.sqlite").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model").symlink_to(ward_model)
    for path, sentence in (
        (home, "is a node's home that has no model yet"),
        (shared, "is a shared model"),
        (tmp_path / "pins", "is a store of blobs"),
        (tmp_path / "out", f"give {tmp_path / 'out' / 'model'}"),
        (ward_model / "weights.safetensors", "is a model's weights file"),
        (ward_model / "model.json", "is the description of a model"),
        (unseen, "is a table, and no model"),
        (tmp_path / "nowhere", "is not there"),
        (Path("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"), "is the name of a blob"),
        (trial, "holds no model.json"),
    ):
        for words in (("detect", "--flows"), ("evaluate", "--data")):
            done = medward(words[0], "--model", path, words[1], unseen)
            assert done.code == 1, path
            assert sentence in done.sentence
    (home / "model").symlink_to(ward_model)
    assert f"give {home / 'model'}" in medward("detect", "--model", home, "--flows", unseen).sentence
    assert f"such as {home / 'model'}" in medward("detect", "--model", trial, "--flows", unseen).sentence


def test_follow_is_for_files(medward: Run, ward_model: Path) -> None:
    assert medward("detect", "--model", ward_model, "--flows", "-", "--follow").code == 2


def test_detect_prints_one_line_for_each_flow(medward: Run, ward_model: Path, unseen: Path) -> None:
    bare = unseen.with_name("today.csv.gz")
    frame = pl.read_csv(unseen, infer_schema=False).drop("label")
    bare.write_bytes(gzip.compress(frame.write_csv().encode()))
    done = medward("detect", "--model", ward_model, "--flows", bare)
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len(lines) == frame.height == 300
    for line, device, time in zip(lines, frame["device"], frame["time"], strict=True):
        assert line.keys() >= {"time", "device", "decision", "class", "q", "evidence", "model"}
        assert (line["device"], line["time"], line["synthetic"]) == (device, float(time), True)
        best = max(line["q"], key=line["q"].__getitem__)
        assert best == ("ALLOW" if line["decision"] == "ALLOW" else f"ALERT {line['class']}")
        assert ("ESCALATE" in line["q"]) != line["evidence"]
    alerts = medward("detect", "--model", ward_model, "--flows", bare, "--alerts-only").out.splitlines()
    assert [json.loads(line) for line in alerts] == [line for line in lines if line["decision"] == "ALERT"]


def test_detect_decides_as_evaluate_does(medward: Run, ward_model: Path, unseen: Path) -> None:
    lines = [json.loads(line) for line in medward("detect", "--model", ward_model, "--flows", unseen).out.splitlines()]
    truth = pl.read_csv(unseen, infer_schema=False)["label"]
    right = sum(line["class"] == label for line, label in zip(lines, truth, strict=True)) / len(lines)
    done = medward("evaluate", "--model", ward_model, "--data", unseen, "--json")
    assert done.document["metrics"]["multiclass"]["accuracy"] == pytest.approx(right)
