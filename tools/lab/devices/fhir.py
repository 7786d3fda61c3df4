"""FHIR R4 over HTTP/1.1: a server of invented resources, and clients with a bearer token."""

import http.client
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from tools.lab.devices.service import wait
from tools.lab.devices.vitals import measure


def _resource(kind: str, random: Random) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "id": f"{random.getrandbits(40):x}",
        "meta": {"versionId": str(random.randint(1, 9))},
        "note": [{"text": "x" * random.randint(0, 600)}],
    }


def server(settings: dict[str, Any], address: str, random: Random) -> None:
    """Answer GET and POST under /fhir; 401 without the token, 404 where there is nothing."""
    expected = f"Bearer {settings['token']}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

        def _send(self, status: int, body: dict[str, Any]) -> None:
            octets = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def _handle(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), 1 << 20)
            self.rfile.read(length)
            if self.headers.get("Authorization") != expected:
                self._send(401, {"resourceType": "OperationOutcome", "issue": [{"code": "login"}]})
            elif not self.path.startswith("/fhir/"):
                self._send(404, {"resourceType": "OperationOutcome", "issue": [{"code": "not-found"}]})
            else:
                kind = self.path.split("/")[2].split("?")[0]
                entries = [{"resource": _resource(kind, random)} for _ in range(random.randint(1, 6))]
                self._send(200 if self.command == "GET" else 201, {"resourceType": "Bundle", "entry": entries})

        do_GET = do_POST = _handle  # noqa: N815 (http.server names them)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: peers that break off are what attacks are made of."""

    Server((address, settings["port"]), Handler).serve_forever()


def client(settings: dict[str, Any], address: str, random: Random) -> None:
    """Read and write resources; now and then with a token that has run out."""
    connection = http.client.HTTPConnection(settings["server"], settings["port"], timeout=10)
    try:
        while True:
            expired = random.random() < settings["expires"]
            _request(connection, settings, random, "expired" if expired else settings["token"])
            if not settings["keeps"]:
                connection.close()
            if not expired:
                wait(settings, random)
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from None
    finally:
        connection.close()


def _request(connection: http.client.HTTPConnection, settings: dict[str, Any], random: Random, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
    kind = random.choice(settings["resources"])
    if random.random() < settings["writes"]:
        body = {"resourceType": "Observation", "component": list(measure(settings["fields"], random).items())}
        connection.request("POST", "/fhir/Observation", json.dumps(body), headers)
    else:
        connection.request("GET", f"/fhir/{kind}?patient={random.randrange(10**5)}", headers=headers)
    connection.getresponse().read()
