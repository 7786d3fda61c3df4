"""A member that scores: what it does not carry out, it puts aside or declines, and says why."""

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from medward.federation.computing.records import KeyPublished
from medward.federation.scoring.application import ScoringApplication, scoring_state
from medward.federation.scoring.circuit import terms_of
from medward.federation.scoring.records import (
    BatchAsked,
    ModelOffered,
    Offer,
    PartOpened,
    ResultComputed,
    ScoringBatch,
    ScoringState,
)
from medward.node.computing import participant
from medward.node.scoring.participant import ScoringParticipant, _batch_told
from tests.federation.scoring.world import some_network
from tests.node.computing.alone import AloneMember

MEMBERS = ("cloud", "hospital", "other", "vendor")
TERMS = terms_of(some_network(), 256, for_tests=True)
OFFER, BATCH, FINGERPRINT = "00000001", "00000001", "0" * 16
RESULT, ANOTHER = "b" + "a" * 58, "b" + "c" * 58
OFFERED = Offer("vendor", ModelOffered(RESULT, RESULT, TERMS))


class Alone(AloneMember[ScoringParticipant]):
    """One member, in a folder, and the ledger of all."""

    def __init__(self, folder: Path, name: str, **settings: Any) -> None:
        super().__init__(folder, name, ScoringApplication, ScoringParticipant, MEMBERS, **settings)
        self.folder = self.participant._folder

    @property
    def state(self) -> ScoringState:
        return scoring_state(self.ledger.application.snapshot())

    def flows_refused(self, content: bytes) -> str:
        """Let the node put an order of flows aside, and return why it did."""
        order = self.folder.flows / "one.npz"
        order.write_bytes(content)
        return self.refused(order)

    def offered(self) -> None:
        """Put an offer on record whose blobs are garbage."""
        garbage = self.participant.blobs.put(b"garbage" * 100, "offer")
        for name in ("vendor", "hospital"):
            self.tell((name, KeyPublished(garbage, f"{name}/{FINGERPRINT}", 1024)))
        self.tell(("vendor", ModelOffered(garbage, garbage, TERMS)))

    def asked(self) -> None:
        self.offered()
        (offer,) = self.state.offers.values()
        self.tell(("hospital", BatchAsked(OFFER, offer.offered.model, 3)))


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(participant, "_LOOK_SECONDS", 0.005)


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Alone]:
    with closing(Alone(tmp_path, "hospital", insecure_ring_for_tests=True)) as alone:
        yield alone


def flows(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


X = np.zeros((2, 5), np.float32)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "these are no flows ("),
        (b"PK\x03\x04 no archive", "these are no flows ("),
        (flows(offer=OFFER, x=X)[:-30], "these are no flows ("),
        (flows(x=X), "these are no flows ("),
        (flows(offer=OFFER, x=np.array([{}], dtype=object)), "these are no flows ("),
        (flows(offer=OFFER, x=np.array(["a"])), "these are no flows ("),
        (flows(offer="00000009", x=X), "there is no offer 00000009"),
    ],
)
def test_flows_that_are_none_are_put_aside(hospital: Alone, content: bytes, said: str) -> None:
    assert hospital.flows_refused(content).startswith(said)
    assert hospital.state.batches == {}


def test_offer_whose_preparation_is_none_gets_no_flows(hospital: Alone) -> None:
    hospital.offered()
    assert hospital.flows_refused(flows(offer=OFFER, x=X))
    assert hospital.state.batches == {}
    assert not hospital.folder.key.made
    assert [pin.label for pin in hospital.host.store.pins()] == ["scoring/offer"]


def test_ring_that_is_not_secure_is_for_tests_alone(tmp_path: Path) -> None:
    for name in ("hospital", "cloud"):
        (tmp_path / name).mkdir()
    said = "the offer asks for a ring that is not secure, which is for tests alone"
    with closing(Alone(tmp_path / "hospital", "hospital")) as hospital:
        hospital.offered()
        assert hospital.flows_refused(flows(offer=OFFER, x=X)) == said
        assert not hospital.folder.key.made
    with closing(Alone(tmp_path / "cloud", "cloud", compute=True)) as cloud:
        cloud.asked()
        cloud.until(lambda: bool(cloud.state.batches[BATCH].declined))
        assert cloud.state.batches[BATCH].declined == (("cloud", said),)


def test_keys_and_flows_that_are_none_are_declined(tmp_path: Path) -> None:
    with closing(Alone(tmp_path, "cloud", insecure_ring_for_tests=True, compute=True)) as cloud:
        cloud.asked()
        cloud.until(lambda: bool(cloud.state.batches[BATCH].declined))
        ((name, reason),) = cloud.state.batches[BATCH].declined
        assert name == "cloud"
        assert reason in cloud.participant.status()["problem"]
        assert cloud.participant.status()["computes"]
        assert [one["batch"] for one in cloud.participant.rounds()] == [BATCH]
        assert [one["offer"] for one in cloud.participant.models()] == [OFFER]


def test_result_that_is_none_is_not_opened_and_the_key_counts_nothing(tmp_path: Path) -> None:
    with closing(Alone(tmp_path, "vendor", insecure_ring_for_tests=True)) as vendor:
        vendor.asked()
        (offer,) = vendor.state.offers.values()
        for liar in ("cloud", "other"):
            vendor.tell((liar, ResultComputed(BATCH, offer.offered.model)))
        vendor.until(lambda: bool(vendor.state.batches[BATCH].declined))
        assert vendor.state.batches[BATCH].declined[0][0] == "vendor"
        assert vendor.participant.status()["outputs_left"] in (None, 1024)
        assert not list(vendor.folder.parts.iterdir())


def test_part_that_is_none_leaves_a_sentence_in_place_of_scores(hospital: Alone) -> None:
    hospital.asked()
    (offer,) = hospital.state.offers.values()
    for name in ("cloud", "other"):
        hospital.tell((name, ResultComputed(BATCH, offer.offered.model)))
    hospital.tell(("vendor", PartOpened(BATCH, offer.offered.model, offer.offered.model)))
    refusal = hospital.folder.scores / f"{BATCH}.refused"
    hospital.until(refusal.exists)
    assert refusal.read_text().strip()
    assert not (hospital.folder.scores / f"{BATCH}.npy").exists()


def test_batch_is_told_by_the_last_step_that_it_took() -> None:
    batch = ScoringBatch("hospital", BatchAsked(OFFER, RESULT, 3), 1)

    def told(one: ScoringBatch) -> str:
        return str(_batch_told(ScoringState(MEMBERS, {}, {OFFER: OFFERED}, {BATCH: one}), BATCH)["state"])

    assert told(batch) == "0 of 2 members have computed it"
    both = replace(batch, results=(("cloud", RESULT), ("other", ANOTHER)))
    assert told(both).startswith("the results differ (cloud: aaaaaaaa, other: cccccccc), and nobody opens one before 2")
    agreed = replace(batch, results=(("cloud", RESULT), ("other", RESULT)), agreed=RESULT)
    assert told(agreed) == "computed, waits for the vendor"
    assert told(replace(agreed, part=ANOTHER)) == "opened"
