"""The homes of a federation that trained, made in this process.

The members' machines, their sums, stores, journals and signatures are the real ones. Only the order of the blocks is
the test's, which holds everybody's keys and signs what a quorum would have signed.
"""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from medward.federation.application import FederationApplication
from medward.federation.blobs import RoundBlobs
from medward.federation.model.hospital import Hospital, trial_secret
from medward.federation.model.plan import plan_digest
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import encode_model
from medward.federation.model.survey import first_model
from medward.federation.records import (
    Announce,
    Answer,
    Attest,
    Change,
    Complain,
    DataKey,
    NoFit,
    Observe,
    Record,
    Respond,
    Resume,
    Retract,
    RoundTick,
    SealedData,
    Withdraw,
    encode_record,
)
from medward.federation.round.effects import OrderRecord, RoundEffect
from medward.federation.round.state import Phase
from medward.federation.rules import Agreement, FederationState, founded
from medward.federation.sealed_data.format import Origin, seal_data
from medward.federation.simulation.log import Entry
from medward.federation.simulation.machines import Simulation, SimulationSettings
from medward.federation.sums.interface import IntVector
from medward.fhe.hybrid import HybridKey
from medward.ledger.membership import Genesis
from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.signatures import MemberSigner
from medward.node.home.folder import Home
from medward.node.training.data import OwnSide, ParticipantSettings, own_side
from medward.node.training.rules import agreement_parameters, read_agreement
from medward.node.trial.founding import Seat, found_on_one_machine
from medward.store.local import LocalStore, open_directory
from tests.audit.certified_ledger import CertifiedLedger

NAMES = ("hospital-1", "hospital-2", "hospital-3", "hospital-4")
#: The round in which hospital-3 keeps its answer to itself, and the one in which hospital-1 attests what is not so:
#: that the first dealing is at fault, and its own share of the second one not what it should be.
SILENT_ROUND, LYING_ROUND = 1, 0
#: Who sealed a data set, to itself and hospital-1.
OWNER, ROWS = "hospital-4", 1200
TABLE = {"data": "ward", "rows": 2000, "rounds": 1, "seed": 1, "sites": 4, "bits": 8, "trial": True}


class Ledger(CertifiedLedger):
    """A log whose entries are certified blocks; the simulation's clock is its time."""

    def __init__(self, genesis: Genesis, agreement: Agreement, signers: dict[str, MemberSigner]) -> None:
        self._entries: list[Entry] = []
        self._federation = FederationApplication(agreement)
        super().__init__(genesis, self._federation, signers)

    def append(self, record: Record, author: str) -> None:
        """Order a record in a block of its own."""
        block = self.order(author, encode_record(record)).block
        entry = Entry(record, author, block.time / 1000, self._federation.snapshot().block, block.epoch)
        self._entries.append(entry)

    def read(self, start: int) -> list[Entry]:
        """Return the records from number `start` on."""
        return self._entries[start:]

    def __len__(self) -> int:
        return len(self._entries)


class _Guessing(Hospital):
    """Surveys its rows and guesses its updates: what is audited is the sum and not the learning."""

    def __init__(self, side: OwnSide, number: int) -> None:
        super().__init__(trial_secret(1, number), side.hospital._rows)
        self._draw = np.random.default_rng(number)

    def _update(self, shared: SharedModel, number: int) -> IntVector:
        return self._draw.integers(-100, 101, shared.values).astype(np.int64)


class _Kept(RoundBlobs):
    """Blobs of which none is let go."""

    def forget(self, label: str) -> None:
        del label


class _Federation(Simulation[SharedModel]):
    """The simulation on a ledger, with one member silent once and one that lies once."""

    def __init__(self, agreement: Agreement, *arguments: object) -> None:
        self._agreement = agreement
        super().__init__(*arguments)  # type: ignore[arg-type]

    def _found_federation(self, names: tuple[str, ...], settings: SimulationSettings) -> FederationState:
        del names, settings
        self._blobs.put(encode_model(self.shared), "model")
        return founded(self._agreement)

    def _carry_out(self, name: str, effect: RoundEffect) -> None:
        if isinstance(effect, OrderRecord):
            record = effect.record
            if isinstance(record, Answer) and (name, record.round) == ("hospital-3", SILENT_ROUND):
                return
            now = self._participants[name].state.round
            checking = now is not None and now.phase is Phase.CHECKING
            if isinstance(record, Attest) and checking and (name, record.round) == ("hospital-1", LYING_ROUND):
                effect = OrderRecord(_lied(record))
        super()._carry_out(name, effect)


