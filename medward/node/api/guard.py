"""The guard before the HTTP API: who may ask, how often, and how much they may send.

Whoever has the token may read everything the API shows and change the members in this hospital's name. `/health` alone
says yes or no to anybody who can reach the port.
"""

import hashlib
import hmac
import logging
import time
from collections import OrderedDict

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medward.admission.rooms import Room

_LOG = logging.getLogger("medward.node.api.server")
MAX_BODY = 64 * 1024
_CALLERS = 4096
_WRONG_TOKENS_PER_SECOND = 1.0
_LINES_PER_SECOND = 0.1
_TOO_MANY = 429


class Allowance:
    """How often each caller may do something: a bucket that fills at a rate and holds twice that, at least five.

    Args:
        per_second: the rate.
    """

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._holds = max(5.0, 2 * per_second)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, now: float) -> bool:
        """Take one from the caller's bucket; say whether there was one.

        Args:
            caller: whose.
            now: a monotonic time in seconds.
        """
        left, since = self._buckets.pop(caller, (self._holds, now))
        left = min(self._holds, left + (now - since) * self._rate)
        self._buckets[caller] = (max(0.0, left - 1), now) if left >= 1 else (left, now)
        if len(self._buckets) > _CALLERS:
            self._buckets.popitem(last=False)
        return left >= 1


class Guard:
    """Refuses what must not reach the API.

    Args:
        inner: the API.
        token: what a caller must send as `Authorization: Bearer TOKEN`.
        per_second: requests of one caller.
        open_paths: answered without a token.
        holders: the room for the connections of those who have shown the token; None where nobody counts connections.
    """

    def __init__(
        self,
        inner: ASGIApp,
        token: str,
        per_second: float,
        open_paths: frozenset[str],
        holders: Room | None = None,
    ) -> None:
        self._holders = holders
        self._inner = inner
        self._expected = hashlib.sha256(token.encode()).digest()
        self._requests = Allowance(per_second)
        self._wrong_tokens = Allowance(_WRONG_TOKENS_PER_SECOND)
        self._lines = Allowance(_LINES_PER_SECOND)
        self._open = open_paths
        self.refused: dict[int, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        known = self._is_known(scope)
        place = scope.get("state", {}).get("place")
        if known and place is not None and self._holders is not None and place.room is not self._holders:
            place.move(self._holders, "token")
        problem = self._problem(scope, known)
        if problem is None:
            await self._inner(scope, _Bounded(receive), send)
            return
        status, text = problem
        self.refused[status] = self.refused.get(status, 0) + 1
        # The path is quoted and cut: a caller must not be able to write lines of this log, nor many of them.
        told = status != _TOO_MANY and self._lines.take(str(status), time.monotonic())
        level = logging.WARNING if told else logging.DEBUG
        _LOG.log(level, "refused %s %.80r from %s: %s", scope["method"], scope["path"], _caller(scope), text)
        headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}.get(status, {})
        if not known:
            # Each try costs a connection, and of those only so many are taken.
            headers["Connection"] = "close"
        await JSONResponse({"error": text}, status, headers)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        """Say whether a request shows the token."""
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        digest = hashlib.sha256(given.strip().encode()).digest()
        return scheme.lower() == "bearer" and hmac.compare_digest(digest, self._expected)

    def _problem(self, scope: Scope, known: bool) -> tuple[int, str] | None:
        """Return why a request is refused, None where it is not."""
        caller, now, headers = _caller(scope), time.monotonic(), Headers(scope=scope)
        # Who has the token is never held up by those on the same machine who do not.
        if not self._requests.take(f"{caller} {known}", now):
            return _TOO_MANY, "too many requests; wait a second"
        if not known and scope["path"] not in self._open:
            if not self._wrong_tokens.take(caller, now):
                return _TOO_MANY, "too many requests without the token; wait a second"
            given = "authorization" in headers
            return 401, "the token is wrong" if given else "a token is needed: send `Authorization: Bearer TOKEN`"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 16 and int(length) <= MAX_BODY):
            return 413, f"the body may have at most {MAX_BODY} bytes"
        return None


class _Bounded:
    """A body that ends with an error where it grows beyond the limit, whatever its headers promised."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > MAX_BODY:
            return {"type": "http.disconnect"}
        return message


def _caller(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"
