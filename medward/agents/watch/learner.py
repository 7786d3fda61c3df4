"""How the watch learns: double, dueling, n-step Q-learning on episodes that are re-simulated exactly.

Streams are walked side by side, mostly greedily. In every state that is met, the outcome of *every* action is computed,
since the environment is exact: the action is taken, then the online network's greedy actions for `steps - 1` more
decisions, then the target network rates what the online network would do next (double Q-learning):

    T(s, a) = r_0 + g_0 r_1 + g_0 g_1 r_2 + ... + g_0 ... g_(n-1) Q_w'(s_n, argmax over actions of Q_w(s_n, .))

g_k is the discount where decision k let a window pass, and 1 where it was ESCALATE. As the actions after the first are
the present policy's own, the return needs no correction for being off-policy. All actions' returns run over the same
logged future, so their differences are free of most of its noise; the network is fitted to these:

    V(s)       <-  T(s, ALLOW)                    squared error
    E(s, a)    <-  T(s, a) - T(s, ALLOW)          squared error, or quantile loss (Dabney et al. 2018)
    Q(s, a)     =  V(s) + E(s, a)
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from medward.agents.watch.environment import Watched, WatchState, begin, inputs, named, observe, step
from medward.agents.watch.network import WatchNetwork, WatchRecipe, WatchValues, greedy


class Returns(NamedTuple):
    """The n-step returns of a batch of states.

    Args:
        allow: T(s, ALLOW).
        effect: for each action T(s, a) - T(s, ALLOW).
        known: 1 for ALLOW's alternatives: the alert that names the likeliest class, ESCALATE where no evidence comes.
    """

    allow: Float[Array, " batch"]
    effect: Float[Array, "batch actions"]
    known: Float[Array, "batch actions"]


def judge(network: WatchNetwork, logged: Watched, watch: WatchState, recipe: WatchRecipe) -> WatchValues:
    """Return what a network says of the states that streams stand in."""
    return network(observe(logged, watch, recipe.costs, recipe.sees), named(logged, watch))


def returns(
    online: WatchNetwork, target: WatchNetwork, logged: Watched, watch: WatchState, recipe: WatchRecipe
) -> Returns:
    """Return what every action brings in every state; see this module's head for the formula."""
    costs, batch = recipe.costs, len(watch.at)
    escalate = logged.escalate

    def decide(at: WatchState) -> Array:
        return greedy(judge(online, logged, at, recipe), at.evidence > 0)

    def follow(action: Array) -> tuple[Array, Array, Array]:
        """Return the actions' rewards and the discounted rest."""
        first = step(logged, watch, action, costs)
        gain = jnp.where(first.waited, recipe.discount, 1.0) * ~first.ended

        def onward(now: tuple[WatchState, Array, Array], _: None) -> tuple[tuple[WatchState, Array, Array], None]:
            at, total, gain = now
            then = step(logged, at, decide(at), costs)
            rest = gain * jnp.where(then.waited, recipe.discount, 1.0) * ~then.ended
            return (then.watch, total + gain * then.reward, rest), None

        begun = (first.watch, jnp.zeros(batch), gain)
        (at, total, gain), _ = jax.lax.scan(onward, begun, None, length=recipe.steps - 1)
        rated = judge(target, logged, at, recipe).q()
        best = jnp.take_along_axis(rated, decide(at)[:, None], axis=1)[:, 0]
        return first.reward, total + gain * best, first.ended

    # Of the alerts only the one that names the likeliest class is followed: the network is asked for no other.
    name = named(logged, watch)
    actions = jnp.stack([jnp.zeros_like(name), name, jnp.full_like(name, escalate)])
    reward, rest, _ = jax.lax.map(follow, actions)
    each = jax.vmap(lambda kind: step(logged, watch, jnp.full(batch, kind), costs).reward)(jnp.arange(1, escalate))
    allow = reward[0] + rest[0]
    alerts = each.T + rest[1][:, None]
    all_actions = jnp.concatenate([allow[:, None], alerts, (reward[2] + rest[2])[:, None]], axis=1)
    known = jnp.arange(escalate + 1) == name[:, None]
    known = known.at[:, escalate].set(watch.evidence == 0)
    return Returns(allow, all_actions - allow[:, None], known.astype(jnp.float32))


