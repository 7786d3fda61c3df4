"""The model that a trial leaves behind: what follows from its last shared model and its terms, byte for byte."""

from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.federation.model.shared_model import SharedModel


def final_model(shared: SharedModel, sites: int, protect: str, name: str | None) -> SentinelModel:
    """Return the model to put on guard.

    Args:
        shared: the shared model after a training round.
        sites: how many members the federation began with.
        protect: how updates were protected.
        name: the shared model's CID, None where it is not known yet.
    """
    return shared.guard(
        Provenance(
            how="federated",
            round=shared.round - 1,
            sites=sites,
            protect=protect,
            synthetic=shared.plan.space.schema.synthetic,
            seed=shared.plan.seed,
            shared_model=name,
        )
    )
