"""A member's rows, shares and models where rows are trained on encrypted: the folder HOME/participant/outsourced.

    key/               the key and its journal (medward.node.computing.key)
    plans/NAME.plan    a plan to be proposed, until it is on record, and tasks/NAME.task a task to be asked for
    rows/NAME.npz      columns to be encrypted, until they are on record
    preparations/N     how rows are prepared for plan N
    shares/N           this owner's shares of task N, as they are sent; kept before it is bound to them
    models/N/          the model of task N, and models/N.refused why there is none

No backup holds it (medward.node.home.backup): a journal that was set back would let the key open too much.
"""

from collections.abc import Collection
from pathlib import Path

from medward.node.computing.key import ComputingKey
from medward.node.home.private_files import make_private_folder


class OutsourcedFolder:
    """The folder of a member that trains on encrypted rows.

    Args:
        participant: the member's private folder.
    """

    def __init__(self, participant: Path) -> None:
        self.folder = participant / "outsourced"
        self.plans, self.tasks, self.rows = self.folder / "plans", self.folder / "tasks", self.folder / "rows"
        self.preparations, self.shares = self.folder / "preparations", self.folder / "shares"
        self.models = self.folder / "models"
        for folder in (
            *(self.folder, self.plans, self.tasks, self.rows),
            *(self.preparations, self.shares, self.models),
        ):
            make_private_folder(folder)
        self.key = ComputingKey(self.folder / "key")

    def forget(self, plans: Collection[str], tasks: Collection[str]) -> None:
        """Remove what belongs to plans and tasks that are not on record any more; models stay.

        Args:
            plans, tasks: the numbers of those that are.
        """
        for path in self.preparations.iterdir():
            if path.name not in plans:
                path.unlink()
        for path in self.shares.iterdir():
            if path.name.partition("-")[0] not in tasks:
                path.unlink()
