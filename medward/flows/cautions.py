"""Cautions about rows: what a score on them is worth, told from the rows themselves."""

import numpy as np

from medward.errors import printable
from medward.flows.datasets import DATASETS, MEDWARD_FLOW, Dataset
from medward.flows.schema import Flows, Group
from medward.flows.separation import GIVES_AWAY, LEAST_ROWS, class_told_apart, groups_of, separation

_MANY_REPEATS = 0.2
#: What single columns tell is looked at in so many rows: sorting each column of millions would take minutes.
_MOST_ROWS = 100_000


def cautions_about(dataset: Dataset, flows: Flows) -> tuple[str, ...]:
    """Return what a reader of results must know of a data set and of these rows of it, a sentence each."""
    if dataset.name not in DATASETS:
        return cautions_of(flows)
    return dataset.cautions + (cautions_of_evidence(flows) if dataset.name == MEDWARD_FLOW.name else ())


def cautions_of_evidence(flows: Flows) -> tuple[str, ...]:
    """Return a sentence where windows were metered without a look into payload, so that they have no evidence."""
    expensive = [column.group is Group.EXPENSIVE for column in flows.schema.columns]
    # A window without any payload has no evidence either, so one row says nothing of how its table was made.
    looked = np.bincount(flows.source, ~np.isnan(flows.x[:, expensive]).all(axis=1), len(flows.sources)) > 0
    if looked.all():
        return ()
    if not looked.any():
        return (
            "No row has evidence from payload (`medward flows --no-payload` leaves it out): a model of these rows "
            "decides by headers alone and has no use for evidence.",
        )
    one = flows.sources[int(np.argmin(looked))]
    return (
        f"{printable(one)} was metered without a look into payload (`medward flows --no-payload`) and others were not: "
        "a model may learn which tables were made how; meter all captures in one way.",
    )


def cautions_of(flows: Flows) -> tuple[str, ...]:
    """Return a sentence for each reason why scores on these rows say little: repeats, a feature that tells all."""
    found: list[str] = []
    if not len(flows):
        return ()
    repeats = repeated_share(flows)
    if repeats > _MANY_REPEATS:
        found.append(
            f"{repeats:.0%} of the rows repeat another row's features: rows that are tested stand among those that "
            "were trained on, and a score says little; leave repeated rows out first."
        )
    attack = flows.y > 0
    if not LEAST_ROWS <= attack.sum() <= len(flows) - LEAST_ROWS:
        return tuple(found)
    seen = np.arange(len(flows))
    if len(flows) > _MOST_ROWS:
        seen = np.sort(np.random.default_rng(0).choice(len(flows), _MOST_ROWS, replace=False))
    y, attack = flows.y[seen], attack[seen]
    for number, column in enumerate(flows.schema.columns):
        groups = groups_of(flows.x[seen, number].astype(np.float64))
        told = separation(groups, attack)
        if told > GIVES_AWAY:
            what = f"separates attacks from benign rows (area under its curve {told:.3f})"
        elif (one := class_told_apart(groups, y)) is not None:
            what = f"tells {printable(flows.schema.classes[one])} from all other rows"
        else:
            continue
        found.append(
            f"{printable(column.name)} alone {what}: a score says how well that was learned, and little of other "
            "traffic."
        )
    return tuple(found)


def repeated_share(flows: Flows) -> float:
    """Return the share of rows whose features are those of an earlier row."""
    # Adding zero makes -0.0 the 0.0 that it equals.
    bits = np.ascontiguousarray(flows.x + np.float32(0)).view(np.uint8).reshape(len(flows), -1)
    vectors = bits.view(np.dtype((np.void, bits.shape[1]))).ravel()
    return 1 - len(np.unique(vectors)) / len(flows)
