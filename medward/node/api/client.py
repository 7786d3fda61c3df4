"""Asking a node over its HTTP API, from the command line, the launcher or a program."""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Self

import httpx
import msgspec

from medward.node.errors import ApiRefused, NodeError
from medward.node.home.cards import Card, card_form
from medward.node.home.configuration import join_address, split_address
from medward.node.home.folder import Home
from medward.node.home.private_files import read_token

_SECONDS = 10.0
_ORDER_SECONDS = 120.0
_DATA_SECONDS = 3600.0
_MOST_BYTES = 2**25  # of an answer that is held in memory


class NodeClient:
    """One node's API.

    Args:
        url: such as http://127.0.0.1:7452.
        token: what it asks for.
        certificate: PEM file to trust where the API has TLS; None for the system's authorities.
    """

    def __init__(self, url: str, token: str, certificate: Path | None = None) -> None:
        self.url = url
        self.token = token
        try:
            verify = ssl.create_default_context(cafile=certificate) if certificate else True
            self._http = httpx.Client(
                base_url=url,
                headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"},
                timeout=_SECONDS,
                verify=verify,
                trust_env=False,
            )
        except (OSError, ssl.SSLError) as error:
            raise NodeError(f"cannot trust {certificate}: {error}") from None
        except httpx.InvalidURL as error:
            raise NodeError(
                f"{url!a} is no address of a node ({error}); give one such as http://127.0.0.1:7452"
            ) from None

    @classmethod
    def of_home(cls, home: Home) -> Self:
        """Return the client of the node with this home on this machine."""
        api = home.configuration().api
        host, port = split_address(api.listen, "api.listen")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        scheme = "https" if api.certificate else "http"
        certificate = home.folder / api.certificate if api.certificate else None
        return cls(f"{scheme}://{join_address(host, port)}", home.token(), certificate)

    @classmethod
    def of_url(cls, url: str, token_file: Path, certificate: Path | None = None) -> Self:
        """Return the client of any node, with its token from a file of mode 0600."""
        return cls(url.rstrip("/"), read_token(token_file), certificate)

    def healthy(self) -> bool:
        """Say whether the node works; False, too, where nothing answers."""
        try:
            return self._http.get("/health", timeout=2.0).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> Any:
        """Return what stands at a path such as /status.

        Raises:
            ApiRefused: the node answers with a refusal.
            NodeError: it does not answer.
        """
        return self._ask("GET", path)

    def text(self, path: str) -> str:
        """Return what stands at a path such as /metrics, as text; errors as in `get`."""
        return self._request("GET", path).decode("utf-8", "replace")

    def save(self, path: str, file: Path) -> None:
        """Write what stands at a path such as /audit to a file; errors as in `get`."""
        try:
            with self._http.stream("GET", path, timeout=_DATA_SECONDS) as response, file.open("wb") as out:
                if not response.is_success:
                    self._refuse(response, _content(response, path), "GET", path)
                _check_encoding(response, path)
                for piece in response.iter_raw():
                    out.write(piece)
        except httpx.HTTPError as error:
            raise NodeError(f"the node at {self.url} does not answer ({error}); is it running?") from None

    def admit(self, card: Card) -> Mapping[str, Any]:
        """Have a member's card ordered."""
        return self._change({"admit": msgspec.to_builtins(card_form(card))})

    def remove(self, name: str) -> Mapping[str, Any]:
        """Have a member's departure ordered."""
        return self._change({"remove": name})

    def retract(self, name: str) -> Mapping[str, Any]:
        """Have the node's own wish about a name taken back."""
        return self._change({"retract": name})

    def leave(self) -> Mapping[str, Any]:
        """Have the node's own departure ordered."""
        return self._change({"leave": True})

    def resume(self) -> Mapping[str, Any]:
        """Have the node say that a federation goes on that has stopped."""
        answer: Mapping[str, Any] = self._ask("POST", "/resume", seconds=_ORDER_SECONDS)
        return answer

    def about_data(self, what: str, which: str) -> Mapping[str, Any]:
        """Have one thing done with sealed data; see `POST /datasets` in api.py. Large data take their time."""
        answer: Mapping[str, Any] = self._ask("POST", "/datasets", {what: which}, _DATA_SECONDS)
        return answer

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _change(self, change: Mapping[str, Any]) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self._ask("POST", "/members", change, _ORDER_SECONDS)
        return answer

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, seconds: float = _SECONDS) -> Any:
        try:
            return json.loads(self._request(method, path, body, seconds))
        except (ValueError, RecursionError):
            raise NodeError(f"what answers at {self.url} is no medward node; check the address") from None

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, seconds: float = _SECONDS
    ) -> bytes:
        try:
            with self._http.stream(method, path, json=body, timeout=seconds) as response:
                content = _content(response, path)
        except httpx.HTTPError as error:
            raise NodeError(f"the node at {self.url} does not answer ({error}); is it running?") from None
        if not response.is_success:
            self._refuse(response, content, method, path)
        return content

    def _refuse(self, response: httpx.Response, content: bytes, method: str, path: str) -> NoReturn:
        try:
            reason = str(json.loads(content)["error"])
        except (ValueError, KeyError, TypeError, RecursionError):
            reason = f"status {response.status_code}"
        raise ApiRefused(f"the node at {self.url} refuses {method} {path}: {reason}")


def _check_encoding(response: httpx.Response, path: str) -> None:
    """Refuse a compressed answer, which was not asked for: a few bytes may unpack to any number (threat T2)."""
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        how = ascii(encoding[:20])
        raise NodeError(f"the answer to {path} is compressed ({how}), as no medward node's is; check the address")


def _content(response: httpx.Response, path: str) -> bytes:
    """Return an answer; NodeError where it is compressed, or longer than any that a node gives."""
    _check_encoding(response, path)
    content = bytearray()
    for piece in response.iter_raw():
        content += piece
        if len(content) > _MOST_BYTES:
            raise NodeError(f"the answer to {path} has more than {_MOST_BYTES} bytes; check the address")
    return bytes(content)
