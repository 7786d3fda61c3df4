"""What stands around medical devices is drawn within bounds, leaves the ward itself as it was, and speaks in a run."""

import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from medward.traffic.packets import IPV4
from medward.traffic.parsing import parse
from medward.traffic.sources.capture import read_capture
from tools.lab.devices import ROLES
from tools.lab.devices.office import MOST_OCTETS
from tools.lab.drawing import draw_ward
from tools.lab.namespaces import why_not
from tools.lab.plan import Ward

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = {"recorder", "browser", "caller", "polls", "joins", "transfers"}
SEEDS = range(40)


def clients(ward: Ward) -> list:
    return [(host, role) for host in ward.hosts for role in host.roles if role.name in CLIENTS]


def test_each_ward_has_some_surroundings_and_all_kinds_come():
    wards = [draw_ward(seed, 60) for seed in SEEDS]
    kinds = [{role.name for _, role in clients(ward)} for ward in wards]
    assert all(kinds)
    assert set().union(*kinds) == CLIENTS
    assert len({frozenset(own) for own in kinds}) > 5
    assert {role.name for ward in wards for host in ward.hosts for role in host.roles} <= set(ROLES)
    assert {True, False} == {ward.seen_twice for ward in wards}


def test_who_asks_finds_a_service_inside_or_over_a_route():
    for seed in SEEDS:
        ward = draw_ward(seed, 60)
        inside = {host.address for host in ward.hosts}
        outside = {a for host in ward.hosts for r in host.roles if r.name == "outside" for a in r.settings["addresses"]}
        assert not inside & outside
        for host, role in clients(ward):
            asked = role.settings.get("servers", role.settings.get("web servers", [role.settings.get("server")]))
            for address in asked:
                if address in outside:
                    assert host.roles[0].name == "route"
                    assert host.roles[0].settings["router"] in inside
                else:
                    assert address in inside or address.endswith(".255")


def test_plain_ward_is_the_same_without_its_surroundings():
    for seed in SEEDS:
        plain, whole = draw_ward(seed, 150, surroundings=False), draw_ward(seed, 150)
        assert plain.attacks == whole.attacks
        assert plain.hosts == tuple(replace(host, loss=0.0) for host in whole.hosts[: len(plain.hosts)])
        assert not clients(plain)
        assert not plain.seen_twice


def test_numbers_stay_within_bounds_and_nobody_there_is_attacked():
    for seed in SEEDS:
        ward = draw_ward(seed, 150)
        around = {host.name for host, _ in clients(ward)}
        assert not around & {name for attack in ward.attacks for name in (attack.attacker, *attack.victims)}
        for _, role in clients(ward):
            assert role.settings["interval"] >= 0.5
            if role.name == "transfers":
                for way in ("up", "down"):
                    low, high = role.settings[way]
                    assert 0 <= low <= high <= MOST_OCTETS
            if role.name == "browser":
                assert 0 < role.settings["smallest"] < role.settings["largest"] < MOST_OCTETS


@pytest.mark.processes
def test_surroundings_speak_in_a_capture_and_a_ward_that_is_seen_twice_has_each_frame_twice(tmp_path):
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    wards = (draw_ward(seed, 20) for seed in range(100))
    ward = next(ward for ward in wards if ward.seen_twice and len({role.name for _, role in clients(ward)}) > 4)
    seed = ward.seed
    words = ("--seed", str(seed), "--seconds", "20", "--attacks", "none", "--out", str(tmp_path))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "lab"), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    capture = tmp_path / f"run-{seed}.pcap"
    records = list(records_of(capture.read_bytes()))
    assert records
    assert records[::2] == records[1::2]
    ports = {int(h["target_port"]) for batch in read_capture(str(capture)) for h in parse(batch) if h["kind"] == IPV4}
    spoken = [role.settings for _, role in clients(ward) if role.settings["interval"] < 5]
    wanted = {settings.get("port", settings.get("web port")) for settings in spoken}
    assert wanted
    assert wanted <= ports


def records_of(octets: bytes) -> Iterator[bytes]:
    """The records of a pcap file, each with its time."""
    at = 24
    while at < len(octets):
        length = 16 + struct.unpack_from("<I", octets, at + 8)[0]
        yield octets[at : at + length]
        at += length
