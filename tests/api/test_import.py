"""`import medward` is light, and offers what it says."""

import subprocess
import sys

import pytest

import medward


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_no_heavy_part() -> None:
    heavy = "{'jax', 'numba', 'numpy', 'polars', 'sklearn', 'cryptography'}"
    assert _run(f"import sys, medward; dir(medward); print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_every_name_that_it_offers_is_there_and_described() -> None:
    assert set(medward.__all__) <= set(dir(medward))
    for name in medward.__all__:
        assert callable(getattr(medward, name))
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        medward.fly  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.slow
def test_audit_can_be_called_before_and_after_its_parts_are_imported() -> None:
    call = "\ntry: medward.audit('nowhere')\nexcept medward.MedwardError as error: print(error)\n"
    first, second, third = _run(f"import medward{call}{call}import medward.audit.homes{call}").splitlines()
    assert first == second == third
    assert first.startswith("nowhere is no node's home")
