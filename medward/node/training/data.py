"""A node's training data: its own rows, read as `[participant]` in node.toml says, and the plan that they serve.

data = "/var/lib/medward/flows"     a data set's name or path (see `medward data list`)
sites = 1                           how many hospitals share these rows, and which of them this one is: for trials
site = 0                            on one machine; a hospital with rows of its own leaves both out
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from medward.agents.sentinel.recipe import recipe_of
from medward.errors import MedwardError
from medward.federation.errors import FederationError
from medward.federation.model.courier import courier_of
from medward.federation.model.hospital import Hospital, training_rows
from medward.federation.model.plan import TrainingPlan, training_plan
from medward.flows.datasets import DATASETS, Dataset
from medward.flows.errors import BadSplit
from medward.flows.history import FeatureSpace
from medward.flows.opening import WARD_ROWS, known_place, open_data
from medward.flows.partition import Partition, partition_rows
from medward.flows.prepared import PreparedData, prepare
from medward.flows.schema import UNLABELLED
from medward.flows.schema_file import SchemaFile, dataset_of, schema_of
from medward.node.errors import InvalidConfiguration
from medward.node.training.earlier_format import check_parameters

Rows = NDArray[np.intp]
LabelKinds = Literal["both", "benign", "attacks", "none"]
_MEANING: Mapping[LabelKinds, str] = {
    "both": "trains on attacks and benign rows",
    "benign": "trains on benign rows alone, and has no attacks to vote by",
    "attacks": "trains on attacks alone, and has no benign rows to vote by",
    "none": "has no labels, so it observes: it contributes nothing, checks every sum, and gets every model",
}


class ParticipantSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `[participant]` table of node.toml.

    Args:
        data: a data set's name, or a path.
        rounds: how many training rounds the plan has.
        bits: the width of a value of an update.
        seed: what the split and the first weights derive from; the same for all members.
        rows: the size of the synthetic ward, where that is the data.
        sites, site: how many members share the data, and which part is this one's.
        partition: how shared data are dealt.
        trial: whether the member's random draws derive from the seed, so that a trial can be repeated; never between
            hospitals.
        keep_rounds: how many rounds' blobs are kept; 0 keeps all, as an audit of everything needs.
        courier: Courier's policy, as `read_policy` takes it; empty for a sum of everything after every round.
        budget: the bytes that the training sums may take under Courier; 0 for no limit.
        members: how many members Courier counts bytes for: those that the federation began with.
        schema: the text of the schema file that describes the columns, complete; empty for data sets that are known.
        features: how many random features a model in closed form has; 0 for training in rounds.
    """

    data: str
    rounds: int = 20
    bits: int = 16
    seed: int = 0
    rows: int = WARD_ROWS
    sites: int = 1
    site: int = 0
    partition: Partition = "blocks"
    trial: bool = False
    keep_rounds: int = 0
    courier: str = ""
    budget: int = 0
    members: int = 0
    schema: str = ""
    features: int = 0

    def described(self) -> SchemaFile | None:
        """Return the schema file, None where the data set is one that medward knows.

        Raises:
            BadSchema: the text is none.
        """
        return schema_of(self.schema.encode(), "node.toml, [participant] schema") if self.schema else None


@dataclass(frozen=True)
class OwnRows:
    """A member's own rows, among those that were read.

    Args:
        train: numbers of the rows that train, those without a class included.
        validation: numbers of the rows that a model is tried on; each has a class.
        test: numbers of the rows that nothing but a report looks at; each has a class.
        attacks: how many attacks are among the rows that train.
        benign: how many benign rows are.
    """

    train: Rows
    validation: Rows
    test: Rows
    attacks: int
    benign: int

    @property
    def labels(self) -> LabelKinds:
        """Which labels the rows have that train."""
        if self.attacks and self.benign:
            return "both"
        return "benign" if self.benign else "attacks" if self.attacks else "none"

    @property
    def meaning(self) -> str:
        """What this member's part in training is, as the end of a sentence about it."""
        return _MEANING[self.labels]


@dataclass(frozen=True)
class OwnSide:
    """A member's private side.

    Args:
        plan: what the federation trains.
        hospital: its rows, and the work on them.
        own: which rows are its own.
    """

    plan: TrainingPlan
    hospital: Hospital
    own: OwnRows

    @property
    def rows(self) -> int:
        """How many training rows it has, those without a class included."""
        return len(self.own.train)


