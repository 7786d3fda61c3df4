"""`medward bench fhe`: what it compares is right before it is timed, and it runs with whatever is installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import scaling
from medward.bench.fhe import computing, measures, others, transforms
from medward.bench.fhe.member_part import STEPS, WEIGHTS, RoundTimes, round_times
from medward.errors import MedwardError
from medward.federation.model.wire import parts, sum_set
from medward.fhe.encoding import residue_bytes
from medward.fhe.lanes import BlockLayout

ROOT = Path(__file__).parents[2]


def test_alternatives_add_correctly_where_they_can_add() -> None:
    assert others.elgamal().error == 0
    assert others.quaternion().error == 0
    assert others.rsa_oaep().add is None
    assert others.aes_gcm().add is None
    for optional in (others.tenseal(), others.openfhe(), others.paillier()):  # with what is installed
        assert optional is None or (optional.error is not None and optional.error < 1e-5)


def test_library_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert others.installed("no_such_library_anywhere") is None
    monkeypatch.setattr(transforms, "installed", lambda _: None)
    measured = transforms.transform_rows(rounds=1, degrees=(1024, 2048))
    assert len(measured) == 2 * len(transforms.WHAT)
    assert all(row.other is None and row.ratio is None and row.ours > 0 for row in measured)


@pytest.mark.parametrize("library", ["seal", "no_such_library_anywhere"])
def test_operations_on_ciphertexts_are_right_before_they_are_timed(
    monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    found = others.installed(library)
    monkeypatch.setattr(computing, "installed", lambda _: found)
    small = computing.ComputingSet(1024, 45, 1, 2)
    rows = computing.computing_rows((small,), runs=2, for_tests=True)
    assert [row.what for row in rows] == [
        "multiply, relinearise, rescale; N = 1024", "rotate; N = 1024", "two disjoint keys, multiply; N = 1024",
    ]  # fmt: skip
    for row in rows:
        assert row.ours > 0
        assert (row.ratio is None) == (found is None)
        assert row.ratio is None or row.ratio == pytest.approx(row.other / row.ours)


def test_openfhe_runs_with_an_interpreter_of_its_own_and_says_when_that_one_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDWARD_OPENFHE_PYTHON", "/nowhere/python3")
    with pytest.raises(MedwardError, match="MEDWARD_OPENFHE_PYTHON = /nowhere/python3 cannot run OpenFHE"):
        others.openfhe()


@pytest.fixture(scope="module")
def small() -> RoundTimes:
    return round_times(4, 8, weights=9000, runs=2)


def test_a_members_whole_part_is_all_that_its_steps_take(small: RoundTimes) -> None:
    assert set(small.steps) == set(STEPS)
    assert all(spent > 0 for spent in small.steps.values())
    assert small.error == 0
    assert small.whole == pytest.approx(sum(small.steps.values()))  # medians of two runs are their means


def test_what_a_member_sends_and_fetches_is_what_the_wire_says(small: RoundTimes) -> None:
    sizes = parts(small.parameters, 0, small.weights)
    assert (small.contribution, small.response, small.answer) == (sizes.contribution, sizes.response, sizes.answer)
    assert small.fetched == 3 * small.sent
    assert 0 < small.ciphertexts < small.contribution


def test_rows_stand_beside_the_same_work_of_another_system(small: RoundTimes) -> None:
    other = others.CostPerValue("another", encrypt=2.0, add=0.5, decrypt=1.0, size=80.0, error=0.25)
    measured = {row.what: row for row in measures.round_rows(small, other)}
    whole = measured["a member's whole part, 8 bits, 4 members"]
    assert whole.other == pytest.approx(1e6 / (2.0 + 3 * 0.5 + 1.0))
    assert whole.ratio == pytest.approx(whole.ours * (2.0 + 3 * 0.5 + 1.0) / 1e6)
    assert measured["ciphertexts, 8 bits, 4 members"].ratio == pytest.approx(80.0 / (small.ciphertexts / 9000))
    assert measured["largest error, 8 bits, 4 members"].ours == 0
    alone = measures.round_rows(small, None)
    assert [row.what for row in alone] == list(measured)
    assert all((row.other, row.other_name, row.ratio) == (None, None, None) for row in alone)


def test_pieces_are_left_out_that_another_system_cannot_do() -> None:
    pieces = measures.piece_times(4, 8, weights=9000, runs=3)
    assert pieces.encrypt > 0
    assert pieces.decrypt > 0
    other = others.CostPerValue("another", encrypt=2.0, add=None, decrypt=1.0, size=80.0, error=None)
    assert [row.what.split(";")[0] for row in measures.piece_rows(pieces, "x", other)] == [
        "encrypt", "decrypt", "ciphertext"
    ]  # fmt: skip


def test_ciphertexts_are_as_small_as_promised_for_16_members() -> None:
    """At most 2.2 bytes a weight at 8 bits and 3.3 at 16, of 250,000 weights."""
    for bits, most in ((8, 2.2), (16, 3.3)):
        parameters = sum_set(bits, 16)
        blocks = BlockLayout(parameters, 0, WEIGHTS).blocks
        assert blocks * residue_bytes(parameters.degree) / WEIGHTS <= most


def test_bytes_in_the_spec_of_courier_are_those_of_the_script() -> None:
    script = ROOT / "benchmarks" / "courier_bytes.py"
    printed = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    page = (ROOT / "spec" / "courier.md").read_text(encoding="utf-8")
    assert page.split("<!-- printed by benchmarks/courier_bytes.py -->\n\n")[1].split("<!-- end of what")[0] == printed


def test_times_of_another_size_are_those_of_as_many_holders_and_enough_blocks() -> None:
    milliseconds = {
        f"{step}, {bits} bits, {members} members": float(members * bits)
        for step in ("contribute", "respond", "examine one", "answer", "decrypt")
        for members, bits in scaling.CELLS
    }
    fewer, more = (scaling.times_for(milliseconds, 16, blocks) for blocks in (41, 42))
    assert fewer is not None
    assert more is not None
    assert (fewer.examine, more.examine) == (16 * 8 / 1000, 16 * 16 / 1000)
    assert fewer.contribute == 2 * fewer.examine
    assert fewer.decrypt == pytest.approx(8 / 1000)
    assert scaling.times_for(milliseconds, 16, 63) is None
    assert scaling.times_for(milliseconds, 10, 1) is None


@pytest.mark.slow
def test_command_prints_one_json_document() -> None:
    code = "import sys; from medward.cli import main; sys.argv[1:] = ['bench', 'fhe', '--json']; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert set(document) == {"machine", "rows"}
    assert all(set(row) == {"what", "ours", "other", "other_name", "ratio", "unit"} for row in document["rows"])
    whole = [row["what"] for row in document["rows"] if row["what"].startswith("a member's whole part")]
    assert whole == [f"a member's whole part, {b} bits, {n} members" for n in (4, 16, 64) for b in (8, 16)]
