"""A Sentinel of a few weights that were written by hand, and a ward that it knows what to make of.

It alerts on a scan where a device sends many SYNs, asks for evidence where there is MQTT, and alerts on altered data
where the evidence shows segments that were sent again with another payload.
"""

from dataclasses import replace

import numpy as np

from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.recipe import Recipe
from medward.agents.sentinel.scorer import Weights
from medward.bench.traffic import generation
from medward.flows.datasets import MEDWARD_FLOW
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler
from medward.flows.schema import Schema
from medward.traffic.packets import ACK, PSH, SYN
from tests.traffic.captures import BEGIN, SECOND, Timed

CLASSES = ("benign", "Recon-Port_Scan", "Data_Alteration")
SECRET = b"Erika Mustermann, 1964"
MONITOR, SERVER, SCANNER, FORGER = (f"02:00:00:00:00:0{host}" for host in (2, 3, 9, 5))


def hand_made_model(schema: Schema = MEDWARD_FLOW.schema) -> SentinelModel:
    names = [column.name for column in schema.columns]
    inputs = ("syn_out", "mqtt", "rewritten")
    places = [names.index(name) if name in names else number for number, name in enumerate(inputs)]
    order = np.argsort(places)
    nothing = np.zeros((3, 1), np.float32)
    scaler = Scaler(
        kind="standard",
        numbers=np.array(sorted(places), np.int64),
        indicators=np.zeros(0, np.int64),
        flags=np.zeros(0, np.int64),
        knots=nothing,
        knot_count=np.ones(3, np.int64),
        mean=np.zeros(3, np.float32),
        scale=np.ones(3, np.float32),
        bins=np.zeros((3, 2), np.float32),
        bin_count=np.ones(3, np.int64),
    )
    # Rows: the three numbers, whether evidence was bought, whether history was seen. Columns: ALLOW, alerts, ESCALATE.
    advantage = np.zeros((5, 4), np.float32)
    advantage[order.argsort()[0], 1] = 1.0
    advantage[order.argsort()[1], 3] = 1.0
    advantage[order.argsort()[2], 2] = 5.0
    weights = Weights(
        slope=np.zeros((0, 0, 1), np.float32),
        offset=np.zeros((0, 1), np.float32),
        matrices=(np.eye(5, dtype=np.float32),),
        biases=(np.zeros(5, np.float32),),
        value=np.zeros((5, 1), np.float32),
        value_bias=np.zeros(1, np.float32),
        advantage=advantage,
        advantage_bias=np.array([1.0, -5.0, -3.0, -1.0], np.float32),
    )
    provenance = Provenance("local", None, 1, "none", synthetic=False, seed=0)
    classes = CLASSES if set(CLASSES) <= set(schema.classes) else schema.classes[: len(CLASSES)]
    return SentinelModel(FeatureSpace(schema, history=False), classes, scaler, weights, Recipe(), provenance)


def foreign_schema() -> Schema:
    """medward-flow with a column that no meter makes."""
    schema = MEDWARD_FLOW.schema
    return replace(schema, dataset="icu", features=(*schema.features, replace(schema.features[0], name="pulse")))


def ward(seconds: int = 20, attacks: bool = True) -> list[Timed]:
    """A monitor publishes twice a second; with attacks, from second 8 on, one scans and one alters the data."""
    packets: list[Timed] = [(BEGIN, generation.tcp(2, 3, (40000, 1883), (999, 0), SYN, b""))]
    sequence = 1000
    for number in range(2 * seconds):
        time = BEGIN + number * SECOND // 2 + 1000
        payload = b"\x30\x25\0\x05vital" + SECRET + b"  %06d" % number
        packets.append((time, generation.tcp(2, 3, (40000, 1883), (sequence, 1), PSH | ACK, payload)))
        packets.append((time + 1000, generation.tcp(3, 2, (1883, 40000), (1, sequence), ACK, b"")))
        if attacks and number >= 16:
            forged = payload[:-3] + b"999"
            packets.append((time + 2000, generation.tcp(5, 3, (40000, 1883), (sequence, 1), PSH | ACK, forged)))
            packets.append((time + 3000, generation.tcp(5, 3, (40000, 1883), (sequence, 1), PSH | ACK, payload)))
            packets += [
                (time + 4000 + port, generation.tcp(9, 3, (50000, port), (port, 0), SYN, b"")) for port in range(20)
            ]
        sequence += len(payload)
    return packets
