"""Classes as an analyst's tools know them: numbers that are nobody else's, and a hospital's own classes."""

import re

from hypothesis import given
from hypothesis import strategies as st

from medward.alerts.techniques import FIRST_OTHER_SIGNATURE, FIRST_SIGNATURE, HIGH, LOW, MIDDLE, threat_of
from medward.flows.datasets import CICIOMT, MEDWARD_FLOW

#: What is no known attack has no technique.
NONE = (MEDWARD_FLOW.schema.benign, "Other_Attack")
KNOWN = [name for name in MEDWARD_FLOW.schema.classes if name not in NONE]


def test_every_technique_is_written_as_mitre_writes_it() -> None:
    for name in KNOWN:
        threat = threat_of(name)
        assert threat.technique is not None, name
        assert re.fullmatch(r"T\d{4}(\.\d{3})?", threat.technique.identifier)
        assert re.fullmatch(r"TA00\d\d", threat.technique.tactic)
        assert threat.severity in (HIGH, MIDDLE, LOW)


def test_one_technique_has_one_name_and_one_tactic() -> None:
    techniques = {threat_of(name).technique for name in KNOWN}
    assert len({technique.identifier for technique in techniques if technique}) == len(techniques)


def test_classes_of_ciciomt_are_known_too() -> None:
    attacks = [name for name in CICIOMT.schema.classes if name != CICIOMT.schema.benign]
    known = [name for name in attacks if threat_of(name).technique is not None]
    assert len(known) >= len(attacks) - 2


@given(st.text(max_size=60).filter(lambda name: threat_of(name).technique is None))
def test_class_of_a_hospital_s_own_has_a_number_that_no_known_class_has(name: str) -> None:
    threat = threat_of(name)
    assert threat == threat_of(name)
    assert FIRST_OTHER_SIGNATURE <= threat.signature < FIRST_OTHER_SIGNATURE + 100_000
    assert (threat.technique, threat.severity) == (None, MIDDLE)


def test_numbers_that_were_given_stay() -> None:
    """Rules of an analyst's tools name them."""
    numbers = {"ARP_Spoofing": 1, "Exfiltration": 3, "Recon-Port_Scan": 23, "TCP_IP-DoS-UDP": 33}
    for name, number in numbers.items():
        assert threat_of(name).signature == FIRST_SIGNATURE + number
    assert threat_of("worm").signature == FIRST_OTHER_SIGNATURE + 63_957
