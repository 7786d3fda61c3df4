"""How Sentinel learns: double, dueling Q-learning from replayed windows, the whole loop in one compiled program.

Notation. For a state s (a window i and whether its evidence is bought) the network gives a value stream V(s) and an
advantage stream A(s, a) in [-C, 0], C the highest cost; Q(s, a) = V(s) + A(s, a). V(s) is what is still to come after
the window, A(s, a) what the action itself costs. With online weights w, target weights w' and the next window j:

    A(s, ALLOW or ALERT k)  <-  -cost(label of i, action)
    A(s, ESCALATE)          <-  -escalation + A_w'(s+, argmax over decisions of A_w(s+, .)),  s+ = (i, bought)
    V(s)                    <-  discount * Q_w'(t, argmax over actions of A_w(t, .)),         t = (j, not bought)

The online weights choose and the target weights rate (van Hasselt, Guez, Silver, AAAI 2016); value and advantage are
separate streams (Wang et al., ICML 2016). The rewards of all actions are known, so all are learned from at once. A is
kept in [-C, 0] by a logistic and fitted with cross-entropy, which on these targets separates classes better than a
squared error; V is fitted with a Huber loss.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from medward.agents.sentinel import adversary
from medward.agents.sentinel.adversary import Adversary, ByClass
from medward.agents.sentinel.environment import StreamState
from medward.agents.sentinel.muon import scale_by_muon_or_adam
from medward.agents.sentinel.network import Layout, SentinelNetwork, Streams
from medward.agents.sentinel.recipe import LearningSettings, Recipe
from medward.agents.sentinel.traffic import TrainingTraffic


class Targets(NamedTuple):
    """What both streams of a batch are pulled to.

    Args:
        value: for each state the discounted value of what follows.
        advantage: for each state and action, as a number in [0, 1]: 1 + advantage / highest cost.
        known: 1 where an action is possible in the state, else 0.
    """

    value: Float[Array, " batch"]
    advantage: Float[Array, "batch actions"]
    known: Float[Array, "batch actions"]


def bellman_targets(
    online: SentinelNetwork,
    target: SentinelNetwork,
    layout: Layout,
    traffic: TrainingTraffic,
    state: StreamState,
    discount: float,
) -> Targets:
    """Return the targets of a batch of states; see this module's head for the formulas."""
    environment = traffic.environment
    highest = environment.cost.max()
    decisions = environment.escalate
    batch = len(state.row)

    def rated(at: StreamState, options: int) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """The target network's value and advantage of what the online network would choose among `options`."""
        encoded, bought = traffic.encoded[at.row], at.bought.astype(jnp.float32)
        choice = online(layout, encoded, bought).advantage[:, :options].argmax(axis=1)
        rating = target(layout, encoded, bought)
        chosen = jnp.take_along_axis(rating.advantage, choice[:, None], axis=1)[:, 0]
        return rating.value, highest * (jax.nn.sigmoid(chosen) - 1.0)

    each = jax.vmap(lambda action: environment.step(state, jnp.full(batch, action)))(jnp.arange(decisions))
    escalated = environment.step(state, jnp.full(batch, decisions))
    _, informed = rated(escalated.state, decisions)
    advantage = jnp.concatenate([each.reward.T, (escalated.reward + informed)[:, None]], axis=1)
    # Every decision leads to the same next window, so ALLOW's outcome stands for all.
    value, best = rated(StreamState(each.state.row[0], each.state.bought[0]), decisions + 1)
    follows = jnp.where(each.ended[0], 0.0, discount * (value + best))
    known = jnp.ones((batch, decisions + 1)).at[:, decisions].set(1.0 - state.bought)
    return Targets(follows, jnp.clip(1.0 + advantage / highest, 0.0, 1.0), known)


def temporal_difference_loss(
    streams: Streams, targets: Targets, weight: Float[Array, " batch"], value_weight: float
) -> Float[Array, ""]:
    """Return the weighted loss of both streams against their targets."""
    entropy = optax.sigmoid_binary_cross_entropy(streams.advantage, targets.advantage)
    spread = optax.huber_loss(streams.value, targets.value)
    loss: Float[Array, ""] = jnp.mean(weight * ((entropy * targets.known).sum(axis=1) + value_weight * spread))
    return loss


_Batch = tuple[Float[Array, "batch width"], Targets, Float[Array, "batch classes"]]


class TrainingProgress(NamedTuple):
    """Where training stands.

    Args:
        network: the online weights.
        average: the target weights: the online weights' running average.
        optimiser: AdamW's state, or Muon's.
    """

    network: SentinelNetwork
    average: SentinelNetwork
    optimiser: optax.OptState


def start(network: SentinelNetwork, recipe: Recipe) -> TrainingProgress:
    """Return the progress from which training of `network` starts; the target is the network itself."""
    begin = _optimiser(recipe.learning).init
    return TrainingProgress(
        network, network, begin(network) if recipe.network.ensemble == 1 else jax.vmap(begin)(network)
    )


