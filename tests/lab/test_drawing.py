"""Two seeds give two wards: other devices, addresses, timing, payloads and attacks; one seed gives one."""

from dataclasses import asdict
from random import Random

import pytest

from medward.flows.datasets import medward_flow
from tools.lab.attacks import METHODS
from tools.lab.devices import ROLES
from tools.lab.devices.vitals import encode, measure
from tools.lab.drawing import draw_ward
from tools.lab.plan import CLASSES, MOST_FRAMES, MOST_SECONDS

SEEDS = range(30)


def test_one_seed_gives_one_ward():
    assert draw_ward(5, 120) == draw_ward(5, 120)


def test_two_seeds_differ_in_devices_addresses_timing_and_payloads():
    for seed in SEEDS:
        one, other = draw_ward(seed, 120), draw_ward(seed + 1000, 120)
        assert not {host.mac for host in one.hosts} & {host.mac for host in other.hosts}
        assert {host.address for host in one.hosts} != {host.address for host in other.hosts}
        for name in ("mqtt_sensor", "hl7_device", "dicom_modality", "fhir_client", "modbus_master"):
            drawn = [r.settings for w in (one, other) for host in w.hosts for r in host.roles if r.name == name]
            assert len({settings["interval"] for settings in drawn}) == len(drawn)
        topics = [
            {topic for host in w.hosts for r in host.roles for topic in r.settings.get("topics", ())}
            for w in (one, other)
        ]
        assert not topics[0] & topics[1]
        assert [attack.start for attack in one.attacks] != [attack.start for attack in other.attacks]
        assert [attack.settings for attack in one.attacks] != [attack.settings for attack in other.attacks]


def test_payload_formats_differ():
    random = Random(1)
    values = measure(["hr", "spo2"], random)
    payloads = {encode(style, values, "a") for style in ("json", "nested", "pairs", "csv", "binary", "senml")}
    assert len(payloads) == 6
    assert all(payloads)


def test_every_ward_has_each_kind_of_device_and_addresses_of_its_own():
    wanted = {"mqtt_sensor", "hl7_device", "dicom_modality", "fhir_client", "modbus_master", "modbus_slave"}
    for seed in SEEDS:
        ward = draw_ward(seed, 60)
        roles = [role.name for host in ward.hosts for role in host.roles]
        assert wanted <= set(roles) <= set(ROLES)
        for values in ([host.mac for host in ward.hosts], [host.address for host in ward.hosts]):
            assert len(set(values)) == len(values)
        assert all(host.address.startswith(f"{ward.network}.") for host in ward.hosts)
        assert all(int(host.mac[:2], 16) & 1 == 0 for host in ward.hosts)  # no group's address


def test_every_method_is_drawn_sometimes_and_has_a_program_and_a_known_class():
    drawn = {attack.method for seed in SEEDS for attack in draw_ward(seed, 120).attacks}
    assert drawn == set(CLASSES) == set(METHODS)
    assert set(CLASSES.values()) <= set(medward_flow.CLASSES)


def test_attacks_fit_into_the_run_one_after_the_other_and_within_bounds():
    for seed in SEEDS:
        ward = draw_ward(seed, 150)
        assert len(ward.attacks) >= 6
        ends = 0.0
        for attack in ward.attacks:
            assert attack.start >= ends + 3
            ends = attack.start + attack.seconds
            assert attack.settings.get("rate", 0) <= MOST_FRAMES
            assert attack.attacker not in attack.victims
        assert ends < ward.seconds


def test_intruder_is_no_device_but_where_one_was_taken_over():
    for seed in SEEDS:
        ward = draw_ward(seed, 150)
        for attack in ward.attacks:
            roles = {role.name for role in ward.host(attack.attacker).roles}
            assert (roles == {"collector"}) == (attack.method != "exfiltration")


def test_methods_that_are_named_come_in_their_order():
    names = ["exfiltration", "syn_scan", "exfiltration"]
    assert [attack.method for attack in draw_ward(1, 40, names).attacks] == names
    assert draw_ward(1, 40, []).attacks == ()
    assert draw_ward(1, 40, names).hosts == draw_ward(1, 40).hosts


def test_ward_of_some_kinds_has_no_others_and_no_attack_that_needs_them():
    for seed in SEEDS:
        ward = draw_ward(seed, 300, None, ["dicom", "camera"])
        roles = {role.name for host in ward.hosts for role in host.roles}
        assert {"dicom_modality", "stream", "mqtt_broker"} <= roles
        assert not {"mqtt_sensor", "hl7_device", "fhir_client"} & roles
        assert "alteration" not in {attack.method for attack in ward.attacks}
        # What hosts and attacks are told draws the same ward.
        assert draw_ward(seed, 300, [], ward.kinds).hosts == ward.hosts
    with pytest.raises(ValueError, match="says what alteration needs"):
        draw_ward(1, 60, ["alteration"], ["fhir"])
    with pytest.raises(ValueError, match="there is no kind of device 'mri'"):
        draw_ward(1, 60, None, ["mri"])


@pytest.mark.parametrize(
    ("seconds", "methods", "sentence"),
    [
        (MOST_SECONDS + 1, None, "a run lasts 1 to 900 seconds"),
        (0, None, "a run lasts 1 to 900 seconds"),
        (60, ["syn_scam"], "there is no attack 'syn_scam'"),
        (10, ["syn_scan"] * 9, "9 attacks need"),
    ],
)
def test_run_that_cannot_be_drawn_is_refused(seconds, methods, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw_ward(1, seconds, methods)


def test_labels_name_each_victim_or_the_network():
    ward = draw_ward(2, 60, ["arp_spoofing", "icmp_sweep"])
    spoofing, sweep = (ward.labels(attack, 10.0, 15.0) for attack in ward.attacks)
    victims = [ward.host(name).address for name in ward.attacks[0].victims]
    assert [entry["victim"] for entry in spoofing] == victims
    assert len(victims) == 2
    assert [entry["victim"] for entry in sweep] == [f"{ward.network}.0/24"]
    attacker = ward.host(ward.attacks[0].attacker)
    assert spoofing[0] == {
        "class": "ARP_Spoofing",
        "start": 10.0,
        "end": 15.0,
        "attacker": attacker.address,
        "mac": attacker.mac,
        "victim": victims[0],
    }


def test_plan_is_data():
    assert asdict(draw_ward(3, 60))["hosts"][0]["name"] == "host0"