def _lied(record: Attest) -> Attest:
    """Return the attestation with one good dealing called wrong, and a complaint of another."""
    return Attest(record.round, record.member, record.good[2:], record.good[:1], record.good[1:2])


def _data_records(store: LocalStore, federation: str) -> Iterator[Record]:
    """Seal a data set of several blocks, keep it, and yield what the owner says of it and of its key."""
    keys = {OWNER: HybridKey(), "hospital-1": HybridKey()}
    yield DataKey(str(store.add(keys[OWNER].public, pin="data")))
    origin = Origin(federation, OWNER, b"s" * 32, ROWS)
    public = {name: key.public for name, key in keys.items()}
    cid = store.add(seal_data(io.BytesIO(os.urandom(3_000_000)), origin, public), pin="data")
    yield SealedData(str(cid), origin.schema, ROWS, tuple(public))


def _missing_records(ledger: Ledger) -> Iterator[Record]:
    """Yield a record of every kind that this federation had no need of; most are refused, and kept all the same."""
    made: dict[type[Record], Record] = {
        RoundTick: RoundTick(0),
        NoFit: NoFit(0, OWNER, NAMES[:3]),
        Respond: Respond(0, OWNER, b"a response"),
        Complain: Complain(0, OWNER, "hospital-1", "bafk"),
        Announce: Announce(b"nowhere"),
        Resume: Resume(),
        Observe: Observe(observes=False),
        Retract: Retract("hospital-9"),
        Withdraw: Withdraw("bafk"),
    }
    there = {type(entry.record) for entry in ledger.read(0)}
    yield from (record for kind, record in made.items() if kind not in there)


def found_homes(folder: Path) -> dict[str, Home]:
    """Make the homes of four hospitals that ran three surveys and one training round."""
    sides = [own_side(ParticipantSettings(**TABLE, site=number), b"") for number in range(len(NAMES))]  # type: ignore[arg-type]
    plan = sides[0].plan
    homes = found_on_one_machine(
        folder,
        "ward",
        [Seat.of(f"{name}=127.0.0.1:{22000 + 10 * number}") for number, name in enumerate(NAMES)],
        "training",
        settings={"participant": TABLE},
        own_settings={name: {"participant": {"site": number}} for number, name in enumerate(NAMES)},
        agree=lambda members: agreement_parameters(plan, members, name="audited", deadline=600.0),
    )
    federation = homes[NAMES[0]].federation()
    agreement = read_agreement(federation.application.parameters)
    signers = {name: NodeIdentity(home.ledger / "keys").signer for name, home in homes.items()}
    ledger = Ledger(federation.genesis, agreement, signers)
    hospitals = [_Guessing(side, number) for number, side in enumerate(sides)]
    with open_directory(homes[NAMES[0]].store) as store:
        simulation = _Federation(
            *(agreement, hospitals, first_model(plan), encode_model, _Kept(store), folder.parent / "answers"),
            SimulationSettings(plan_digest(plan)),
        )
        simulation._log = ledger  # type: ignore[assignment]
        # A wish that is never fulfilled: an audit that takes it in no epoch comes to another state.
        ledger.append(Change(NAMES[0], None, None), OWNER)
        while not simulation.shared.done:
            simulation.run_round()
        simulation.close()
        for record in (*_data_records(store, agreement.name), *_missing_records(ledger)):
            ledger.append(record, OWNER)
    for name, home in homes.items():
        ledger.write(home, name, with_evidence=name == NAMES[0])
        if name != NAMES[0]:
            # One copy on the disk is enough: who alters a block writes it anew.
            shutil.copytree(homes[NAMES[0]].store, home.store, copy_function=os.link)
    return homes


@contextmanager
def altered(file: Path, change: bytes) -> Iterator[None]:
    """Let a file have another content for a while; a hard link to it keeps the old one."""
    kept = file.with_name(f"{file.name}.kept")
    file.rename(kept)
    try:
        file.write_bytes(change)
        yield
    finally:
        kept.replace(file)


def one_byte_altered(content: bytes, at: int) -> bytes:
    """Return the content with one byte other than it was."""
    return content[:at] + bytes([content[at] ^ 0x01]) + content[at + 1 :]
