"""GB/T 26875.3 over TCP and UDP on a real broker: confirmed once Kafka has it; TLS; who may send."""

import datetime as dt
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.protocols import gb26875
from connectors.protocols.stream import Bad
from fengsui.settings import Settings
from tests.acceptance.certificates import make_certificate
from tests.acceptance.device_helpers import gateway, make_topics, register, talk, until
from tests.acceptance.gateway_helpers import records

pytestmark = pytest.mark.broker

SOURCE = bytes.fromhex("010203040506")
PART = {"system_type": 1, "system_addr": 2, "part_type": 40, "part_addr_hex": "05000600"}


def frame(sequence: int, kind: int, *objects: dict[str, Any], source: bytes = SOURCE) -> bytes:
    local = dt.datetime.now(dt.timezone(dt.timedelta(hours=8))).replace(tzinfo=None, microsecond=0)
    given = [{"time": local.isoformat()} | one for one in objects]
    unit = gb26875.encode_unit(kind, given)
    return gb26875.encode(sequence, gb26875.SEND, unit, time=local, source=source, target=bytes(6))


def answers(data: bytes) -> list[tuple[int, int]]:
    return [(one.sequence, one.command) for one in gb26875.decode(data) if not isinstance(one, Bad)]


def test_values_and_states_become_readings(settings: Settings) -> None:
    """Analogue values in the rules' units, states bit by bit; each frame confirmed with its sequence, each reading once."""
    make_topics(settings)
    channels = {"1-2-40-05000600": {"device_id": "cable-5", "subject": "site:mall"}}
    register(settings, "gb26875:010203040506", sector="fire", channels=channels)
    hot = frame(7, 3, PART | {"analog_type": 3, "analog_raw": 785}, PART | {"analog_type": 5, "analog_raw": 3200})
    alarm = frame(8, 2, PART | {"status": 0b110, "description": "A区1层走廊"})
    with gateway(settings) as door:
        for _ in range(2):  # sent again: no confirmation had come
            assert answers(talk(door.ports["gb26875"], hot + alarm, 60)) == [(7, 3), (8, 3)]
        events = records(settings, "events.iot")
    found = {(event["metric"], event["value"], event["unit"]) for event in events}
    assert found == {
        ("cable_temp", 78.5, "℃"),
        ("water_pressure", 0.32, "MPa"),
        ("fire_alarm", 1.0, None),
        ("fire_part_fault", 1.0, None),
    }
    assert len(events) == 4
    assert {(event["device_id"], event["subject"]) for event in events} == {("cable-5", "site:mall")}


def test_datagrams_from_allowed_addresses(settings: Settings) -> None:
    """Confirmed by datagram; what comes from elsewhere is not read, broken ones are named, nothing hangs."""
    make_topics(settings)
    register(settings, "gb26875:010203040506", sector="fire", sources=["127.0.0.1"])
    with (
        gateway(settings, gb26875_udp_port="0", gb26875_udp_allow='["127.0.0.1/32"]') as door,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        where = ("127.0.0.1", door.ports["gb26875_udp"])
        stranger.bind(("127.0.0.2", 0))
        stranger.sendto(frame(1, 3, PART | {"analog_type": 3, "analog_raw": 1}), where)
        line.settimeout(15)
        line.sendto(b"@@ not a frame", where)
        line.sendto(frame(9, 3, PART | {"analog_type": 3, "analog_raw": 500}), where)
        assert answers(line.recv(2048)) == [(9, 3)]
        assert [event["value"] for event in records(settings, "events.iot")] == [50.0]
        page = httpx.get(f"{door.url}/metrics").text
        assert 'fengsui_gateway_datagrams_dropped_total{gateway="gb26875",reason="bad-source"} 1.0' in page
        letters = until(lambda: records(settings, "rejected"))
        assert {letter["reason"] for letter in letters} <= {"truncated", "garbage"}


def test_over_tls(settings: Settings, tmp_path: Path) -> None:
    """The same protocol inside TLS; a device without it gets nothing from that port, and hurts nobody."""
    make_topics(settings)
    register(settings, "gb26875:010203040506", sector="fire")
    certificate, key = make_certificate(tmp_path)
    more = {"tls_certificate_file": str(certificate), "tls_key_file": str(key), "gb26875_tls_port": "0"}
    more |= {"http_tls_port": "0"}
    with gateway(settings, **more) as door:
        where = ("127.0.0.1", door.ports["gb26875_tls"])
        data = frame(3, 3, PART | {"analog_type": 3, "analog_raw": 100})
        with socket.create_connection(where, timeout=5) as plain:
            plain.sendall(data)
            plain.settimeout(5)
            assert not answers(_all(plain))
        context = ssl.create_default_context(cafile=str(certificate))
        with (
            socket.create_connection(where, timeout=15) as line,
            context.wrap_socket(line, server_hostname="localhost") as secure,
        ):
            secure.sendall(data)
            assert answers(secure.recv(2048)) == [(3, 3)]
        assert len(records(settings, "events.iot")) == 1
        page = f"https://localhost:{door.ports['http_tls']}/healthz"
        assert httpx.get(page, verify=context).json() == {"ok": True}


def _all(line: socket.socket) -> bytes:
    found, deadline = b"", time.monotonic() + 5
    try:
        while time.monotonic() < deadline and (more := line.recv(2048)):
            found += more
    except (TimeoutError, ConnectionError):
        pass
    return found
