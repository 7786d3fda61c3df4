"""The program that times OpenFHE, on a stand-in that is as strict about features, keys and levels."""

import json
import subprocess
from pathlib import Path

import pytest

from medward.bench.fhe import openfhe_program

from .conftest import MakeInterpreter

PROGRAM = Path(openfhe_program.__file__)


def test_it_prints_one_document_of_figures_a_value(interpreter: MakeInterpreter) -> None:
    done = subprocess.run([interpreter(), "-I", PROGRAM], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["name"] == "OpenFHE 9.8.7 CKKS, N = 16"
    assert found["size"] == 5
    assert found["error"] == pytest.approx(0.125)  # what the stand-in decrypts too much
    assert min(found["encrypt"], found["add"], found["decrypt"]) >= 0
    assert set(found) == {"name", "encrypt", "add", "decrypt", "size", "error"}
