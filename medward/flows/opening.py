"""Opening a data set by name or by path, whatever it is."""

import os
from dataclasses import replace
from pathlib import Path

from medward.errors import MedwardError
from medward.flows.cells import Labels
from medward.flows.datasets import DATASETS, Cut, Dataset, ward
from medward.flows.errors import BadSchema
from medward.flows.prepared import Protocol
from medward.flows.proposal import completed
from medward.flows.reading import names_in, read_flows, recognise
from medward.flows.schema import OTHER_NAMES, Flows, Schema
from medward.flows.schema_file import MOST_CLASSES, SchemaFile, dataset_of

WARD_ROWS = 40_000


def open_data(
    data: str,
    seed: int,
    protocol: Protocol = "honest",
    rows: int = WARD_ROWS,
    without_fingerprints: bool = False,
    schema: SchemaFile | None = None,
    labels: Labels = "required",
    own_classes: bool = False,
) -> tuple[Dataset, Flows]:
    """Read what `data` names, under the honest or the paper protocol's schema.

    Args:
        data: a name or a path.
        seed: what the synthetic ward is drawn from.
        protocol: "paper" also reads the columns that leak the label.
        rows: the size of the synthetic ward.
        without_fingerprints: leave out the features that identify the attack tool; the ward has none.
        schema: what the columns mean, where `data` is no data set that medward knows; what it leaves out is taken from
            the rows.
        labels: whether rows must have a class; those of a schema file without a label have none.
        own_classes: whether names that the data set counts as one other class become classes of their own.

    Raises:
        MedwardError: it is no known name and no path, or the files are wrong.
    """
    if schema is not None:
        return _described(schema, Path(data), labels)
    if data == "ward":
        return DATASETS["ward"], ward.generate(rows, seed)
    path = Path(data)
    if not path.exists():
        path = known_place(data)
    dataset = recognise(path)
    if protocol == "paper":
        dataset = replace(dataset, schema=dataset.paper_schema())
    if without_fingerprints:
        dataset = dataset.without(dataset.fingerprints)
    if own_classes:
        dataset = _with_own_classes(dataset, path)
    return dataset, read_flows(dataset, path, labels)


def _with_own_classes(dataset: Dataset, path: Path) -> Dataset:
    """Return the data set with a class for each name in its label column that it does not know."""
    schema = dataset.schema
    if OTHER_NAMES not in schema.aliases:
        return dataset
    known = {*schema.classes, *schema.aliases, ""}
    own = sorted(names_in(dataset, path, schema.label) - known)
    if len(schema.classes) + len(own) > MOST_CLASSES:
        raise BadSchema(
            f"{path} has {len(own)} names of attacks that {schema.title} does not know, too many for classes: label "
            "rows with at most a few names."
        )
    return replace(dataset, schema=replace(schema, classes=(*schema.classes, *own)))


def _described(schema: SchemaFile, path: Path, labels: Labels) -> tuple[Dataset, Flows]:
    """Read a table that a schema file describes."""
    dataset = dataset_of(completed(schema, path))
    flows = read_flows(dataset, path, "ignored" if schema.label is None else labels)
    return dataset, flows


def dataset_with(schema: Schema) -> Dataset:
    """Return the data set that a model's schema is of, so that its files can be read: known, or described by a file."""
    known = DATASETS.get(schema.dataset)
    if known is not None:
        return replace(known, schema=schema)
    return Dataset(schema=schema, home="a hospital's own", cut=Cut.BLOCKS, own=True)


def known_place(name: str) -> Path:
    """Find a data set by name in the folder that MEDWARD_DATA names.

    Raises:
        MedwardError: it is not there.
    """
    folder = os.environ.get("MEDWARD_DATA")
    if name not in DATASETS:
        known = ", ".join(DATASETS)
        raise MedwardError(f"{name} is neither a file or folder nor a data set's name ({known}): check the spelling.")
    found = sorted(Path(folder).glob(f"{name}*")) if folder else []
    if not found:
        where = f"{folder} holds no {name}*" if folder else "MEDWARD_DATA names no folder"
        raise MedwardError(
            f"{name} is known but {where}: get it from {DATASETS[name].home} and give its path, or set MEDWARD_DATA to "
            "the folder that holds it."
        )
    return found[0]
