"""The shared models that were used last, so that a round reads none of them again."""

from collections import OrderedDict

from medward.federation.model.shared_model import SharedModel

_MOST = 3


class RecentModels(OrderedDict[str, SharedModel]):
    """Models by name, the one that was used last at the end; at most three, which a round's work and vote need."""

    def use(self, name: str, model: SharedModel) -> SharedModel:
        """Hold a model as the one that was used last, let go of the one that was not for longest, and return it."""
        self[name] = model
        self.move_to_end(name)
        while len(self) > _MOST:
            self.popitem(last=False)
        return model
