"""A data set beyond its schema: how its files look and how to cut them honestly."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from medward.flows.schema import Feature, Schema


class Cut(Enum):
    """How the honest split cuts a data set; see `medward.flows.splits`."""

    BLOCKS = "blocks"
    CHRONOLOGICAL = "chronological"
    OFFICIAL = "official"
    CAPTURES = "captures"


@dataclass(frozen=True)
class SourceFile:
    """One file of a data set.

    Args:
        path: where it is.
        name: the capture it holds; parts of one capture share a name.
        header: the columns, where the published file has no header line; else None.
        constants: columns that the published file lacks because its name says them (the class, say).
        official: 0 for a train file, 1 for a test file, where the publishers fixed a split.
    """

    path: Path
    name: str
    header: tuple[str, ...] | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    official: int | None = None


def every_file(paths: list[Path]) -> list[Path]:
    """Use every data file of a folder."""
    return paths


def plain_file(path: Path) -> SourceFile:
    """Describe a file whose header and columns say everything."""
    return SourceFile(path, path.name.split(".")[0])


@dataclass(frozen=True)
class Dataset:
    """A data set that medward can read.

    Args:
        schema: what its columns mean.
        home: where its authors publish it.
        cut: how the honest split cuts it.
        block_rows: the rows of a block, for `Cut.BLOCKS`.
        describe: what a file's name tells about its content.
        choose: which of a folder's data files belong to the data set.
        drops_unlabelled: whether the publishers left rows without a label, which are then passed over.
        fingerprints: features that identify the attack tool or its side effects; results are given with and without.
        densities: for each copy of the training rows how dense the stream is that its history remembers; see
            `medward.flows.thinning`.
        paper_extra: columns that the literature's habit feeds and an honest reading forbids.
        cautions: what else gives classes away, and cannot be left out with a column; a sentence each.
        label_source: the column that says where a row's class is from, where there is one.
        trust: for a text of that column how far such a class is to be trusted in training, in (0, 1); 1 for others.
        own: whether its rows are a hospital's own, and not published ones.
        text: the schema file that described it, complete; empty for the data sets that medward knows.
    """

    schema: Schema
    home: str
    cut: Cut
    block_rows: int = 200
    describe: Callable[[Path], SourceFile] = plain_file
    choose: Callable[[list[Path]], list[Path]] = every_file
    drops_unlabelled: bool = False
    fingerprints: tuple[str, ...] = ()
    densities: tuple[float, ...] = ()
    paper_extra: tuple[Feature, ...] = ()
    cautions: tuple[str, ...] = ()
    label_source: str = ""
    trust: Mapping[str, float] = field(default_factory=dict)
    own: bool = False
    text: str = ""

    @property
    def name(self) -> str:
        """The short name, as the command line takes it."""
        return self.schema.dataset

    def paper_schema(self) -> Schema:
        """Return the schema of the literature's habit: the columns that leak are features too."""
        extra = {feature.name for feature in self.paper_extra}
        never = {name: reason for name, reason in self.schema.never.items() if name not in extra}
        return replace(self.schema, features=self.schema.features + self.paper_extra, never=never)

    def without(self, names: Collection[str]) -> "Dataset":
        """Return the same data set with some features left out, which the files may still hold."""
        left_out = [feature.name for feature in self.schema.features if feature.name in names]
        return replace(self, schema=self.schema.without(left_out, "is left out"))
