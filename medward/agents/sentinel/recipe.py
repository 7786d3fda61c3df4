"""The settings that Sentinel is trained with, one recipe for each data set.

They were chosen on validation parts; docs/results/tried.md says how. A recipe is public: every hospital
trains by the same. recipe_format.py says how files and hashes hold one.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from medward.agents.costs import Costs
from medward.flows.scaling import ScalerKind

Layer = Literal["real", "quaternion"]
Activation = Literal["relu", "square"]
Optimiser = Literal["adamw", "muon"]


@dataclass(frozen=True)
class ScalingSettings:
    """How numbers are scaled before the network sees them.

    Args:
        scaler: the kind of scaler (medward.flows.scaling).
        cells: the cells a column that the scaler's surveys count in after refinement.
        surveys: how many surveys there are, the coarse one included.
        bins: the most bins of a number's piecewise-linear embedding.
    """

    scaler: ScalerKind = "quantile"
    cells: int = 1024
    surveys: int = 3
    bins: int = 16


@dataclass(frozen=True)
class NetworkSettings:
    """The shape of the network.

    Args:
        embedding: the width of a number's embedding; 0 feeds the scaled number itself.
        hidden: the widths of the hidden layers.
        layer: real or quaternion hidden layers.
        ensemble: how many networks of this shape are trained side by side, each from weights and draws of its own; a
            deployed model decides by the mean of their logits.
        activation: of the hidden layers: the positive part, or the square of both complex halves of each quaternion,
            which can be computed on encrypted rows (spec/computing.md, section 11).
        inputs: the most columns that the network takes, those that tell most on training rows; 0 for all.

    Raises:
        ValueError: squares of layers that are not quaternions, or in an ensemble.
    """

    embedding: int = 4
    hidden: tuple[int, ...] = (96, 96)
    layer: Layer = "real"
    ensemble: int = 1
    activation: Activation = "relu"
    inputs: int = 0

    def __post_init__(self) -> None:
        if self.activation == "square" and (self.layer != "quaternion" or self.ensemble != 1):
            raise ValueError("squares are of quaternion layers, and of one network alone")


@dataclass(frozen=True)
class LearningSettings:
    """How the network learns from rows, wherever they lie.

    Args:
        dropout: the share of hidden units left out in training.
        history_dropout: the share of training samples that must do without history.
        optimiser: AdamW for all weights, or Muon for the matrices of real hidden layers and AdamW for the rest
            (medward.agents.sentinel.muon).
        learning_rate: the optimiser's, after a warm-up of 5 % of the steps and before a cosine to 1 % of it.
        weight_decay: likewise.
        batch: samples an update.
        epochs: for training in one place, passes over the distinct training rows.
        average: what the running average of the weights, which is also the target network, keeps at each update.
        discount: what a cost one window later counts now.
        value_weight: the weight of the value stream's loss beside the advantages'.
        informed_share: the share of training states whose evidence is bought; a network that never learned to decide
            without it always buys.
        class_power: samples are weighted by their class's share to the minus this power; 0 leaves them as they are.
        adversary: the share of a batch whose classes the adversarial sampler picks (medward.agents.sentinel.adversary).
        column_dropout: the share of columns that each training sample must do without.
        mixup: the concentration of the Beta draws that mix pairs of samples (Zhang et al. 2018); 0 mixes none.
        naming_weight: the weight of a cross-entropy over the decisions beside the costs' own loss.
    """

    dropout: float = 0.0
    history_dropout: float = 0.0
    optimiser: Optimiser = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    batch: int = 512
    epochs: int = 20
    average: float = 0.995
    discount: float = 0.9
    value_weight: float = 0.05
    informed_share: float = 0.5
    class_power: float = 0.0
    adversary: float = 0.0
    column_dropout: float = 0.0
    mixup: float = 0.0
    naming_weight: float = 0.0


@dataclass(frozen=True)
class FederationSettings:
    """How hospitals train one network together.

    Args:
        local_steps: updates that a hospital makes in one federated round.
        rounds: federated rounds, where the user names none.
        server_momentum: the momentum of the federated model.
        server_rate: the factor on the federated model's step.
        averaged_share: the share of the federated rounds, the last ones, whose models' average is deployed.
        disturbs: whether hospitals hide columns and mix rows in training as the learning settings say, or neither.
    """

    local_steps: int = 60
    rounds: int = 50
    server_momentum: float = 0.6
    server_rate: float = 1.5
    averaged_share: float = 0.2
    disturbs: bool = True


@dataclass(frozen=True)
class DeploymentSettings:
    """What is changed in a trained model before it is deployed.

    Args:
        alert_bias: what a deployed model takes from its logit of ALLOW. Above 0 it alerts on, and looks closer at, more
            than its costs ask for on traffic like the training rows: for where attacks come that training never saw.
            Below 0 it alerts on less: for where harmless things come that training never saw.
        federated_alert_bias: the same for a model that a federation trained, whose more numerous updates make its
            logits larger; None for `alert_bias`.
    """

    alert_bias: float = 0.0
    federated_alert_bias: float | None = None

    @property
    def bias_of_federated(self) -> float:
        """What a model that a federation trained takes from its logit of ALLOW."""
        return self.alert_bias if self.federated_alert_bias is None else self.federated_alert_bias


@dataclass(frozen=True)
class Recipe:
    """How Sentinel sees, learns, is federated and deployed on one data set.

    Args:
        scaling: how numbers are scaled.
        network: the network's shape.
        learning: how it learns.
        federation: how hospitals train it together.
        deployment: what is changed in the trained model.
        costs: what decisions cost where they are judged, in a hospital's votes and in the tables.
        training_costs: what decisions cost in the targets of training; None for `costs`. Where a wrong class costs half
            as much as a miss, the targets of an attack's other classes lie half-way between right and wrong, and the
            network learns less about which is which.
    """

    scaling: ScalingSettings = ScalingSettings()
    network: NetworkSettings = NetworkSettings()
    learning: LearningSettings = LearningSettings()
    federation: FederationSettings = FederationSettings()
    deployment: DeploymentSettings = DeploymentSettings()
    costs: Costs = field(default_factory=Costs)
    training_costs: Costs | None = None

    @property
    def target_costs(self) -> Costs:
        """What decisions cost in the targets of training."""
        return self.costs if self.training_costs is None else self.training_costs

    @property
    def of_hospitals(self) -> "Recipe":
        """The recipe that a hospital of a federation learns from its own rows by."""
        return self if self.federation.disturbs else self.change(column_dropout=0.0, mixup=0.0)

    def change(self, **settings: Any) -> "Recipe":
        """Return this recipe with other settings, each under its name in whichever group has it.

        Raises:
            TypeError: no group has a setting of this name.
        """
        own: dict[str, Any] = {name: settings.pop(name) for name in ("costs", "training_costs") if name in settings}
        for name in GROUPS:
            group = getattr(self, name)
            own[name] = replace(group, **{f.name: settings.pop(f.name) for f in fields(group) if f.name in settings})
        if settings:
            raise TypeError(f"a recipe has no setting {', '.join(settings)}")
        return replace(self, **own)


#: The groups of a recipe's settings; no two have a setting of the same name.
GROUPS = ("scaling", "network", "learning", "federation", "deployment")

# Many columns, of which most sum up a device's past: no embedding, a smaller network, more to hold it back.
_WITH_HISTORY = Recipe(
    ScalingSettings(scaler="standard", cells=256),
    NetworkSettings(embedding=0, hidden=(64, 64)),
    LearningSettings(dropout=0.2, history_dropout=0.1, learning_rate=2e-3, weight_decay=1e-2, batch=256),
)

#: For tables that a schema file describes.
DEFAULT = Recipe(ScalingSettings(bins=32), NetworkSettings(embedding=6), LearningSettings(epochs=40))

RECIPES: dict[str, Recipe] = {
    "wustl-ehms-2020": _WITH_HISTORY.change(epochs=40, local_steps=30, average=0.998, dropout=0.4),
    # A federation of it overlooks some of its rarest attacks without this bias, and names them better where a wrong
    # class costs as much as a miss in training, by validation.
    "x-iomt": Recipe(
        ScalingSettings(bins=32),
        NetworkSettings(embedding=6),
        LearningSettings(epochs=60),
        deployment=DeploymentSettings(federated_alert_bias=0.25),
        training_costs=Costs(wrong_class=1.0),
    ),
    # Its classes of attacks resemble each other; told apart more firmly, they are named better, and a federation of it
    # raises fewer alarms. Muon, some dropout and evidence that is cheaper in training together gain a little more in a
    # federation, which none of them surely does alone. All by validation.
    "ciciomt2024": Recipe(
        learning=LearningSettings(optimiser="muon", dropout=0.1),
        training_costs=Costs(wrong_class=1.0, escalation=0.003),
    ),
    # Its test file holds attack types that its training file lacks: a network that is less sure of its own finds more.
    "nsl-kdd": Recipe(
        network=NetworkSettings(embedding=0),
        learning=LearningSettings(epochs=15, naming_weight=1.0, class_power=0.5, mixup=0.2),
        deployment=DeploymentSettings(alert_bias=2.5, federated_alert_bias=7.0),
    ),
    # A ward has what training never showed. With three columns of ten hidden and rows mixed, no decision hangs
    # on one column, and harmless things that are new raise fewer alarms. By validation on wards of another kind.
    # A federation was not tried with either: it has fewer false alarms by a bias of its own, on runs that it had not.
    "medward-flow": DEFAULT.change(
        column_dropout=0.3, mixup=0.2, epochs=20, alert_bias=1.0, disturbs=False, federated_alert_bias=-8.0
    ),
    "ward": _WITH_HISTORY.change(epochs=30, local_steps=120, rounds=30),
}

#: Recipes for data sets whose fingerprints (`Dataset.fingerprints`) are left out, where they differ. Without its flags,
#: embeddings name more of the attacks of WUSTL-EHMS, and three networks err less often than one.
WITHOUT_FINGERPRINTS: dict[str, Recipe] = {
    "wustl-ehms-2020": RECIPES["wustl-ehms-2020"].change(scaler="quantile", bins=8, embedding=2, ensemble=3),
    # What was found for all its features was not tried without these.
    "x-iomt": RECIPES["x-iomt"].change(training_costs=None, federated_alert_bias=None),
}

#: Recipes of ensembles, whose updates take as many times the bytes as there are networks; a federation trains by them
#: only if it is told to. docs/results/tried.md says what they gain.
ENSEMBLES: dict[str, Recipe] = {"ciciomt2024": RECIPES["ciciomt2024"].change(ensemble=3)}


def polynomial_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of a network that can be computed on encrypted rows, after a data set's own.

    Whoever scores encrypted rows cannot ask for evidence, so the network always sees all of it.
    """
    return recipe.change(
        scaler="quantile",
        embedding=0,
        hidden=(64, 32),
        layer="quaternion",
        ensemble=1,
        activation="square",
        inputs=30,
        optimiser="adamw",
        learning_rate=6e-3,
        weight_decay=1e-4,
        dropout=0.0,
        epochs=20,
        informed_share=1.0,
    )


def recipe_of(data: str, without_fingerprints: bool = False) -> Recipe:
    """Return the recipe of a data set, by name, or that of its case without fingerprints where it has one.

    A data set that medward does not know, described by a schema file, has the default.
    """
    return (without_fingerprints and WITHOUT_FINGERPRINTS.get(data)) or RECIPES.get(data, DEFAULT)
