"""Entries of the device register: what is taken, what is refused and how it is said, secrets that stay so."""

import doctest
import json
import weakref

import msgspec
import pytest

from connectors.devices import device as device_module
from connectors.devices import proofs as proofs_module
from connectors.devices.device import Device, DeviceError, parse, proves, seal, sealed
from connectors.devices.proofs import Proofs
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


def guarded(password: str = "old") -> Device:  # noqa: S107 - of a device that exists here only
    return parse("hj212:A1", json.dumps(GOOD | {"secret": seal(password)}))


@pytest.fixture
def stretched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were stretched."""
    found: list[str] = []
    really = device_module._stretched

    def stretch(password: str, salt: str) -> str:
        found.append(password)
        return really(password, salt)

    monkeypatch.setattr(device_module, "_stretched", stretch)
    return found


def test_a_right_password_is_stretched_once_and_no_other_after_it(stretched: list[str]) -> None:
    known, device = Devices(), guarded()
    del stretched[:]
    assert [known.proves(device, password) for password in ("old", "old", "new", "old")] == [True, True, False, True]
    assert stretched == ["old"]


def test_guesses_are_limited_for_each_device_and_address(stretched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten at once, one each six seconds; then the right one has to wait too. Other addresses and devices do not notice."""
    clock = [0.0]
    monkeypatch.setattr("connectors.devices.registry.Proofs", lambda: Proofs(lambda: clock[0]))
    known, device = Devices(), guarded()
    del stretched[:]
    for number in range(100):
        assert not known.proves(device, f"{number:06}", "10.0.0.1")
    assert len(stretched) == 10
    assert not known.proves(device, "old", "10.0.0.1")
    assert known.proves(device, "old", "10.0.0.2")
    assert known.proves(msgspec.structs.replace(device, key="hj212:A2"), "old", "10.0.0.1")
    clock[0] = 6.1
    assert known.proves(device, "old", "10.0.0.1")
    assert not known.proves(device, "one more", "10.0.0.1")
    assert not known.proves(device, "old", "10.0.0.1")


def test_what_was_parked_is_no_guessing() -> None:
    """Right ones among many wrong ones are right, and nobody who speaks now has to wait for them."""
    known, device = Devices(), guarded()
    said = [*("wrong" for _ in range(50)), "old", *("wrong" for _ in range(50)), "old"]
    assert [known.proves(device, password, None) for password in said] == [password == "old" for password in said]  # noqa: S105
    assert known.proves(device, "old", "10.0.0.1")


def test_nothing_of_wrong_passwords_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the clear nor without bound; the right one not in the clear either."""
    monkeypatch.setattr("connectors.devices.proofs._GUESSERS", 3)
    known, device = Devices(), guarded()
    passwords = [_Password("old"), *(_Password(f"{number:06}") for number in range(20))]
    kept = [weakref.ref(password) for password in passwords]
    for number, password in enumerate(passwords):
        assert known.proves(device, password, f"10.0.0.{number}") == (number == 0)
    del password, passwords
    assert [one() for one in kept] == [None] * len(kept)
    assert len(known._proofs._guesses) == 3


class _Password(str):
    """A text that can be asked whether it is still there."""

    __slots__ = ("__weakref__",)


def test_long_passwords_are_wrong(stretched: list[str]) -> None:
    """Without stretching; so none is sealed."""
    with pytest.raises(DeviceError, match="128"):
        sealed(GOOD | {"password": "x" * 129}, "hj212:A1")
    known, device = Devices(), guarded("x" * 129)
    del stretched[:]
    assert not known.proves(device, "x" * 129)
    assert stretched == []
    assert known.proves(guarded("x" * 128), "x" * 128)


def test_proofs_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(proofs_module).failed == 0


def test_networks() -> None:
    assert in_networks("10.1.2.3", ("10.0.0.0/8",))
    assert in_networks("::1", ("::1",))
    assert not in_networks("10.1.2.3", ("10.1.2.4", "192.168.0.0/16"))
    assert not in_networks("nobody", ("0.0.0.0/0",))
    assert not in_networks("10.1.2.3", ("nonsense",))
