"""CICIoMT2024: windowed packet statistics of a 40-device IoMT testbed (Dadkhah et al. 2024), WiFi and MQTT part."""

import re
from pathlib import Path

from medward.flows.datasets._dataset import Cut, Dataset, SourceFile
from medward.flows.schema import Feature, Group, Schema

_HEADER = (
    *("Header_Length", "Protocol Type", "Duration"),
    *("fin_flag_number", "syn_flag_number", "rst_flag_number", "psh_flag_number", "ack_flag_number"),
    *("ece_flag_number", "cwr_flag_number", "ack_count", "syn_count", "fin_count", "rst_count"),
    *("HTTP", "HTTPS", "DNS", "Telnet", "SMTP", "SSH", "IRC", "TCP", "UDP", "DHCP", "ARP", "ICMP", "IGMP", "IPv"),
    "LLC",
)
# The window statistics need every packet of the window: they are what a gateway buys with ESCALATE.
_WINDOW = (
    *("Rate", "Tot sum", "Min", "Max", "AVG", "Std", "Tot size", "Magnitue", "Radius", "Covariance", "Variance"),
)

_CLASSES = (
    "Benign",
    "ARP_Spoofing",
    *("MQTT-DDoS-Connect_Flood", "MQTT-DDoS-Publish_Flood", "MQTT-DoS-Connect_Flood", "MQTT-DoS-Publish_Flood"),
    "MQTT-Malformed_Data",
    *("Recon-OS_Scan", "Recon-Ping_Sweep", "Recon-Port_Scan", "Recon-VulScan"),
    *(f"TCP_IP-{kind}-{protocol}" for kind in ("DDoS", "DoS") for protocol in ("ICMP", "SYN", "TCP", "UDP")),
)


def _describe(path: Path) -> SourceFile:
    # The published files have no label column; their names say it: TCP_IP-DDoS-UDP3_train.pcap.csv.
    match = re.fullmatch(r"(.+?)\d*_(?:train|test)\.pcap\.csv(?:\.gz)?", path.name)
    constants = {"attack_class": match.group(1)} if match else {}
    return SourceFile(path, path.name, constants=constants)


CICIOMT = Dataset(
    schema=Schema(
        dataset="ciciomt2024",
        title="CICIoMT2024 (WiFi and MQTT)",
        features=(
            *(Feature(name) for name in _HEADER),
            *(Feature(name, Group.EXPENSIVE) for name in _WINDOW),
        ),
        label="attack_class",
        classes=_CLASSES,
        never={
            "IAT": "holds the capture's epoch time: binned, each bin is one class",
            "Number": "is the extractor's window size, which was chosen per class",
            "Weight": "is a function of Number",
            "Drate": "is constant",
            "Srate": "equals Rate",
            "source_file": "names the class",
            "official_split": "is train on attack rows only in the part at hand",
            "attack_category": "is a coarser label",
            "label": "is a label",
        },
        source="source_file",
        citation="Dadkhah et al., Internet of Things 28 (2024) 101351, doi:10.1016/j.iot.2024.101351",
    ),
    home="https://www.unb.ca/cic/datasets/iomt-dataset-2024.html",
    cut=Cut.BLOCKS,
    describe=_describe,
    paper_extra=tuple(Feature(name) for name in ("IAT", "Number", "Weight", "Drate", "Srate")),
    cautions=(
        "A row is the mean of 100 packets in MQTT floods and of 10 in all other traffic: Tot sum over AVG, and values "
        "finer than tenths, tell the floods by that.",
    ),
)
