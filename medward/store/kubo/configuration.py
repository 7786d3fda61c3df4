"""The configuration of a federation's private Kubo, and the key of its swarm.

Source: https://github.com/ipfs/kubo/blob/master/docs/config.md and docs/experimental-features.md (private networks).
"""

import copy
import re
import secrets
from typing import Any

from medward.store.errors import StoreError

Json = dict[str, Any]

_LOOPBACK = "/ip4/127.0.0.1/tcp/0"
_SWARM_KEY = re.compile(r"/key/swarm/psk/1\.0\.0/\s+/base16/\s+[0-9a-f]{64}\s*")


def new_swarm_key() -> str:
    """Return the text of a fresh `swarm.key`: who does not have it cannot connect."""
    return f"/key/swarm/psk/1.0.0/\n/base16/\n{secrets.token_hex(32)}\n"


def check_swarm_key(text: str) -> str:
    """Return `text` if it is a swarm key of 32 bytes in base16; StoreError otherwise."""
    if not _SWARM_KEY.fullmatch(text):
        raise StoreError("the swarm key is malformed: three lines, /key/swarm/psk/1.0.0/, /base16/ and 64 digits")
    return text


def private_configuration(original: Json, swarm_address: str, token: str) -> Json:
    """Return a fresh daemon's configuration made private.

    Args:
        original: what `ipfs init` wrote.
        swarm_address: multiaddress on which other members are accepted.
        token: secret that the RPC requires.

    The RPC and the gateway listen on loopback only; nobody outside the swarm is ever asked for peers, routes, names,
    certificates, versions or statistics; blocks are flushed to disk before they count as written.
    """
    configuration = copy.deepcopy(original)
    configuration.update(
        {
            "Addresses": {
                "API": _LOOPBACK,
                "Gateway": _LOOPBACK,
                "Swarm": [swarm_address],
                "Announce": [],
                "AppendAnnounce": [],
                "NoAnnounce": [],
            },
            "API": {"Authorizations": {"medward": {"AuthSecret": f"bearer:{token}", "AllowedPaths": ["/api/v0"]}}},
            "AutoConf": {"Enabled": False},
            "AutoNAT": {"ServiceMode": "disabled"},
            "AutoTLS": {"Enabled": False},
            "Bootstrap": [],
            "Discovery": {"MDNS": {"Enabled": False}},
            "DNS": {"Resolvers": {}},
            "Gateway": {"NoFetch": True, "NoDNSLink": True, "DeserializedResponses": False, "HTTPHeaders": {}},
            "HTTPRetrieval": {"Enabled": False},
            "Ipns": {"DelegatedPublishers": []},
            "Plugins": {"Plugins": {"telemetry": {"Disabled": True}}},
            "Provide": {"Enabled": False},
            "Routing": {"Type": "none", "DelegatedRouters": []},
            "Version": {"SwarmCheckEnabled": False},
        }
    )
    configuration.setdefault("Swarm", {}).update(
        {
            "AddrFilters": None,
            "DisableNatPortMap": True,
            "EnableHolePunching": False,
            "RelayClient": {"Enabled": False},
            "RelayService": {"Enabled": False},
            "Transports": {"Network": {"QUIC": False, "WebTransport": False, "WebRTCDirect": False, "Relay": False}},
        }
    )
    _flush_to_disk(configuration.get("Datastore", {}).get("Spec", {}))
    return configuration


def _flush_to_disk(datastore: Json) -> None:
    if datastore.get("type") == "flatfs":
        datastore["sync"] = True
    for mount in datastore.get("mounts", []):
        _flush_to_disk(mount.get("child", mount))