def _optimiser(learning: LearningSettings) -> optax.GradientTransformationExtraArgs:
    """Return what turns gradients into steps of the length of one learning rate."""
    scale = scale_by_muon_or_adam() if learning.optimiser == "muon" else optax.scale_by_adam()
    return optax.chain(optax.clip_by_global_norm(1.0), scale, optax.add_decayed_weights(learning.weight_decay))


def learning_rates(learning: LearningSettings, steps: int) -> Float[Array, " steps"]:
    """Return the learning rate of each step: a linear warm-up over 5 %, then a cosine to 1 %."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning.learning_rate, max(10, steps // 20), max(steps, 11), learning.learning_rate * 0.01
    )
    rates: Float[Array, " steps"] = jax.vmap(schedule)(jnp.arange(steps))
    return rates


@eqx.filter_jit
def train(
    progress: TrainingProgress,
    layout: Layout,
    traffic: TrainingTraffic,
    recipe: Recipe,
    rates: Float[Array, " steps"],
    key: PRNGKeyArray,
) -> tuple[TrainingProgress, Float[Array, " steps"]]:
    """Make one update for each learning rate; of an ensemble, each network makes as many, without regard to the others.

    Args:
        progress: where training stands; of an ensemble, the networks' arrays in a leading axis.
        layout: what the encoded rows hold.
        traffic: what is learned from.
        recipe: the settings.
        rates: each step's learning rate.
        key: randomness for draws and dropout.

    Returns:
        Where training stands then, and each step's loss, the members' mean.
    """
    if recipe.network.ensemble == 1:
        return _train_one(progress, layout, traffic, recipe.learning, rates, key)
    keys = jax.random.split(key, recipe.network.ensemble)
    progress, lost = jax.lax.map(
        lambda own: _train_one(own[0], layout, traffic, recipe.learning, rates, own[1]), (progress, keys)
    )
    return progress, lost.mean(axis=0)


def _train_one(
    progress: TrainingProgress,
    layout: Layout,
    traffic: TrainingTraffic,
    learning: LearningSettings,
    rates: Float[Array, " steps"],
    key: PRNGKeyArray,
) -> tuple[TrainingProgress, Float[Array, " steps"]]:
    """Train one network; see `train`."""
    factor = _class_factors(traffic, learning.class_power)
    walks = round(learning.adversary * learning.batch)
    entries = adversary.by_class(traffic.replay, traffic.environment) if walks else None
    opponent = adversary.begin(traffic, walks, jax.random.fold_in(key, 1)) if walks else None

    def update(
        carried: tuple[TrainingProgress, Adversary | None], step: tuple[Float[Array, ""], PRNGKeyArray]
    ) -> tuple[tuple[TrainingProgress, Adversary | None], Float[Array, ""]]:
        (at, opponent), (rate, own) = carried, step
        draw_key, history_key, dropout_key, mix_key = jax.random.split(own, 4)
        row, weight = traffic.replay.draw(draw_key, learning.batch)
        if opponent is not None and entries is not None:
            opponent, row, weight = _oppose(
                at.network, layout, traffic, learning, opponent, entries, (row, weight), own
            )
        # Draws are independent, so the first ones of a batch may be those whose evidence is bought.
        state = StreamState(row, jnp.arange(learning.batch) < round(learning.informed_share * learning.batch))
        targets = jax.lax.stop_gradient(
            bellman_targets(at.network, at.average, layout, traffic, state, learning.discount)
        )
        named = jax.nn.one_hot(traffic.environment.label[row], traffic.environment.escalate)
        seen = _without_history(traffic.encoded[row], layout, learning.history_dropout, history_key)
        if learning.column_dropout:
            seen = _without_columns(seen, layout, learning.column_dropout, jax.random.fold_in(own, 5))
        if learning.mixup:
            seen, targets, named = _mix((seen, targets, named), learning, mix_key)
        weight = weight * factor[traffic.environment.label[row]]

        def loss(network: SentinelNetwork) -> Float[Array, ""]:
            streams = network(layout, seen, state.bought.astype(jnp.float32), learning.dropout, dropout_key)
            lost = temporal_difference_loss(streams, targets, weight, learning.value_weight)
            if learning.naming_weight:
                chance = jax.nn.log_softmax(streams.advantage[:, : traffic.environment.escalate])
                lost -= learning.naming_weight * jnp.mean(weight * (named * chance).sum(axis=1))
            return lost

        lost, gradient = eqx.filter_value_and_grad(loss)(at.network)
        change, optimiser = _optimiser(learning).update(gradient, at.optimiser, at.network)
        network = jax.tree.map(lambda w, d: w - rate * d, at.network, change)
        average = jax.tree.map(lambda a, w: learning.average * a + (1 - learning.average) * w, at.average, network)
        return (TrainingProgress(network, average, optimiser), opponent), lost

    (progress, _), lost = jax.lax.scan(update, (progress, opponent), (rates, jax.random.split(key, len(rates))))
    return progress, lost


def _oppose(
    network: SentinelNetwork,
    layout: Layout,
    traffic: TrainingTraffic,
    learning: LearningSettings,
    opponent: Adversary,
    entries: ByClass,
    drawn: tuple[Int[Array, " batch"], Float[Array, " batch"]],
    key: PRNGKeyArray,
) -> tuple[Adversary, Int[Array, " batch"], Float[Array, " batch"]]:
    """Put windows of classes that the adversary picks in place of some drawn ones, and reward it for Sentinel's errors.

    They are spread evenly over the batch, so that the evidence is bought for the same share of them.
    """
    row, weight = drawn
    walks = len(opponent.row)
    picked, given, own_weight = adversary.pick(opponent, traffic, entries, jax.random.fold_in(key, 4))
    place = jnp.arange(walks) * learning.batch // walks
    bought = (place < round(learning.informed_share * learning.batch)).astype(jnp.float32)
    environment = traffic.environment
    decision = network(layout, traffic.encoded[given], bought).advantage[:, : environment.escalate].argmax(axis=1)
    reward = environment.cost[environment.label[given], decision] / environment.cost.max()
    opponent = adversary.learn(opponent, traffic, entries, picked, given, reward)
    return opponent, row.at[place].set(given), weight.at[place].set(own_weight)


def _class_factors(traffic: TrainingTraffic, power: float) -> Float[Array, " classes"]:
    """Return each class's factor on the loss: its share of the draws' weight to the minus `power`, 1 on average."""
    replay = traffic.replay
    mass = jnp.diff(replay.reach, prepend=0.0) * replay.weight
    share = jnp.zeros(traffic.environment.escalate).at[traffic.environment.label[replay.row]].add(mass)
    raised = jnp.where(share > 0, share, 1.0) ** -power
    return raised / (share * raised).sum()


def _mix(batch: _Batch, learning: LearningSettings, key: PRNGKeyArray) -> _Batch:
    """Mix each sample with its neighbour, within those whose evidence is bought and within the others."""
    informed = round(learning.informed_share * learning.batch)
    place = jnp.arange(learning.batch)
    neighbour = jnp.where(
        place < informed,
        (place + 1) % max(informed, 1),
        informed + (place + 1 - informed) % (learning.batch - informed),
    )
    part = jax.random.beta(key, learning.mixup, learning.mixup, (learning.batch,))

    def mix(own: Array) -> Array:
        share = part.reshape(-1, *(1,) * (own.ndim - 1))
        return share * own + (1 - share) * own[neighbour]

    mixed: _Batch = jax.tree.map(mix, batch)
    return mixed


def _without_history(
    encoded: Float[Array, "batch width"], layout: Layout, share: float, key: PRNGKeyArray
) -> Float[Array, "batch width"]:
    """Hide the history of a random share of the samples, as where a stream has just begun or has no order key."""
    if not share:
        return encoded
    hidden = jax.random.bernoulli(key, share, (len(encoded), 1)) & layout.number_history
    presence = slice(layout.numbers, 2 * layout.numbers)
    return encoded.at[:, presence].multiply(1.0 - hidden)


def _without_columns(
    encoded: Float[Array, "batch width"], layout: Layout, share: float, key: PRNGKeyArray
) -> Float[Array, "batch width"]:
    """Hide a random share of the numbers and indicators of each sample, so that no decision hangs on one of them."""
    many, ones = layout.numbers, layout.indicators
    shown = 1.0 - jax.random.bernoulli(key, share, (len(encoded), many + ones))
    return encoded.at[:, many : 2 * many + ones].multiply(shown)


def new_network(layout: Layout, classes: int, recipe: Recipe, seed: int) -> SentinelNetwork:
    """Return an untrained network; the same seed gives the same weights everywhere.

    Of an ensemble, the arrays of all networks are in a leading axis.
    """
    key = jax.random.key(seed)
    if recipe.network.ensemble == 1:
        return SentinelNetwork(layout, classes, recipe, key)
    keys = jax.random.split(key, recipe.network.ensemble)
    members: SentinelNetwork = eqx.filter_vmap(lambda own: SentinelNetwork(layout, classes, recipe, own))(keys)
    return members


def decide(streams: Streams, bought: Float[Array, " batch"]) -> Int[Array, " batch"]:
    """Return the greedy action of each state; ESCALATE only where the evidence was not bought."""
    escalate = streams.advantage.shape[1] - 1
    options = streams.advantage.at[:, escalate].add(jnp.where(bought > 0, -jnp.inf, 0.0))
    return options.argmax(axis=1)
