"""The retention of blobs by a training member: labels over the store's pins.

    round/N         what the member put into round N, and what it got of others' and attested to hold
    model/current   the shared models: all of them, or those that are still in use

Garbage is collected after labels were taken off, beside a running round: what is needed has a label from the instant it
is in the store.
"""

import re
from collections.abc import Collection

from medward.store.cid import Cid
from medward.store.errors import InvalidDag, LimitExceeded
from medward.store.interface import BlobStore
from medward.store.limits import DagLimits

MODELS = "model/current"
_ROUND = re.compile(r"round/(\d+)")


class Retention:
    """A member's policy for its store. Every method blocks: use a thread.

    Args:
        store: the store.
        keep_rounds: how many rounds' blobs are kept; 0 keeps all.
    """

    def __init__(self, store: BlobStore, keep_rounds: int) -> None:
        self._store = store
        self._keep = keep_rounds

    def read(self, name: str, label: str, author: str | None, limits: DagLimits) -> bytes:
        """Return a blob, from a peer where it is not here, its author first, and keep it under a label.

        Args:
            name: the blob's.
            label: see above.
            author: who most likely has it.
            limits: how long it is, and so how much it may cost.

        Raises:
            InvalidDag, LimitExceeded: it is no such blob, and nothing is kept of it.
            StoreError: nobody has it, or it cannot be kept.
        """
        cid = Cid.parse(name)
        self._store.fetch(cid, limits, pin=label, likely=author)
        try:
            return self._store.read(cid, limits)
        except (InvalidDag, LimitExceeded):
            self._store.unpin(cid, label)
            raise

    def let_go(self, last: int, in_use: Collection[str]) -> int:
        """Let go of rounds that are long over and of models that nothing needs any more; return how many labels fell.

        Args:
            last: the last round that is over; as many as are kept up to it stay, and so does whatever is later.
            in_use: the models that must stay.
        """
        if not self._keep:
            return 0
        fallen = 0
        for pin in self._store.pins():
            of_round = _ROUND.fullmatch(pin.label)
            old = of_round is not None and int(of_round[1]) <= last - self._keep
            unused = pin.label == MODELS and str(pin.cid) not in in_use
            if old or unused:
                self._store.unpin(pin.cid, pin.label)
                fallen += 1
        if fallen:
            self._store.collect_garbage()
        return fallen
