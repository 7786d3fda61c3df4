"""A member's computing key, its journal, what it asks and what it got: the folder HOME/participant/scoring.

    key/                the key and its journal (medward.node.computing.key)
    offers/NAME/        a model to be offered, until it is on record
    flows/NAME.npz      flows to be scored, until they are on record
    parts/NUMBER        the parts of a batch's result that this member opened, as they were sent
    scores/NUMBER.npy   the scores of a batch
    preparations/NUMBER how flows are prepared for an offer

No backup holds it (medward.node.home.backup): a journal that was set back would let the key open too much.
"""

import shutil
from collections.abc import Collection
from pathlib import Path

from medward.node.computing.key import ComputingKey
from medward.node.home.private_files import make_private_folder


class KeyFolder:
    """The folder of a member that scores.

    Args:
        participant: the member's private folder.
    """

    def __init__(self, participant: Path) -> None:
        self.folder = participant / "scoring"
        self.offers, self.flows = self.folder / "offers", self.folder / "flows"
        self.parts, self.scores = self.folder / "parts", self.folder / "scores"
        self.preparations = self.folder / "preparations"
        for folder in (self.folder, self.offers, self.flows, self.parts, self.scores, self.preparations):
            make_private_folder(folder)
        self.key = ComputingKey(self.folder / "key")

    def waiting_offers(self) -> list[Path]:
        """Return the folders of models that are to be offered."""
        return sorted(path.parent for path in self.offers.glob("*/ready"))

    def waiting_flows(self) -> list[Path]:
        """Return the files of flows that are to be scored."""
        return sorted(self.flows.glob("*.npz"))

    def forget(self, offers: Collection[str], batches: Collection[str]) -> None:
        """Remove what belongs to offers and batches that are not on record any more; scores stay.

        Args:
            offers, batches: the numbers of those that are.
        """
        for path in self.preparations.iterdir():
            if path.name not in offers:
                path.unlink()
        for path in self.parts.iterdir():
            if path.name.partition("-")[0] not in batches:
                path.unlink()

    def done(self, path: Path) -> None:
        """Remove what is on record."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
