"""medward-flow: windows of devices, as the meter makes them from a capture or an interface (spec/meter.md).

A hospital makes such tables of its own traffic with `medward flows`, and labels them with a list of the attacks that it
made on purpose, or by naming a quiet time. The classes are a fixed list, so that hospitals' models fit together; a
name that is not in it counts as OTHER_ATTACK, or becomes a class of its own where one place trains for itself.
"""

from pathlib import Path

from medward.flows.datasets._dataset import Cut, Dataset, SourceFile
from medward.flows.schema import OTHER_NAMES, Feature, Group, Schema
from medward.traffic.columns import COLUMNS, TICK_SECONDS, How, Measure

#: The class of an attack whose name is none of the others.
OTHER_ATTACK = "Other_Attack"

#: Names of published data sets where they have one: CICIoMT2024's, WUSTL-EHMS-2020's, X-IoMT's.
CLASSES = (
    "benign",
    "ARP_Spoofing",
    "Data_Alteration",
    "Exfiltration",
    *("DHCP-Starvation", "TCP_IP-Malformed_Packets", "TCP_IP-Connection_Flood", "Slowloris"),
    *(f"{service}-Brute_Force" for service in ("MQTT", "HTTP", "SSH", "FTP", "Telnet", "RDP", "SMB")),
    *("MQTT-DDoS-Connect_Flood", "MQTT-DDoS-Publish_Flood", "MQTT-DoS-Connect_Flood", "MQTT-DoS-Publish_Flood"),
    "MQTT-Malformed_Data",
    *("Recon-ARP_Sweep", "Recon-OS_Scan", "Recon-Ping_Sweep", "Recon-Port_Scan", "Recon-Slow_Scan", "Recon-VulScan"),
    *(f"TCP_IP-{kind}-{protocol}" for kind in ("DDoS", "DoS") for protocol in ("ICMP", "SYN", "TCP", "UDP")),
    OTHER_ATTACK,
)

_IDENTITY = "identifies a machine, not its behaviour"
_OF_SOME = (How.MEAN, How.DEVIATION, How.SPREAD)


def _feature(name: str, measure: Measure) -> Feature:
    group = Group.EXPENSIVE if measure.payload else Group.CHEAP
    return Feature(name, group, optional=measure.payload or measure.how in _OF_SOME)


def _describe(path: Path) -> SourceFile:
    # Captures of several places often have the same name, so the table tells them apart, with its folder.
    return SourceFile(path, str(Path(path.parent.name, path.name.split(".")[0])))


MEDWARD_FLOW = Dataset(
    schema=Schema(
        dataset="medward-flow",
        title="medward-flow",
        features=tuple(_feature(name, measure) for name, (measure, _) in COLUMNS.items()),
        label="label",
        classes=CLASSES,
        aliases={"Benign": "benign", "normal": "benign", OTHER_NAMES: OTHER_ATTACK},
        never={
            "capture": "names the capture, which may hold one class alone",
            "device": _IDENTITY,
            "address": _IDENTITY,
            "start": "tells when, and an attack was made at some time of a day",
            "label_source": "tells where the label is from",
        },
        device="device",
        order="start",
        step=float(TICK_SECONDS),
    ),
    home="a capture of your own with `medward flows`",
    cut=Cut.CAPTURES,
    describe=_describe,
    label_source="label_source",
    # In a commissioning period nobody is known to attack; in a list of attacks it is known who did.
    trust={"quiet": 0.5},
    own=True,
)
