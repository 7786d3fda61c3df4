"""The public gateway-conformance suite against our gateway, where that suite is installed.

Which of its cases apply, and how to get it, is in docs/store-conformance.md.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from medward.store.car import CarReader, pieces_of_file
from medward.store.errors import InvalidCar
from medward.store.gateway.server import GatewayServer
from medward.store.local import LocalStore, in_memory

SPECIFICATIONS = "trustless-block-gateway,trustless-car-gateway,trustless-car-gateway-optional"


def conformance_program() -> str | None:
    """Return the suite's program, from among the engines or from the PATH."""
    engines = Path(os.environ.get("MEDWARD_ENGINES", "~/.cache/medward/engines")).expanduser()
    return shutil.which("gateway-conformance", path=f"{engines}{os.pathsep}{os.environ.get('PATH', '')}")


def load(store: LocalStore, fixtures: Path) -> None:
    """Put the suite's blocks in, DAGs with the holes that it wants included; those of other hash functions stay out."""
    with store.blocks.writer() as writer:
        for path in fixtures.rglob("*.car"):
            with path.open("rb") as file:
                try:
                    for cid, block in CarReader(pieces_of_file(file)):
                        writer.put(cid, block)
                except InvalidCar as error:
                    assert "cannot be checked" in str(error)  # noqa: PT017


@pytest.mark.engines
def test_our_gateway_passes_the_public_cases_for_blocks_and_cars(tmp_path: Path) -> None:
    program = conformance_program()
    if program is None:
        pytest.skip(
            "the program gateway-conformance is not installed; docs/store-conformance.md says where it is sought"
        )
    fixtures = tmp_path / "fixtures"
    subprocess.run([program, "extract-fixtures", "--directory", str(fixtures)], check=True, capture_output=True)
    with in_memory() as store:
        load(store, fixtures)
        with GatewayServer(store) as server:
            command = [program, "test", "--gateway-url", server.url, "--specs", SPECIFICATIONS, "--verbose"]
            cases = ["--", "-run", "TestTrustless(Raw|Car)", "-timeout", "100s"]
            done = subprocess.run([*command, *cases], capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-4000:]
    assert output.count("--- PASS") > 400
    assert "--- FAIL" not in output
