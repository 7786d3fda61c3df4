"""File descriptors: how many a node may have open, and what share of its usual places for callers that allows.

Every connection holds one. What the disk, the ledger and the calls to other members need is kept for them, so strangers
can never take it.
"""

import resource

from medward.ledger.pbft.runtime.listener import LEDGER_PLACES
from medward.node.api.server import API_PLACES
from medward.node.errors import NodeError
from medward.store.gateway.server import STORE_PLACES

OWN_FILES = 320
"""For files, databases, libraries and connections to other members: a node of four has about 70 of them open."""
_ENOUGH = 65_536
_LEAST_SHARE = 0.25
PLACES = LEDGER_PLACES + STORE_PLACES + API_PLACES
"""For callers of the ledger, the store and the API."""


def raise_limit() -> int:
    """Have this process open as many files as it may, within reason; return how many those are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # macOS has a lower limit of its own
            return soft
        return wanted
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft


def places_share(limit: int | None = None) -> float:
    """Return the share of the usual places for callers, 0.25 to 1, that a limit on open files leaves.

    Args:
        limit: how many files may be open; what the system says where None.

    Raises:
        NodeError: too few.
    """
    limit = raise_limit() if limit is None else limit
    share = min(1.0, (limit - OWN_FILES) / PLACES)
    if share < _LEAST_SHARE:
        least = OWN_FILES + int(_LEAST_SHARE * PLACES)
        raise NodeError(
            f"this process may have {limit} files open, and a node needs {least}, better {OWN_FILES + PLACES}: raise "
            "the limit (`ulimit -n`, or LimitNOFILE in the systemd unit)"
        )
    return share
