"""The files of CICIoMT2024: those that were published have no label, and say their class by their name."""

from pathlib import Path

import pytest

from medward.flows.datasets import CICIOMT
from medward.flows.reading import read_flows
from tests.flows.flow_files import refusal, table_of, write

CIC_FILES = {
    "Benign_test.pcap.csv": "Benign",
    "ARP_Spoofing_train.pcap.csv": "ARP_Spoofing",
    "MQTT-DDoS-Connect_Flood_train.pcap.csv": "MQTT-DDoS-Connect_Flood",
    "MQTT-Malformed_Data_test.pcap.csv.gz": "MQTT-Malformed_Data",
    "Recon-Ping_Sweep_test.pcap.csv": "Recon-Ping_Sweep",
    "TCP_IP-DDoS-UDP3_train.pcap.csv": "TCP_IP-DDoS-UDP",
    "TCP_IP-DoS-TCP_test.pcap.csv": "TCP_IP-DoS-TCP",
    "TCP_IP-DDoS-ICMP8_train.pcap.csv": "TCP_IP-DDoS-ICMP",
    "Recon-OS_Scan_test.pcap.csv": "Recon-OS_Scan",
    "Recon-Port_Scan_train.pcap.csv": "Recon-Port_Scan",
    "Recon-VulScan_train.pcap.csv": "Recon-VulScan",
}


@pytest.mark.parametrize(("name", "label"), CIC_FILES.items(), ids=CIC_FILES)
def test_a_published_ciciomt_file_says_its_class_by_its_name(name: str, label: str, tmp_path: Path) -> None:
    table = table_of(CICIOMT, 5)
    columns = {name: table[name] for name in table if name not in ("attack_class", "source_file", "attack_category")}
    flows = read_flows(CICIOMT, write(tmp_path / name, columns))
    assert [CICIOMT.schema.classes[k] for k in flows.y] == [label] * 5
    assert flows.sources == (name,)


@pytest.mark.parametrize(
    "name",
    ["Benign.csv", "Benign_train.csv", "_train.pcap.csv", "Benign_train.pcap.csv.bak", "notes_train.pcap.parquet"],
)
def test_other_names_say_no_class(name: str) -> None:
    assert CICIOMT.describe(Path(name)).constants == {}


def test_name_of_a_class_that_is_none_is_refused_with_the_classes(tmp_path: Path) -> None:
    table = table_of(CICIOMT, 3)
    del table["attack_class"]
    error = refusal(CICIOMT, write(tmp_path / "Ransom2_train.pcap.csv", table))
    assert "'Ransom' is no class of CICIoMT2024" in str(error)
    assert "ARP_Spoofing" in str(error)
    unnamed = refusal(CICIOMT, write(tmp_path / "Benign.csv", table))
    assert "column 'attack_class': the column is missing" in str(unnamed)


def test_label_in_the_file_counts_more_than_the_name(tmp_path: Path) -> None:
    table = table_of(CICIOMT, 3) | {"attack_class": ["Benign", "ARP_Spoofing", "Benign"]}
    flows = read_flows(CICIOMT, write(tmp_path / "Recon-OS_Scan_test.pcap.csv", table))
    assert [CICIOMT.schema.classes[k] for k in flows.y] == table["attack_class"]
