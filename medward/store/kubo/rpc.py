"""Kubo's HTTP RPC. Source: https://docs.ipfs.tech/reference/kubo/rpc/."""

import json
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import httpx

from medward.store.errors import KuboUnavailable


class KuboRpc:
    """Calls a daemon.

    Args:
        url: where the daemon answers, such as `http://127.0.0.1:5001`.
        token: what its configuration requires; None where it requires nothing.
        timeout: seconds until an answer begins, and between two pieces of it.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 60.0) -> None:
        self.url = url
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)

    def call(self, command: str, **arguments: str | int | bool) -> Any:
        """Run a command and return its JSON answer, the last line where it has several; None where it has none."""
        last = None
        for last in self.lines(command, None, **arguments):  # noqa: B007
            pass
        return last

    def lines(
        self, command: str, content: Iterable[bytes] | None = None, **arguments: str | int | bool
    ) -> Iterator[Any]:
        """Run a command and yield the JSON values of its answer.

        Args:
            command: such as `pin/add`.
            content: the bytes of a file to send along, in pieces; None for commands that take none.
            arguments: the command's arguments; `_` in a name stands for `-`.

        Raises KuboUnavailable if the daemon can't be reached, refuses, or reports an error halfway.
        """
        headers, body = _multipart(content) if content is not None else ({}, None)
        try:
            with self._client.stream(
                "POST", f"/api/v0/{command}", params=_parameters(arguments), headers=headers, content=body
            ) as response:
                self._check(command, response)
                for line in response.iter_lines():
                    if line.strip():
                        yield _value(command, line)
        except httpx.HTTPError as error:
            raise self._unreachable(command, error) from None

    def fetch(self, command: str, timeout: float | None, **arguments: str | int | bool) -> bytes:
        """Run a command whose answer is bytes, and return them; `timeout` in seconds, None for the usual one."""
        limit = self._client.timeout if timeout is None else httpx.Timeout(timeout)
        try:
            response = self._client.post(f"/api/v0/{command}", params=_parameters(arguments), timeout=limit)
        except httpx.HTTPError as error:
            raise self._unreachable(command, error) from None
        self._check(command, response)
        return response.content

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _check(self, command: str, response: httpx.Response) -> None:
        if response.status_code == httpx.codes.OK:
            return
        response.read()
        try:
            message = response.json()["Message"]
        except (ValueError, KeyError, TypeError):
            message = " ".join(response.text.split())[:200] or f"status {response.status_code}"
        if response.status_code == httpx.codes.FORBIDDEN:
            message = "it wants another authorisation; check the token in its configuration"
        raise KuboUnavailable(f"Kubo at {self.url} refused {command}: {message}")

    def _unreachable(self, command: str, error: httpx.HTTPError) -> KuboUnavailable:
        reason = str(error) or type(error).__name__
        return KuboUnavailable(f"Kubo at {self.url} did not answer {command}: {reason}; check that it runs")


def _parameters(arguments: dict[str, str | int | bool]) -> dict[str, str]:
    return {
        name.replace("_", "-"): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in arguments.items()
    }


def _value(command: str, line: str) -> Any:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise KuboUnavailable(f"Kubo's answer to {command} is no JSON; check that it is Kubo that answers") from None
    if isinstance(value, dict) and value.get("Type") == "error":
        raise KuboUnavailable(f"Kubo gave up on {command}: {value.get('Message', 'without a reason')}")
    return value


def _multipart(content: Iterable[bytes]) -> tuple[dict[str, str], Iterator[bytes]]:
    """Return the headers and body of a form with one file, streamed."""
    boundary = secrets.token_hex(16)

    def body() -> Iterator[bytes]:
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="blob"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        yield from content
        yield f"\r\n--{boundary}--\r\n".encode()

    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body()
