"""X-IoMT: packet records of HTTP and MQTT with device and patient telemetry, three layers of anomalies (Pinto 2025)."""

import re
from pathlib import Path

from medward.flows.datasets._dataset import Cut, Dataset, SourceFile
from medward.flows.schema import Feature, Group, Schema

_IDENTITY = "names a machine or a session of the testbed"
_TEXT = "is free text that repeats the telemetry or names the tool"
_CONSTANT = "has one value in the published files"
_FILLERS = ("", "0", "0.0")

_FLAGS = ("syn", "ack", "fin", "reset", "push")
_TELEMETRY = ("Temperature", "Memory", "In_Temperature", "CPU", "RSSI", "HR", "PULSE", "RESP", "SpO2")
_PROTOCOLS = tuple(
    "eth:ethertype:ip:" + name
    for name in (
        *("tcp", "tcp:http", "tcp:http:data-text-lines", "tcp:http:json", "tcp:mqtt", "tcp:mqtt:mqtt", "tcp:ssh"),
        *("icmp:data", "igmp:igmp", "udp:dhcp", "udp:dns", "udp:mdns", "udp:xml"),
    )
)


def _describe(path: Path) -> SourceFile:
    return SourceFile(path, re.sub(r"_part_\d+$", "", path.name.split(".")[0]))


def _indicator(name: str, *values: str) -> Feature:
    return Feature(name, categories=values, fillers=_FILLERS)


XIOMT = Dataset(
    schema=Schema(
        dataset="x-iomt",
        title="X-IoMT",
        features=(
            *(Feature(f"tcp.flags.{flag}") for flag in _FLAGS),
            Feature("tcp.len"),
            _indicator("http.request.method", "GET", "POST"),
            _indicator("http.request.version", "HTTP/1.0", "HTTP/1.1"),
            Feature("http.content_length"),
            _indicator("http.response", "True"),
            Feature("mqtt.msgtype"),
            _indicator("mqtt.topic", "test/temperatura"),
            Feature("mqtt.topic_len"),
            Feature("mqtt.conflag.cleansess"),
            Feature("mqtt.len"),
            Feature("mqtt.proto_len"),
            _indicator("mqtt.protoname", "MQTT"),
            Feature("mqtt.ver"),
            _indicator("mqtt.conack.flags", "0x00"),
            Feature("ip.ttl"),
            Feature("tcp.window_size"),
            # One published capture was cut off in the middle of its last row.
            Feature("frame.len", optional=True),
            Feature("frame.protocols", categories=_PROTOCOLS, optional=True),
            *(Feature(name, Group.EXPENSIVE, optional=True) for name in _TELEMETRY),
        ),
        label="anomaly.name",
        classes=(
            "Normal",
            *("CPUSpike", "Clinical", "FIN_Flood", "MQTTBruteForce", "Overheating", "ReconAttack"),
            *("SYN_Flood", "Slowloris", "Weak_Signal"),
        ),
        never={
            "frame.time": "tells the day, and every class was captured on days of its own",
            "ip.src_host": _IDENTITY,
            "ip.dst_host": _IDENTITY,
            "tcp.srcport": _IDENTITY,
            "tcp.dstport": _IDENTITY,
            "tcp.seq": _IDENTITY,
            "tcp.ack": _IDENTITY,
            "MAC_extracted": _IDENTITY,
            "mqtt.clientid": _IDENTITY,
            "http.host": _IDENTITY,
            "http.request.full_uri": _IDENTITY,
            "http.referer": _TEXT,
            "http.user_agent": _TEXT,
            "http.file_data": _TEXT,
            "mqtt.msg": _TEXT,
            "anomaly.layer": "is a label",
            "anomaly.label": "is a label",
            "source_file": "names the capture, and most captures hold one class",
            **dict.fromkeys(
                (
                    *("tcp.flags.urg", "http.request.uri.query", "mqtt.conflags", "mqtt.msg_decoded_as"),
                    *("mqtt.hdrflags", "mqtt.qos", "mqtt.retain", "mqtt.dupflag"),
                ),
                _CONSTANT,
            ),
        },
        device="ip.src_host",
        order="frame.time",
        source="source_file",
        citation="Pinto, Silva, Inacio, NCA 2025, doi:10.1109/NCA67271.2025.00047",
    ),
    home="https://github.com/RuiPintoUBI/X-IoMTDataset",
    cut=Cut.BLOCKS,
    block_rows=500,
    describe=_describe,
    drops_unlabelled=True,
    fingerprints=("ip.ttl", "tcp.window_size"),
    paper_extra=(
        *(Feature(name) for name in ("frame.time", "tcp.srcport", "tcp.dstport", "tcp.seq", "tcp.ack")),
        Feature("ip.src_host", categories=tuple(f"10.42.0.{i}" for i in (1, 2, 3, 6, 7, 8, 9, 37, 40, 139, 149))),
    ),
)
