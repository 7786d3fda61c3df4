"""Payloads with vital signs, in the formats that devices use."""

import json
import struct
import time
from random import Random

#: Mean and deviation of each measure.
_NORMAL = {
    "hr": (78, 8),
    "spo2": (97, 1.5),
    "resp": (15, 3),
    "temp": (36.8, 0.3),
    "nibp_sys": (121, 12),
    "nibp_dia": (78, 8),
    "etco2": (38, 3),
    "map": (92, 8),
    "rate": (25, 4),
    "volume": (480, 40),
    "pressure": (18, 3),
}


def measure(fields: list[str], random: Random) -> dict[str, float]:
    """Draw one value for each field."""
    return {name: round(random.gauss(*_NORMAL[name]), 1) for name in fields}


def encode(style: str, values: dict[str, float], client: str) -> bytes:
    """Return the values in a style: json, nested, pairs, csv, binary or senml (RFC 8428)."""
    now = round(time.time(), 3)
    if style == "json":
        return json.dumps({"ts": now, **values}).encode()
    if style == "nested":
        observations = [{"code": name, "value": value, "status": "final"} for name, value in values.items()]
        return json.dumps({"device": client, "time": now, "observations": observations}, indent=1).encode()
    if style == "pairs":
        return ";".join(f"{name}={value}" for name, value in values.items()).encode()
    if style == "csv":
        return ",".join([str(now), client, *(str(value) for value in values.values())]).encode()
    if style == "binary":
        return struct.pack(f">d{len(values)}f", now, *values.values())
    return json.dumps([{"bn": client, "bt": now}, *({"n": n, "v": v} for n, v in values.items())]).encode()
