"""How flows are prepared for a vendor's model, as a hospital looks at it before it uses it."""

from medward.agents.sentinel.model import BadModel, SentinelModel
from medward.federation.computing.preparation import model_without_weights
from medward.federation.scoring.terms import BadTerms, ScoringTerms


def read_preparation(data: bytes, terms: ScoringTerms) -> SentinelModel:
    """Return a model without weights that prepares flows.

    Args:
        data: from the vendor, who is not trusted with this member's memory.
        terms: of the offer.

    Raises:
        BadTerms: it is none, or does not fit the terms.
    """
    try:
        model = model_without_weights(data, "the offer")
        _check(model, terms)
    except BadModel as error:
        raise BadTerms(f"the offer does not say how flows are prepared: {error}") from None
    return model


def _check(model: SentinelModel, terms: ScoringTerms) -> None:
    """Refuse a model of other terms; `model_of` has looked whether its arrays fit each other."""
    scaler, weights = model.scaler, model.weights
    inputs = len(scaler.numbers) + len(scaler.indicators) + len(scaler.flags) + 2
    fits = (
        weights.squares
        and len(model.classes) == terms.classes
        and weights.slope.size == 0
        and len(weights.matrices[0]) == 2 * terms.inputs
        and inputs <= 2 * terms.inputs < inputs + 4
    )
    if not fits:
        raise BadModel("it is not of the network that the terms tell; ask the vendor to offer the model again")
