"""TLS handshakes that fail, told to whoever listens: a caller that is turned away there leaves no other trace."""

import ssl
from collections.abc import Callable

Refused = Callable[[str, str], None]
"""Is told why a caller was turned away: in words that are always the same for one reason, and the particulars. Neither
holds anything secret.
"""


def nobody(_what: str, _particulars: str) -> None:
    """Tell nobody."""


def tell_failures(context: ssl.SSLContext, refused: Refused) -> None:
    """Have `refused` told of every handshake that fails on connections which an event loop makes with a context.

    Whoever hangs up or is silent is not told of. The caller's address is not known here: the handshake is over before
    asyncio says who called.

    Args:
        context: of a listening side.
        refused: called in the loop's thread.
    """

    class Telling(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                raise
            except ssl.SSLCertVerificationError as error:
                refused("a caller's certificate is no member's", error.verify_message)
                raise
            except ssl.SSLError as error:
                refused("a caller's handshake failed", (error.reason or "unknown").lower().replace("_", " "))
                raise

    context.sslobject_class = Telling
