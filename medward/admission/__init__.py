"""Who may connect to a node's ports, how many at once, and for how long: the same for ledger, store and API.

`rooms` counts connections and chooses whom to hang up on, `door` accepts them, `http` serves HTTP behind a door. All of
it works before anybody has shown who he is; what is said on a connection is the business of the port's owner.
"""

from collections.abc import Callable

RefusalListener = Callable[[str, str], None]
"""Is told why a caller was turned away: in words that are always the same for one reason, and the particulars. Neither
holds anything secret.
"""


def nobody(_what: str, _particulars: str) -> None:
    """Tell nobody."""