def read_settings(table: Mapping[str, Any]) -> ParticipantSettings:
    """Read the `[participant]` table.

    Raises:
        InvalidConfiguration: a key is missing, unknown or of another kind than expected.
        EarlierFormat: the file is of an earlier format.
    """
    check_parameters(table, "node.toml")
    try:
        return msgspec.convert(dict(table), ParticipantSettings)
    except msgspec.ValidationError as error:
        raise InvalidConfiguration(f"node.toml, [participant]: {error}") from None


def check_place(settings: ParticipantSettings) -> None:
    """Refuse a node whose hospital has not said where its rows are, before it meets the others.

    Raises:
        InvalidConfiguration: the place is no file, no folder and no data set that is found by its name.
    """
    if settings.data == "ward" or Path(settings.data).exists():
        return
    try:
        if not settings.schema:
            known_place(settings.data)
            return
    except MedwardError:
        pass
    raise InvalidConfiguration(
        f"node.toml, participant.data: {settings.data} is no file or folder here; say where this hospital's rows are: "
        "medward federation join --home HOME --federation HOME/federation.json --data PATH"
    )


def plan_of(prepared: PreparedData, settings: ParticipantSettings) -> TrainingPlan:
    """Return the plan that all members with these settings have."""
    return plan_for(prepared.dataset, settings)


def plan_for(dataset: Dataset, settings: ParticipantSettings) -> TrainingPlan:
    """Return the plan for a data set, which needs no rows of it.

    Raises:
        InvalidConfiguration: Courier's policy is none, its bytes cannot be counted, or there are no such features.
    """
    space = FeatureSpace(dataset.schema, dataset.schema.history)
    if settings.courier and settings.members < 3:
        raise InvalidConfiguration(
            "Courier counts bytes for at least 3 members: give members, the number that the federation began with"
        )
    try:
        courier = courier_of(settings.courier, settings.members, settings.budget)
    except FederationError as error:
        raise InvalidConfiguration(str(error)) from None
    try:
        return training_plan(
            space, recipe_of(dataset.name), settings.rounds, settings.seed, settings.bits, courier, settings.features
        )
    except FederationError as error:
        raise InvalidConfiguration(str(error)) from None


def plan_candidates(settings: ParticipantSettings) -> Iterator[TrainingPlan]:
    """Yield the plan that each data set known here would give with these settings, without reading any rows.

    Which of them was agreed on is told by its digest; the data may lie elsewhere, or nowhere that can be read.
    """
    described = settings.described()
    for dataset in DATASETS.values() if described is None else (dataset_of(described),):
        yield plan_for(dataset, settings)


def read_data(settings: ParticipantSettings) -> PreparedData:
    """Read and split a member's data.

    A hospital's own rows may lack attacks, benign rows or classes. Rows that several members of a trial share may not.

    Raises:
        FlowsError: the rows are not what the plan is for, or too few.
    """
    own = settings.sites == 1
    dataset, flows = open_data(
        settings.data,
        settings.seed,
        rows=settings.rows,
        schema=settings.described(),
        labels="optional" if own else "required",
    )
    return prepare(dataset, flows, "honest", settings.seed, both_kinds=not own)


def own_rows(prepared: PreparedData, settings: ParticipantSettings) -> OwnRows:
    """Return which of the rows that were read are this member's."""
    flows, split = prepared.flows, prepared.split

    def share(rows: Rows) -> Rows:
        if settings.sites == 1:
            return rows
        dealt = partition_rows(flows, rows, split.block, settings.sites, settings.partition, settings.seed)
        return dealt[settings.site]

    def labelled_share(rows: Rows) -> Rows:
        try:
            part = share(rows)
        except BadSplit:
            return np.zeros(0, np.intp)
        labelled: Rows = part[flows.y[part] != UNLABELLED]
        return labelled

    train = share(split.train)
    classes = flows.y[train]
    return OwnRows(
        train=train,
        validation=labelled_share(split.validation),
        test=labelled_share(split.test),
        attacks=int((classes > 0).sum()),
        benign=int((classes == 0).sum()),
    )


def own_side(settings: ParticipantSettings, secret: bytes) -> OwnSide:
    """Read a member's data and make its private side.

    Args:
        settings: where the data are.
        secret: what the member's random draws derive from; nobody else has it.
    """
    return side_of(read_data(settings), settings, secret)


def side_of(prepared: PreparedData, settings: ParticipantSettings, secret: bytes) -> OwnSide:
    """Return a member's private side of data that were read; see `own_side`."""
    own = own_rows(prepared, settings)
    rows, validation = (
        training_rows(prepared.flows, prepared.x, prepared.stream, part) for part in (own.train, own.validation)
    )
    return OwnSide(plan_of(prepared, settings), Hospital(secret, rows, validation), own)
