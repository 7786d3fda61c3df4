"""`medward bench fhe`: what it compares is right before it is timed, and it runs with whatever is installed."""

import json
import subprocess
import sys

import pytest

from medward.cli.bench import _fhe_others as others
from medward.cli.bench import _fhe_rows as rows
from medward.cli.bench import _fhe_transforms as transforms
from medward.errors import MedwardError
from medward.fhe.encoding import HEADER_BYTES, element_bytes
from medward.fhe.parameters import sum_parameters


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


def test_openfhe_runs_with_an_interpreter_of_its_own_and_says_when_that_one_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDWARD_OPENFHE_PYTHON", "/nowhere/python3")
    with pytest.raises(MedwardError, match="MEDWARD_OPENFHE_PYTHON = /nowhere/python3 cannot run OpenFHE"):
        others.openfhe()


def test_cost_with_proofs_is_never_hidden() -> None:
    times = rows.sum_times("AGG-M", 8, "malicious", 4, runs=1)
    assert times.proved > times.bare
    assert times.bytes_sent > 1.6 * times.ciphertext_bytes  # a share is half a ciphertext; the rest are proofs
    measured = rows.rows_of(times, None)
    rates = [row for row in measured if row.unit == "weights/s"]
    assert len(rates) == 8
    for without, proved in zip(rates[::2], rates[1::2], strict=True):
        assert without.what.endswith("without proofs")
        assert any(words in proved.what for words in ("proofs made", "proved", "proofs verified"))
        assert "without" not in proved.what
        assert proved.ours < without.ours
    assert [row.unit for row in measured].count("bytes a block") == 1


def test_sizes_are_those_promised_for_64_members() -> None:
    """At most 10.1 bytes a weight at 16 bits and 5.7 at 8 bits, without proofs."""
    for bits, most in ((16, 10.1), (8, 5.7)):
        p = sum_parameters("AGG-M", bits, 64, 64, "semi-honest")
        encoding = HEADER_BYTES + 2 * element_bytes(p)
        assert encoding / p.values_per_ciphertext <= most


@pytest.mark.slow
def test_command_prints_one_json_document() -> None:
    code = "import sys; from medward.cli import main; sys.argv[1:] = ['bench', 'fhe', '--json']; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert set(document) == {"machine", "rows"}
    assert all(set(row) == {"what", "ours", "other", "other_name", "ratio", "unit"} for row in document["rows"])
    assert any(row["what"].startswith("all that a member sends") for row in document["rows"])
