"""Published tables that medward does not know, from a proposed schema to alerts, and what their scores are worth."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

pytestmark = pytest.mark.slow

UL_ECE = "ul-ece-mqtt-ddos-h-iot2025"
ECU = "ecu-ioht-encoded-sample"
NF_TON = "nf-ton-iot-v2-sample30k"


def table(data_folder: Path, name: str) -> Path:
    path = data_folder / name / f"{name}.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


def proposed(medward: Run, path: Path, label: str, folder: Path) -> Path:
    out = folder / "schema.toml"
    assert medward("data", "schema", path, "--label", label, "--out", out).code == 0
    return out


def test_simulated_messages_are_checked_and_compared_with_a_word_on_what_that_is_worth(
    data_folder: Path, tmp_path: Path, medward: Run
) -> None:
    path = table(data_folder, UL_ECE)
    schema = proposed(medward, path, "outcome", tmp_path)
    checked = medward("data", "check", path, "--schema", schema, "--json").document
    words = ("--quick", "--method", "majority", "--method", "logistic")
    compared = medward("reproduce", "--data", path, "--schema", schema, *words)
    for caution, column in zip(checked["cautions"], ("node", "frequency"), strict=True):
        assert caution.startswith(f"{column} alone separates attacks from benign rows")
        assert f"Caution: {caution}" in compared.out


def test_encoded_packets_are_trained_on_together_and_told_to_be_repeats_and_labels_in_other_words(
    data_folder: Path, tmp_path: Path, medward: Run
) -> None:
    path = table(data_folder, ECU)
    schema, out = proposed(medward, path, "Type of attack", tmp_path), tmp_path / "out"
    words = ("--simulate", "--protect", "none", "--rounds", 2, "--out", out, "--json")
    done = medward("demo", "--data", path, "--schema", schema, *words).document
    judged = medward("evaluate", "--model", out / "model", "--data", path, "--json").document
    for said in ("76% of the rows repeat", "Length alone separates", "Info alone tells Smurf Attack"):
        assert any(caution.startswith(said) for caution in done["cautions"])
        assert any(caution.startswith(said) for caution in judged["cautions"])
        assert said in (out / "report.html").read_text()
    lines = medward("detect", "--model", out / "model", "--flows", path, "--alerts-only").out.splitlines()
    assert "Smurf Attack" in {json.loads(line)["class"] for line in lines}
    members = [word for port in range(4) for word in ("--member", f"m{port}=127.0.0.1:{7450 + 10 * port}")]
    trial = tmp_path / "trial"
    begun = medward("federation", "init", "--out", trial, "--schema", schema, *members, "--json")
    assert begun.code == 0, begun.err
    agreed = ("--federation", trial / "federation.json", "--data", path)
    joined = medward("federation", "join", "--home", trial / "m0", *agreed)
    assert "caution: 76% of the rows repeat" in joined.err
    assert "it trains on attacks and benign rows" in joined.out


@pytest.mark.release
def test_flows_of_another_laboratory_are_learned_centrally_on_rows_held_back_at_random(
    data_folder: Path, tmp_path: Path, medward: Run
) -> None:
    path = table(data_folder, NF_TON)
    schema = proposed(medward, path, "Attack", tmp_path)
    words = ("--protocol", "random", "--method", "pooled", "--seeds", 1, "--json")
    [run] = medward("reproduce", "--data", path, "--schema", schema, *words).document["data"][NF_TON]["runs"]
    assert run["metrics"]["binary"]["macro_f1"] >= 0.955
