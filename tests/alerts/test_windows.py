"""Windows for a watch: packets are kept for evidence before their windows are handed out, up to any damage."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from medward.alerts.errors import UnusableModel
from medward.alerts.windows import BEHIND_NANOSECONDS, compile_watch, windows_of_capture, windows_of_interface
from medward.traffic.errors import TrafficError
from medward.traffic.meter import Meter, MeterSettings, WindowTable
from medward.traffic.packets import PacketBatch
from medward.traffic.payload.evidence import EvidenceRing
from medward.traffic.sources.ring import InterfaceRing
from tests.alerts.hand_made import foreign_schema, hand_made_model, ward
from tests.traffic.captures import BEGIN, SECOND, batch, pcap


def meter() -> Meter:
    return Meter(MeterSettings(64, 64, 64, 64, inspect=False))


def rows_of(tables: list[WindowTable]) -> int:
    return sum(len(table.device) for table in tables)


def test_windows_of_a_capture_are_those_of_its_packets_and_the_packets_are_kept(tmp_path: Path) -> None:
    (tmp_path / "ward.pcap").write_bytes(pcap(ward()))
    ring = EvidenceRing(1, 4096)
    found = list(windows_of_capture(tmp_path / "ward.pcap", meter(), ring))
    own = meter()
    assert rows_of(found) == rows_of([*own.step(batch(ward())), *own.finish()]) > 0
    assert len(ring.packets(0, 2**62)) == len(ward())


def test_windows_before_the_damage_come_first(tmp_path: Path) -> None:
    whole = pcap(ward())
    (tmp_path / "cut.pcap").write_bytes(whole[: len(whole) // 2])
    windows, found = windows_of_capture(tmp_path / "cut.pcap", meter(), EvidenceRing(1, 4096)), []
    with pytest.raises(TrafficError):
        found.extend(windows)  # what came before the error stays in the list
    assert rows_of(found) > 0


class Wire:
    """A ring of an interface, which hands out what a test puts on it."""

    def __init__(self, batches: list[list[PacketBatch]]) -> None:
        self.turns = batches

    def batches(self, milliseconds: int) -> Iterator[PacketBatch]:
        del milliseconds
        yield from self.turns.pop(0) if self.turns else ()


def test_quiet_interface_has_its_windows_ended_by_the_clock() -> None:
    wire, now = Wire([[batch(ward(2))]]), [BEGIN + SECOND]
    stop: list[bool] = []

    def clock() -> int:
        now[0] += 10 * SECOND
        return now[0] + BEHIND_NANOSECONDS

    found = windows_of_interface(cast(InterfaceRing, wire), meter(), EvidenceRing(1, 4096), lambda: bool(stop), clock)
    assert len(next(found).device) > 0
    stop.append(True)
    assert rows_of(list(found)) >= 0


def test_stopping_is_heeded_between_batches_and_the_last_window_still_comes() -> None:
    packets = ward(2)
    wire = Wire([[batch(packets[:3]), batch(packets[3:])]])
    ring, asked = EvidenceRing(1, 4096), []

    def stopping() -> bool:
        asked.append(1)
        return len(asked) > 1

    found = list(windows_of_interface(cast(Any, wire), meter(), ring, stopping, lambda: BEGIN))
    assert len(ring.packets(0, 2**62)) == 3
    assert rows_of(found) > 0


def test_compiling_decides_nothing_and_refuses_a_model_of_other_rows() -> None:
    compile_watch(hand_made_model(), "model")
    with pytest.raises(UnusableModel):
        compile_watch(hand_made_model(foreign_schema()), "model")
    assert not np.isnan(hand_made_model().scaler.mean).any()
