"""Settings of one replica alone: its timers and limits. What all must hold equal is in `ChainParameters`."""

import msgspec


class Parameters(msgspec.Struct, frozen=True):
    """Timers in milliseconds and limits of one replica.

    Args:
        request_timeout: how long the oldest waiting request may stay unexecuted before the replica leaves the view;
            doubled for every view change in a row.
        max_doublings: how often at most.
        status_interval: how often a replica says where it stands.
        fetch_timeout: how long to wait for a peer's answer before another is asked.
        eager_in_flight: with fewer blocks under way than this a leader proposes at once, else only full batches.
        gather: how long a leader waits at most for as many requests as blocks had lately; never longer than half of
            what the last block took.
        max_pending: requests that may wait.
        max_pending_per_client: of one client.
        future_per_peer: messages kept of one peer for a view or height that has not come yet.
        fetch_blocks: blocks asked for at once.
        transfer_gap: a replica further behind than this fetches a snapshot instead of blocks.
        max_evidence: proofs of equivocation kept.
    """

    request_timeout: int = 2000
    max_doublings: int = 6
    status_interval: int = 500
    fetch_timeout: int = 1000
    eager_in_flight: int = 2
    gather: int = 50
    max_pending: int = 4096
    max_pending_per_client: int = 64
    future_per_peer: int = 256
    fetch_blocks: int = 64
    transfer_gap: int = 1024
    max_evidence: int = 1024