def loss_of(judged: WatchValues, wanted: Returns, recipe: WatchRecipe) -> Float[Array, ""]:
    """Return the loss of both streams against the returns."""
    value = recipe.value_weight * jnp.mean((judged.value - wanted.allow) ** 2)
    difference = jnp.where(wanted.known[:, :, None] > 0, wanted.effect[:, :, None] - judged.effect, 0.0)
    if recipe.quantiles == 1:
        each = difference[:, :, 0] ** 2
    else:
        at = (jnp.arange(recipe.quantiles) + 0.5) / recipe.quantiles
        each = (jnp.abs(at - (difference < 0)) * jnp.abs(difference)).mean(axis=2)
    return value + jnp.mean((each * wanted.known)[:, 1:].sum(axis=1))


class TrainedWatch(NamedTuple):
    """A trained watch.

    Args:
        network: the running average of the trained weights.
        losses: each update's loss.
    """

    network: WatchNetwork
    losses: Float[Array, " updates"]


def learn(logged: Watched, recipe: WatchRecipe, seed: int) -> TrainedWatch:
    """Train a watch on logged episodes; the same arguments give the same network."""
    key = jax.random.key(seed)
    start_key, walk_key = jax.random.split(key)
    actions = logged.escalate + 1
    network = WatchNetwork(inputs(actions), actions, recipe, start_key)
    return _learn(network, logged, recipe, walk_key)


@eqx.filter_jit
def _learn(network: WatchNetwork, logged: Watched, recipe: WatchRecipe, key: PRNGKeyArray) -> TrainedWatch:
    rates = optax.warmup_cosine_decay_schedule(
        0.0, recipe.learning_rate, recipe.updates // 20, max(recipe.updates, 2), recipe.learning_rate * 0.01
    )
    optimiser = optax.chain(optax.clip_by_global_norm(10.0), optax.adamw(rates, weight_decay=recipe.weight_decay))
    draw_key, key = jax.random.split(key)
    streams = recipe.streams
    episodes = jax.random.randint(draw_key, (streams,), 0, len(logged.row))
    watch = begin(logged, episodes)

    def update(at: tuple, now: tuple[Array, PRNGKeyArray]) -> tuple[tuple, Array]:  # type: ignore[type-arg]
        online, average, state, watch = at
        number, own = now
        explore_key, action_key, episode_key, late_key, noise_key = jax.random.split(own, 5)
        wanted = jax.lax.stop_gradient(returns(online, average, logged, watch, recipe))
        seen, name = observe(logged, watch, recipe.costs, recipe.sees), named(logged, watch)

        blurred = seen + recipe.noise * jax.random.normal(noise_key, seen.shape)

        def loss(network: WatchNetwork) -> Float[Array, ""]:
            return loss_of(network(blurred, name), wanted, recipe)

        lost, gradient = eqx.filter_value_and_grad(loss)(online)
        change, state = optimiser.update(gradient, state, eqx.filter(online, eqx.is_array))
        evidence = watch.evidence > 0
        action = greedy(online(seen, name), evidence)
        online = eqx.apply_updates(online, change)
        average = jax.tree.map(lambda a, w: recipe.average * a + (1 - recipe.average) * w, average, online)
        share = recipe.explore * jnp.maximum(1.0 - number / (0.5 * recipe.updates), 0.1)
        # One random action in three is an alert, whatever their number, so that walks stay like real ones.
        kind = jax.random.randint(action_key, (streams,), 0, 3)
        escalates = jnp.where(evidence, 0, logged.escalate)
        random = jnp.where(kind == 0, 0, jnp.where(kind == 1, name, escalates))
        action = jnp.where(jax.random.uniform(explore_key, (streams,)) < share, random, action)
        after = step(logged, watch, action, recipe.costs)
        fresh = begin(logged, jax.random.randint(episode_key, (streams,), 0, len(logged.row)))
        # A new episode may be entered anywhere, so that the streams do not march in step.
        fresh = fresh._replace(at=jax.random.randint(late_key, (streams,), 0, logged.row.shape[1] // 2))
        watch = jax.tree.map(
            lambda a, b: jnp.where(after.ended.reshape(-1, *(1,) * (a.ndim - 1)), a, b), fresh, after.watch
        )
        return (online, average, state, watch), lost

    begun = (network, network, optimiser.init(eqx.filter(network, eqx.is_array)), watch)
    steps = (jnp.arange(recipe.updates), jax.random.split(key, recipe.updates))
    (_, average, _, _), losses = jax.lax.scan(update, begun, steps)
    return TrainedWatch(average, losses)
