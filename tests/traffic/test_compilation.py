"""How kernels are compiled: with a cache or without, and with loads that are right at every place."""

import sys

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled, load_eight


@compiled
def eight(octets: NDArray[np.uint8], place: int) -> np.uint64:
    return load_eight(octets, np.uintp(place))


def test_eight_octets_are_loaded_from_any_place_in_the_machines_order() -> None:
    octets = np.random.default_rng(1).integers(0, 256, 40, np.uint8)
    for place in range(33):
        assert int(eight(octets, place)) == int.from_bytes(octets[place : place + 8].tobytes(), sys.byteorder)


def test_function_whose_result_has_no_place_on_disk_is_compiled_all_the_same() -> None:
    """As in an installation that is read-only, in an account without a home."""
    found: dict[str, object] = {}
    exec(compile("def ratio(a, b):\n    return a / b\n", "<no file>", "exec"), found)
    ratio = compiled(found["ratio"])  # type: ignore[type-var]
    assert ratio(3.0, 2.0) == 1.5  # type: ignore[operator]
    # Kernels divide as numpy does: a packet that makes something zero stops nothing.
    assert ratio(1.0, 0.0) == np.inf  # type: ignore[operator]
