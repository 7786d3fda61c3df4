"""The audit of a federation without a key. Start with homes.py; findings.py is what it says.

The package itself can be called: `medward.audit(home)`.
"""

import sys
from collections.abc import Callable
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medward.audit.homes import Audit


class _CallablePackage(ModuleType):
    """A package that is also the function of its name.

    Importing a part of the package makes Python bind `medward.audit` to it, whatever stood there before.
    """

    def __call__(
        self, folder: str | PathLike[str], only: int | None = None, said: Callable[[str], None] = lambda _: None
    ) -> "Audit":
        from medward.audit import homes  # noqa: PLC0415  only a call needs it

        return homes.audit(folder, only, said)


sys.modules[__name__].__class__ = _CallablePackage
