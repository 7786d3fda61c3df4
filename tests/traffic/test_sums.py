"""The record of sums: every name has a place of its own, and services and sketches fit into theirs."""

import numpy as np
import pytest

from medward.traffic.sums import NUMBERS, OTHER_SERVICE, PORTS, SKETCH_WORDS, SKETCHES, SUMS, place


def test_places_are_those_of_the_words_of_a_record() -> None:
    assert SUMS.names is not None
    record = np.zeros(1, SUMS)
    words = record.view(np.float64)
    for name in SUMS.names[:-2]:
        record[name] = 7.0
        assert np.flatnonzero(words[:NUMBERS]).tolist() == [place(name)]
        record[name] = 0.0
    for service in range(16):
        record["services"][0, service] = 7.0
        assert np.flatnonzero(words[:NUMBERS]).tolist() == [place("services", service)]
        record["services"][0, service] = 0.0


def test_sketches_follow_the_sums_and_end_the_record() -> None:
    assert place("sketches") == NUMBERS
    assert SUMS.itemsize == 8 * (NUMBERS + SKETCHES * SKETCH_WORDS)


def test_known_ports_are_of_services_that_have_a_place() -> None:
    assert all(0 < port < 2**16 and 0 <= service < OTHER_SERVICE for port, service in PORTS.items())
    assert set(PORTS.values()) == set(range(OTHER_SERVICE))


def test_name_that_is_no_sum_has_no_place() -> None:
    with pytest.raises(KeyError):
        place("packets")
