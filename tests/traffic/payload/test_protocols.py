"""Messages of a ward's protocols are counted as the standards say, however TCP cuts them, and no octets do harm."""

import struct
from collections.abc import Sequence

import numpy as np
import pytest

from medward.bench.traffic import generation
from medward.traffic.packets import ACK, PSH, SYN
from tests.traffic.captures import BEGIN, SECOND, Timed
from tests.traffic.test_meter import Row, one

CLIENT, SERVER = 2, 3


def said(port: int, segments: Sequence[bytes], answers: Sequence[bytes] = (), begun: bool = True) -> Row:
    """Return the client's window after a connection in which both sides sent these segments."""
    here, there = (40000, port), (port, 40000)
    packets: list[Timed] = []
    if begun:
        packets.append((BEGIN, generation.tcp(CLIENT, SERVER, here, (999, 0), SYN, b"")))
        packets.append((BEGIN + 1, generation.tcp(SERVER, CLIENT, there, (499, 1000), SYN | ACK, b"")))
    for first, source, target, ports, contents in (
        (1000, CLIENT, SERVER, here, segments),
        (500, SERVER, CLIENT, there, answers),
    ):
        sequence = first
        for content in contents:
            time = BEGIN + 1000 * (len(packets) + 1)
            packets.append((time, generation.tcp(source, target, ports, (sequence, 1), PSH | ACK, content)))
            sequence += len(content)
    assert packets[-1][0] < BEGIN + SECOND
    return one(packets, CLIENT)


def counts(row: Row, *names: str) -> list[float]:
    return [row[name] for name in names]


def mqtt(first: int, body: bytes) -> bytes:
    length, out = len(body), bytes([first])
    while True:
        out += bytes([length % 128 | (128 if length >= 128 else 0)])
        length //= 128
        if not length:
            return out + body


CONNECT = mqtt(0x10, b"\0\4MQTT\4\2\0\x3c\0\4pump")
PING = b"\xc0\0"


def publish(topic: bytes, body: bytes = b"") -> bytes:
    return mqtt(0x30, struct.pack("!H", len(topic)) + topic + body)


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


MQTT = ("mqtt_connects", "mqtt_publishes", "mqtt_subscribes", "mqtt_malformed")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
def test_mqtt_messages_are_never_called_malformed_however_tcp_cuts_them(size: int) -> None:
    """What begins in one segment's length field is not read further, and is no attack."""
    sent = CONNECT + mqtt(0x82, b"\0\1\0\4ward\0") + b"".join(publish(b"a/%d" % k, bytes(40)) for k in range(5))
    row = said(1883, cut(sent, size))
    assert row["mqtt_malformed"] == 0
    if size == 1000:
        assert counts(row, *MQTT) == [1, 5, 1, 0]


def test_mqtt_publish_over_several_segments_is_counted_once_and_the_next_is_found() -> None:
    sent = CONNECT + publish(b"image", bytes(3000)) + publish(b"next", b"x")
    assert counts(said(1883, cut(sent, 700)), *MQTT) == [1, 2, 0, 0]


def test_more_mqtt_messages_than_are_counted_in_a_segment_do_not_make_the_next_one_malformed() -> None:
    """A flood of small messages fills segments that end in the middle of one."""
    sent = CONNECT + publish(b"t", b"0123456789") * 400
    row = said(1883, cut(sent, 1460))
    assert row["mqtt_malformed"] == 0
    assert row["mqtt_publishes"] >= 64 * len(sent) // 1460
    pings = said(1883, [CONNECT + PING * 300 + publish(b"t", bytes(30))[:20], publish(b"t", bytes(30))[20:]])
    assert pings["mqtt_malformed"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x00\x00",
        b"\x36\x04\0\1ab",
        b"\x80\x04\0\1ab",
        b"\xc0\x01\0",
        b"\x30\xff\xff\xff\xff\x01",
        mqtt(0x10, b"\0\5MQTTX\4\2\0\x3c"),
        mqtt(0x10, b"\0\4HTTP\4\2\0\x3c\0\4pump"),
        mqtt(0x10, b"\0\4MQTT\4"),
        mqtt(0x30, b"\xff\xffshort"),
    ],
)
def test_mqtt_message_that_contradicts_itself_is_malformed_once_and_nothing_behind_it_is_read(wrong: bytes) -> None:
    row = said(1883, [CONNECT, wrong, mqtt(0x82, b"\0\1\0\1t\0")])
    assert counts(row, "mqtt_malformed", "mqtt_subscribes") == [1, 0]


def test_connection_that_was_met_in_its_middle_has_nothing_malformed() -> None:
    row = said(1883, [bytes(100), b"\xff" * 100, publish(b"t", b"x")], begun=False)
    assert counts(row, "mqtt_malformed", "mqtt_publishes") == [0, 1]


def test_refused_mqtt_connection_is_counted_for_both() -> None:
    assert said(1883, [CONNECT], [mqtt(0x20, b"\0\5")])["mqtt_refused"] == 1
    assert said(1883, [CONNECT], [mqtt(0x20, b"\0\0")])["mqtt_refused"] == 0


