"""Devices and services of a ward: each role is a function of its settings that runs as long as its process."""

from collections.abc import Callable
from random import Random
from typing import Any

from tools.lab.devices import collector, dhcp, dicom, everyday, fhir, hl7, joining, logins, media, modbus, mqtt, office

#: A behaviour takes its settings, the host's own address, and its source of randomness. It raises OSError where its
#: peer is away; it is then started again.
Behaviour = Callable[[dict[str, Any], str, Random], None]

ROLES: dict[str, Behaviour] = {
    "mqtt_broker": mqtt.broker,
    "mqtt_sensor": mqtt.sensor,
    "hl7_receiver": hl7.receiver,
    "hl7_device": hl7.device,
    "dicom_archive": dicom.archive,
    "dicom_modality": dicom.modality,
    "fhir_server": fhir.server,
    "fhir_client": fhir.client,
    "modbus_slave": modbus.slave,
    "modbus_master": modbus.master,
    "ftp_server": logins.ftp_server,
    "ftp_client": logins.ftp_client,
    "ssh_server": logins.ssh_server,
    "ssh_client": logins.ssh_client,
    "dhcp_server": dhcp.server,
    "dhcp_client": dhcp.client,
    "collector": collector.collector,
    "gateway": everyday.gateway,
    "name_server": everyday.name_server,
    "names": everyday.names,
    "time_server": everyday.time_server,
    "clock": everyday.clock,
    "app_server": everyday.app_server,
    "sessions": everyday.sessions,
    "sink": everyday.sink,
    "stream": everyday.stream,
    "restarts": joining.restarts,
    "joins": joining.joins,
    "watcher": logins.watcher,
    "rtsp_camera": media.rtsp_camera,
    "recorder": media.recorder,
    "caller": media.caller,
    "web_server": office.web_server,
    "browser": office.browser,
    "transfer_server": office.transfer_server,
    "transfers": office.transfers,
    "polled": office.polled,
    "polls": office.polls,
    "outside": office.outside,
    "route": office.route,
}
