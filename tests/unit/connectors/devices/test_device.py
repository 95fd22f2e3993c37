"""Entries of the device register: what is taken, what is refused and how it is said, secrets that stay so."""

import json

import pytest

from connectors.devices.device import DeviceError, parse, proves, seal, sealed
from connectors.devices.registry import Devices, in_networks
from topics.identifiers import uscc_check_digit

GOOD = {"subject": "site:1", "sector": "ecology"}


@pytest.mark.parametrize(
    ("key", "change", "word"),
    [
        ("A1", {}, "protocol:id"),
        ("modbus:1", {}, "protocol:id"),
        ("hj212:a b", {}, "protocol:id"),
        ("hj212:A1", {"subject": "A1"}, "scheme:id"),
        ("hj212:A1", {"subject": "uscc:91350100M000100Y44"}, "GB 32100"),
        ("hj212:A1", {"sector": "space"}, "sector"),
        ("hj212:A1", {"region": "990000"}, "region"),
        ("hj212:A1", {"interval_minutes": 0}, "interval_minutes"),
        ("hj212:A1", {"location": [200, 1]}, "location"),
        ("hj212:A1", {"channels": {"w01018": {"subject": "x"}}}, "scheme:id"),
        ("hj212:A1", {"channels": {"w01018": {"scale": "2"}}}, "scale"),
        ("hj212:A1", {"unknown": 1}, "unknown"),
        ("hj212:A1", {"password": "1"}, "password"),  # never in the clear
    ],
)
def test_what_is_wrong_is_named(key: str, change: dict[str, object], word: str) -> None:
    with pytest.raises(DeviceError, match=word):
        parse(key, json.dumps(GOOD | change))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"sector": "fire"}'])
def test_what_is_no_entry_is_refused(body: bytes) -> None:
    with pytest.raises(DeviceError):
        parse("hj212:A1", body)


def test_credit_codes_are_cleaned() -> None:
    code = "91350100M000100Y4"
    body = json.dumps(GOOD | {"subject": f"uscc:{(code + uscc_check_digit(code)).lower()}"})
    assert parse("hj212:A1", body).subject == "uscc:91350100M000100Y43"


def test_passwords_are_kept_as_salted_hashes_and_never_shown() -> None:
    body = sealed(GOOD | {"password": "123456"}, "gat1400:330106")
    assert "123456" not in json.dumps(body)
    device = parse("gat1400:330106", json.dumps(body))
    assert device.secret is not None
    assert proves(device.secret, "123456")
    assert not proves(device.secret, "")
    assert seal("123456") != seal("123456")
    shown = json.dumps(device.public())
    assert device.secret not in shown
    assert str(device.digest) not in shown
    assert device.public()["secret"] is True


def test_an_entry_ends() -> None:
    now = [1_000.0]
    known = Devices(now=lambda: now[0])
    known.put("hj212:A1", parse("hj212:A1", json.dumps(GOOD)), ends=1_500_000)
    assert known.get("hj212:A1") is not None
    now[0] = 1_500.0
    assert known.get("hj212:A1") is None


def test_answers_about_passwords_are_remembered_by_the_secret_they_were_given_for() -> None:
    known = Devices()
    first = parse("hj212:A1", json.dumps(GOOD | {"secret": seal("old")}))
    second = parse("hj212:A1", json.dumps(GOOD | {"secret": seal("new")}))
    assert known.proves(first, "old")
    assert not known.proves(second, "old")
    assert known.proves(second, "new")


def test_networks() -> None:
    assert in_networks("10.1.2.3", ("10.0.0.0/8",))
    assert in_networks("::1", ("::1",))
    assert not in_networks("10.1.2.3", ("10.1.2.4", "192.168.0.0/16"))
    assert not in_networks("nobody", ("0.0.0.0/0",))
    assert not in_networks("10.1.2.3", ("nonsense",))