def hl7(*segments: str) -> bytes:
    return b"\x0b" + "\r".join(segments).encode() + b"\x1c\r"


MSH = "MSH|^~\\&|PUMP|WARD|EHR|WARD|20260101||{}|7|P|2.5"


@pytest.mark.parametrize(("code", "errors"), [("AA", 0), ("AE", 1), ("AR", 1), ("CE", 1), ("CA", 0)])
def test_hl7_acknowledgement_of_an_error_is_counted(code: str, errors: int) -> None:
    row = said(2575, [hl7(MSH.format("ORU^R01"))], [hl7(MSH.format("ACK"), f"MSA|{code}|7")])
    assert counts(row, "hl7_messages", "hl7_errors") == [2, errors]


def dicom(kind: int, body: bytes) -> bytes:
    return struct.pack("!BxI", kind, len(body)) + body


def command(number: int, control: int = 3) -> bytes:
    """A command in one presentation data value: group length, then the command's number."""
    elements = struct.pack("<HHIIHHIH", 0, 0, 4, 10, 0, 0x100, 2, number)
    return dicom(4, struct.pack("!IBB", len(elements) + 2, 1, control) + elements)


DICOM = ("dicom_associations", "dicom_stores", "dicom_refused")


def test_dicom_images_over_several_segments_are_stored_once_each_and_all_are_found() -> None:
    image = dicom(4, struct.pack("!IBB", 4002, 1, 2) + bytes(4000))
    sent = dicom(1, bytes(68)) + (command(1) + image) * 3
    for size in (700, 1460, 5000):
        assert counts(said(104, cut(sent, size)), *DICOM) == [1, 3, 0], size


def test_dicom_command_that_is_no_store_and_data_that_look_like_one_are_not_counted() -> None:
    assert counts(said(104, [dicom(1, bytes(68)), command(0x20), command(1, control=2)]), *DICOM) == [1, 0, 0]
    assert counts(said(104, [dicom(1, bytes(68))], [dicom(3, bytes(4))]), *DICOM) == [1, 0, 1]


def modbus(function: int, unit: int = 1) -> bytes:
    body = bytes([unit, function]) + bytes(4)
    return struct.pack("!HHH", 1, 0, len(body)) + body


def test_modbus_writes_and_exceptions_are_told_from_reads() -> None:
    sent = [modbus(3) + modbus(6), modbus(16)]
    row = said(502, sent, [modbus(3), modbus(0x86)])
    assert counts(row, "modbus_requests", "modbus_writes", "modbus_exceptions") == [3, 2, 1]


@pytest.mark.parametrize(
    ("status", "refused", "errors"), [(200, 0, 0), (401, 1, 1), (403, 1, 1), (404, 0, 1), (503, 0, 1), (600, 0, 0)]
)
def test_http_answers_are_counted_by_their_status(status: int, refused: int, errors: int) -> None:
    row = said(80, [b"GET / HTTP/1.1\r\n\r\n"], [b"HTTP/1.1 %d Text\r\n\r\n" % status])
    assert counts(row, "http_requests", "http_refused", "http_errors") == [1, refused, errors]


def hello(suites: bytes, session: bytes = b"") -> bytes:
    body = b"\3\3" + bytes(32) + bytes([len(session)]) + session + struct.pack("!H", len(suites)) + suites
    return b"\x16\3\1" + struct.pack("!H", len(body) + 4) + b"\1\0" + struct.pack("!H", len(body)) + body


def test_tls_hello_is_counted_however_short_it_was_cut() -> None:
    whole = hello(b"\x13\1\x13\2", bytes(32))
    assert said(443, [whole])["tls_hellos"] == 1
    assert said(443, [whole[:50]])["tls_hellos"] == 1
    assert said(443, [whole[:43]])["tls_hellos"] == 0
    assert said(443, [b"\x17" + whole[1:]])["tls_hellos"] == 0


def test_refused_login_of_ftp_is_counted() -> None:
    assert (
        said(21, [b"PASS x\r\n"], [b"530 Login incorrect\r\n", b"230 Welcome\r\n", b"530-More\r\n"])["ftp_refused"] == 2
    )


@pytest.mark.parametrize("port", [1883, 2575, 104, 502, 80, 443, 21])
def test_any_octets_are_read_without_harm_and_count_no_more_than_there_can_be(port: int) -> None:
    generator = np.random.default_rng(port)
    begins = [CONNECT, publish(b"t", b"x"), hl7(MSH.format("ACK")), command(1), modbus(6), b"HTTP/1.1 401 ", hello(b"")]
    segments = []
    for _ in range(150):
        content = bytearray(begins[generator.integers(len(begins))] + generator.bytes(int(generator.integers(0, 60))))
        content[generator.integers(len(content))] = generator.integers(256)
        segments.append(bytes(content[: generator.integers(1, len(content) + 1)]))
    row = said(port, segments)
    octets = sum(map(len, segments))
    for name in (*MQTT, *DICOM, "hl7_messages", "modbus_requests", "http_requests", "tls_hellos", "ftp_refused"):
        assert 0 <= row[name] <= octets / 2
