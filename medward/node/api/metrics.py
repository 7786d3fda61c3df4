"""The metrics of a node for Prometheus; docs/run-a-node.md says what each number means."""

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class NodeCollector(Collector):
    """Turns a node's status into metrics.

    Args:
        status: as `GET /status` shows it.
        refused: how many requests the API refused, by HTTP status.
        refused_requests: how many requests the ports refused, by port and reason.
        restarts: how often each part was started again.
        healthy: whether the node works.
    """

    def __init__(
        self,
        status: Mapping[str, Any],
        refused: Mapping[int, int],
        refused_requests: Mapping[tuple[str, str], int],
        restarts: Mapping[str, int],
        healthy: bool,
    ) -> None:
        self._refused_requests = refused_requests
        self._status = status
        self._refusals = refused
        self._restarts = restarts
        self._healthy = healthy

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        status, ledger, store = self._status, self._status["ledger"], self._status["store"]
        yield _gauge("healthy", "1 while the node works", int(self._healthy))
        yield _gauge("uptime_seconds", "seconds since the node started", status["uptime_seconds"])
        yield _gauge("members", "members that vote now", len(status["members"]))
        stopped = bool(status["participant"].get("stopped"))
        yield _gauge("federation_stopped", "1 while the federation has stopped and waits for members", int(stopped))
        yield _gauge("participant_waiting_events", "ledger events not seen by the participant yet", status["waiting"])
        for name in ("height", "stable_height", "epoch", "view"):
            if name in ledger:
                yield _gauge(f"ledger_{name}", f"the ledger's {name.replace('_', ' ')} here", ledger[name])
        yield _gauge("ledger_votes", "1 while this member votes", int(bool(ledger.get("votes"))))
        if "clock_off_seconds" in ledger:
            what = "seconds that this node's clock is ahead of the others', 0 within the ledger's bound"
            yield _gauge("ledger_clock_off_seconds", what, ledger["clock_off_seconds"])
        if "damaged_blocks" in ledger:
            what = "old blocks that the disk does not give back and the others have not sent yet"
            yield _gauge("ledger_damaged_blocks", what, len(ledger["damaged_blocks"]))
        yield from _reach(ledger)
        if "journal_commits" in ledger:
            yield _counter("ledger_journal_commits", "syncs of the ledger's journal", ledger["journal_commits"])
        yield _gauge("store_blocks", "blocks in the store", store["blocks"])
        yield _gauge("store_bytes", "bytes of blocks in the store", store["bytes"])
        if "disk_free" in store:
            yield _gauge("disk_free_bytes", "bytes left on the disk of the home", store["disk_free"])
        yield from _rounds(status["participant"])
        refused = CounterMetricFamily("medward_api_refused", "requests that the API refused", labels=["status"])
        for code, count in sorted(self._refusals.items()):
            refused.add_metric([str(code)], count)
        yield refused
        away = CounterMetricFamily(
            "medward_turned_away", "callers and outsiders turned away", labels=["port", "reason"]
        )
        for (port, reason), count in sorted(self._refused_requests.items()):
            away.add_metric([port, reason], count)
        yield away
        restarts = CounterMetricFamily(
            "medward_restarts", "crashes after which a part was started again", labels=["part"]
        )
        for part, count in sorted(self._restarts.items()):
            restarts.add_metric([part], count)
        yield restarts


def _rounds(told: Mapping[str, Any]) -> Iterable[Metric]:
    """Yield where the rounds stand, and how old and how good the model is."""
    for key, name, what in (
        ("round", "round", "the number of the present round"),
        ("last_final_round", "last_final_round", "the number of the last final round"),
        ("last_final_seconds", "last_final_round_age_seconds", "seconds since the last final round ended"),
        ("model_seconds", "model_age_seconds", "seconds since the model's training round ended"),
    ):
        if told.get(key) is not None:
            yield _gauge(name, what, told[key])
    if told.get("phase") is not None:
        phase = GaugeMetricFamily("medward_round_phase", "1 for the present round's phase", labels=["phase"])
        phase.add_metric([told["phase"]], 1)
        yield phase
    if told.get("validation"):
        measured = GaugeMetricFamily(
            "medward_model_validation", "how the model does on own validation rows", labels=["measure"]
        )
        for measure, value in sorted(told["validation"].items()):
            measured.add_metric([measure], value)
        yield measured


def _reach(ledger: Mapping[str, Any]) -> Iterable[Metric]:
    """Yield whether a quorum is in reach, and what is known of each peer."""
    if "has_quorum" not in ledger:
        return
    yield _gauge("ledger_quorum", "1 while enough members are in reach to order anything", int(ledger["has_quorum"]))
    heard = GaugeMetricFamily("medward_peer_heard_seconds", "seconds since a member was heard of", labels=["peer"])
    ahead = GaugeMetricFamily(
        "medward_peer_clock_ahead_seconds", "seconds that a member's clock is ahead of this node's", labels=["peer"]
    )
    for name, peer in sorted(ledger["peers"].items()):
        heard.add_metric([name], peer["heard_seconds"])
        if peer["clock_ahead_seconds"] is not None:
            ahead.add_metric([name], peer["clock_ahead_seconds"])
    yield heard
    yield ahead


def render_metrics(collector: NodeCollector) -> bytes:
    """Return the Prometheus text, with the process's own memory, processor time and open files."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"medward_{name}", what, value=value)


def _counter(name: str, what: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"medward_{name}", what, value=value)
