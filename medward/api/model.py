"""Models: what training returns, what a folder holds, and what decides rows of traffic."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medward.agents.costs import Costs
from medward.agents.sentinel.judgement import Judgement, judge_scores
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.scorer import Scores
from medward.api.data import Data
from medward.api.tables import FlowTable, frame_of
from medward.flows.cells import Labels
from medward.flows.history import FeatureSpace, streams_of
from medward.flows.opening import dataset_with
from medward.flows.prepared import PreparedData
from medward.flows.reading import flows_of, read_flows
from medward.flows.schema import Flows

#: What is asked of a table's class column, by whether it must be there.
LABELS: dict[bool, Labels] = {True: "required", False: "ignored"}


class Model(ABC):
    """A trained detector: it decides rows of traffic, and is measured on labelled ones."""

    @property
    @abstractmethod
    def space(self) -> FeatureSpace:
        """The features that it takes, with the schema that tables are read under."""

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that it tells apart, the benign one first."""

    @property
    @abstractmethod
    def costs(self) -> Costs:
        """What its decisions cost where they are judged."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The hash of its weights, as `sha256:...`."""

    @abstractmethod
    def scores(self, x: NDArray[np.float32]) -> Scores:
        """Decide rows of its feature matrix, float32[rows, columns], NaN where a value is missing."""

    @abstractmethod
    def save(self, folder: str | PathLike[str]) -> str:
        """Write it into a folder, replacing a model there; return its name."""

    def read(self, table: FlowTable, labelled: bool = False) -> Flows:
        """Read a table under the model's schema.

        Raises:
            BadFile: a column is missing, or a cell is wrong.
        """
        dataset, labels = dataset_with(self.space.schema), LABELS[labelled]
        if isinstance(table, str | PathLike):
            return read_flows(dataset, Path(table), labels)
        return flows_of(dataset, frame_of(table), "the table", labels)

    def predict(self, table: FlowTable) -> pl.DataFrame:
        """Decide rows of traffic.

        What is remembered of a device is used where the table names devices and their order.

        Args:
            table: a path, a data frame (Polars, pandas) or a dict of columns, without labels or with them.

        Returns:
            A row for each row of the table: `decision` ("ALLOW" or "ALERT"), `class` (the one that is alerted on, or
            the benign one), `evidence` (whether it was bought first), `suspicion` (the higher, the more likely an
            attack), and for each class a column `score CLASS`; the highest score decides.

        Raises:
            BadFile: a column is missing, or a cell is wrong.
        """
        scores = self.scores(self._features(self.read(table)))
        names = np.array(self.classes)
        columns: Mapping[str, NDArray[np.generic]] = {
            "decision": np.where(scores.decision > 0, "ALERT", "ALLOW"),
            "class": names[scores.decision],
            "evidence": scores.escalated,
            "suspicion": scores.suspicion,
            **{f"score {name}": scores.q[:, number] for number, name in enumerate(self.classes)},
        }
        return pl.DataFrame(columns)

    def evaluate(self, data: "PreparedData | Data | Flows | FlowTable", part: str = "test") -> Judgement:
        """Measure the model on labelled rows.

        Args:
            data: what `split` returned, of which one part is taken, or a labelled table, of which all rows are.
            part: of a split: "train", "validation" or "test".

        Returns:
            `metrics` as `medward.agents.metrics.measures` gives them, `expected_cost` of a row, and the share of rows
            whose evidence was bought.

        Raises:
            BadFile: the table lacks a column, or a cell is wrong.
        """
        if isinstance(data, PreparedData):
            rows: NDArray[np.intp] = getattr(data.split, part)
            x, y = data.x[rows], data.flows.y[rows]
        else:
            flows = data.flows if isinstance(data, Data) else data
            if not isinstance(flows, Flows):
                flows = self.read(flows, labelled=True)
            x, y = self._features(flows), flows.y
        return judge_scores(self.scores(x), self.labels(y), self.classes, self.costs)

    def sees_history(self, flows: Flows) -> bool:
        """Return whether the model uses what it remembers of devices on these rows."""
        return self.space.history and streams_of(flows) is not None

    def labels(self, y: NDArray[np.int32]) -> NDArray[np.int32]:
        """Translate the schema's class numbers into the model's; an unknown class gets `len(classes)`."""
        place = {name: number for number, name in enumerate(self.classes)}
        table = np.array([place.get(name, len(self.classes)) for name in self.space.schema.classes], np.int32)
        return table[y]

    def _features(self, flows: Flows) -> NDArray[np.float32]:
        return self.space.build(flows, streams_of(flows))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space.schema.dataset}: {', '.join(self.classes)}; {self.name[:19]})"


class TrainedSentinel(Model):
    """A trained Sentinel.

    Args:
        sentinel: the network with all that scoring needs.
    """

    def __init__(self, sentinel: SentinelModel) -> None:
        self.sentinel = sentinel
        self._scorer = sentinel.scorer()

    @property
    def space(self) -> FeatureSpace:
        """The features that it takes."""
        return self.sentinel.space

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that it tells apart."""
        return self.sentinel.classes

    @property
    def costs(self) -> Costs:
        """What its decisions cost."""
        return self.sentinel.recipe.costs

    @property
    def name(self) -> str:
        """The hash of its weights."""
        return self.sentinel.name

    @property
    def provenance(self) -> Provenance:
        """Where it came from."""
        return self.sentinel.provenance

    def scores(self, x: NDArray[np.float32]) -> Scores:
        """Decide rows of its feature matrix."""
        return self._scorer.score(x)

    def save(self, folder: str | PathLike[str]) -> str:
        """Write `model.json` and `weights.safetensors` into a folder; return the model's name."""
        return self.sentinel.save(Path(folder))
