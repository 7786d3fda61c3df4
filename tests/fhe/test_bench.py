"""`medward bench fhe`: what it compares is right before it is timed, and it runs with whatever is installed."""

import json
import subprocess
import sys

import pytest

from medward.cli.bench import _fhe_others as others
from medward.cli.bench import _fhe_rows as rows


def test_alternatives_add_correctly_where_they_can_add() -> None:
    assert others.elgamal().error == 0
    assert others.quaternion().error == 0
    assert others.rsa_oaep().add is None
    assert others.aes_gcm().add is None
    for optional in (others.tenseal(), others.openfhe(), others.paillier()):
        assert optional is None or (optional.error is not None and optional.error < 1e-5)


def test_library_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert others.installed("no_such_library_anywhere") is None
    monkeypatch.setattr(rows, "installed", lambda _: None)
    measured = rows.transform_rows(repeat=1)
    assert len(measured) == 9
    assert all(row.other is None and row.ratio is None and row.ours > 0 for row in measured)


def test_cost_with_proofs_is_never_hidden() -> None:
    times = rows.sum_times("AGG-M", 8, "malicious", 1)
    assert times.proved > times.bare
    assert times.bytes_sent > 1.6 * times.ciphertext_bytes  # a share is half a ciphertext; the rest are proofs
    labels = [row.what for row in rows._rows_of(times, None)]
    assert any("with proofs made and verified" in label for label in labels)


@pytest.mark.slow
def test_command_prints_one_json_document() -> None:
    code = "import sys; from medward.cli import main; sys.argv[1:] = ['bench', 'fhe', '--json']; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert set(document) == {"machine", "rows"}
    assert all(set(row) == {"what", "ours", "other", "other_name", "ratio", "unit"} for row in document["rows"])
    assert any(row["what"].startswith("all that a member sends") for row in document["rows"])
