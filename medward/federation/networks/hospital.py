"""A hospital's private side of a federated network: its rows, and what rounding its updates lost so far."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from medward.federation.model.hospital import CERTAIN, LEAST_VALIDATION_ROWS, WORSE, TrainingRows
from medward.federation.networks.shared import SharedNetwork, flat
from medward.federation.sums.interface import IntVector
from medward.fhe.packing import quantise_with_feedback, rounding_seed
from medward.flows.sketch import count


class NetworkHospital:
    """One hospital's private side; a `Contributor`.

    Args:
        secret: what its random draws derive from.
        rows: its training rows.
        validation: rows on which it tries the next weights.
    """

    def __init__(self, secret: bytes, rows: TrainingRows, validation: TrainingRows) -> None:
        self._secret, self._rows, self._validation = secret, rows, validation
        #: What was not sent, by the step that it is to be sent in, or was carried into.
        self._carried: dict[int, NDArray[np.float64]] = {}

    def work(self, shared: SharedNetwork, number: int) -> IntVector:
        """Return this hospital's integers: counts for a survey, the change of its weights for a training round."""
        if shared.task == "survey":
            held = np.bincount(self._rows.y, minlength=len(shared.plan.space.schema.classes))
            return np.concatenate([count(self._rows.x, shared.grid), held]).astype(np.int64)
        assert shared.weights is not None
        known = np.isin(self._rows.y, shared.classes)
        x, y = shared.inputs(self._rows.x[known]), _numbered(self._rows.y[known], shared)
        seed = int.from_bytes(hashlib.sha256(self._secret + b"network" + number.to_bytes(8, "little")).digest()[:4])
        trained = shared.plan.network.train(shared.weights.copy(), x, y, len(shared.classes), seed)
        update = flat(trained, shared.weights).astype(np.float64) - shared.weights
        # A step that is repeated carries the same once more: its sum came to nothing.
        carried = self._carried.get(shared.step, np.zeros(len(update)))
        integers, left = quantise_with_feedback(
            shared.plan.quantiser(), update, carried, rounding_seed(self._secret, number)
        )
        self._carried = {shared.step: carried, shared.step + 1: left}
        return integers

    def accepts(self, before: SharedNetwork, after: SharedNetwork) -> bool:
        """Return whether the next weights do not clearly err more on this hospital's validation rows."""
        if before.weights is None or after.weights is None or len(self._validation) < LEAST_VALIDATION_ROWS:
            return True
        old, new = self._errors(before), self._errors(after)
        noise = float(np.std(new - old)) / float(len(old)) ** 0.5
        return bool(new.mean() <= max(WORSE * old.mean(), old.mean() + CERTAIN * noise))

    def _errors(self, shared: SharedNetwork) -> NDArray[np.float64]:
        decided = np.array(shared.classes)[shared.scores(self._validation.x).argmax(axis=1)]
        return np.asarray(decided != self._validation.y, np.float64)


def _numbered(y: NDArray[np.int32], shared: SharedNetwork) -> NDArray[np.int32]:
    """Return rows' classes as the network numbers them."""
    return np.searchsorted(np.array(shared.classes), y).astype(np.int32)
