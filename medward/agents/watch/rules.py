"""Rules beside the learned watch: they see the same windows, and are tuned on the same validation episodes.

Both smooth what the windows look like, ask for evidence when in doubt, alert when sure, and then hold their peace:

    two-threshold rule  suspicion = smoothed (best alert's logit - ALLOW's); alert above the high threshold, buy
                        evidence above the low one
    confidence rule     buy evidence where the likeliest decision's logit is below a confidence; alert as above

After an alert a rule is quiet until it has seen `quiet` windows whose suspicion lay at least `fall` below the high
threshold. With `renew` it alerts in spite of that where the likeliest attack is not the one that it last named: an
attack that another one follows at once wants an alert of its own. With `spare` it buys no evidence while it is quiet.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medward.agents.watch.environment import Watched, WatchState, glances, suspicion

ANY = -1e6


class Rule(NamedTuple):
    """One rule's setting.

    Args:
        high: the threshold of alerts, a difference of logits.
        low: the threshold of buying evidence: a difference of logits, or a confidence's logit.
        smooth: the weight of the fast running average beside the window itself.
        quiet: how many windows an alert is followed by without another one.
        fall: how far below `high` suspicion lies in a window that counts for that; ANY if all do.
        renew: whether another attack than the one last named is alerted to at once.
        by_confidence: whether evidence is bought by lack of confidence instead of by suspicion.
        spare: whether no evidence is bought while the rule is quiet.
    """

    high: Float[Array, ""] | float
    low: Float[Array, ""] | float
    smooth: Float[Array, ""] | float
    quiet: Int[Array, ""] | float
    fall: Float[Array, ""] | float
    renew: Bool[Array, ""] | bool
    by_confidence: Bool[Array, ""] | bool
    spare: Bool[Array, ""] | bool = False


class Quiet(NamedTuple):
    """What a rule remembers: for how many windows it was quiet since its last alert, of those that count."""

    windows: Int[Array, " streams"]


@dataclass(frozen=True)
class TuningGrid:
    """The settings that tuning tries.

    Args:
        high: see `Rule`.
        low: see `Rule`, for the two-threshold rule.
        confidence: see `Rule.low`, for the confidence rule.
        smooth: see `Rule`.
        quiet: see `Rule`.
        fall: see `Rule`.
        renew: see `Rule`.
        spare: see `Rule`.
    """

    high: tuple[float, ...] = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
    low: tuple[float, ...] = (-10.0, -8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 99.0)
    confidence: tuple[float, ...] = (-99.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
    smooth: tuple[float, ...] = (0.0, 0.3, 0.7)
    quiet: tuple[int, ...] = (0, 1, 2, 3, 5, 8, 16, 30)
    fall: tuple[float, ...] = (ANY, 0.0, 4.0, 8.0, 12.0)
    renew: tuple[bool, ...] = (False, True)
    spare: tuple[bool, ...] = (False,)


def settings(by_confidence: bool, grid: TuningGrid) -> Rule:
    """Return all of a rule's settings, each field an array over them."""
    low = grid.confidence if by_confidence else grid.low
    axes = (grid.high, low, grid.smooth, grid.quiet, grid.fall, grid.renew, grid.spare)
    mesh = jnp.meshgrid(*(jnp.asarray(axis, jnp.float32) for axis in axes), indexing="ij")
    high, lows, smooth, quiet, fall, renew, spare = (axis.ravel() for axis in mesh)
    return Rule(high, lows, smooth, quiet, fall, renew > 0, jnp.full(len(high), by_confidence), spare > 0)


def follow(
    rule: Rule, logged: Watched, watch: WatchState, quiet: Quiet, passing: Bool[Array, " streams"] | bool = True
) -> tuple[Int[Array, " streams"], Quiet]:
    """Return what a rule does, and what it remembers then; `passing` says which streams this decision is about."""
    now = glances(logged, watch)
    seen = (1 - rule.smooth) * now[:, :-1] + rule.smooth * watch.means[:, 0]
    suspected = suspicion(seen)
    above = suspected > rule.high
    doubt = jnp.where(rule.by_confidence, now[:, :-1].max(axis=1) < rule.low, (suspected > rule.low) & ~above)
    hushed = quiet.windows < rule.quiet
    escalates = (watch.evidence == 0) & doubt & ~(rule.spare & hushed)
    alert = 1 + jnp.argmax(seen[:, 1:], axis=1)
    another = rule.renew & (alert != watch.named)
    alerts = ~escalates & above & (~hushed | another)
    counted = quiet.windows + (suspected <= rule.high - rule.fall)
    waited = passing & ~escalates
    windows = jnp.where(waited, jnp.where(alerts, 0, counted), quiet.windows)
    return jnp.where(escalates, logged.escalate, jnp.where(alerts, alert, 0)), Quiet(windows)


def quiet_start(streams: int) -> Quiet:
    """Return what a rule remembers before the first window: nothing keeps it from alerting."""
    return Quiet(jnp.full(streams, 10_000))
