"""One entry of the device register: whose device it is, what its channels measure, how it proves who it is.

The register's key is `protocol:id`, the id as the protocol has it: MN for HJ 212, source address in hexadecimal for GB/T 26875.3,
DeviceID for GA/T 1400, the name in the topic for MQTT and HTTP.

>>> body = b'{"subject": "licence:7", "sector": "ecology", "region": "330106", "channels": {"w01018": {"scale": 2}}}'
>>> device = parse("hj212:A1", body)
>>> device.subject, device.device_id, device.channels["w01018"].scale
('licence:7', 'hj212:A1', 2.0)
"""

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from topics.codes import SECTORS, SUBJECT_SCHEMES
from topics.identifiers import clean_uscc, is_region, is_uscc

PROTOCOLS: Final = ("hj212", "gb26875", "gat1400", "mqtt", "http")
_KEY: Final = re.compile(rf"(?:{'|'.join(PROTOCOLS)}):[^\s:][^\s]{{0,126}}")
_SUBJECT: Final = re.compile(rf"({'|'.join(SUBJECT_SCHEMES)}):([^\s:][^\s]{{0,127}})")
_ROUNDS: Final = (
    2_000  # PBKDF2 in a frame's time; a password of six digits is guarded by who may read the topic, not by this
)
_SALT_BYTES: Final = 8
REALM: Final = "fengsui"
LONGEST_PASSWORD: Final = 128  # characters


class DeviceError(ValueError):
    """An entry that cannot be used; the message names the field and no secret."""


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one channel of a device (a factor, a part, a metric) is: standard name and unit, and value = raw * scale + offset.

    `device_id`, `subject`: where a channel is a device of its own, at another subject.
    """

    metric: str | None = None
    unit: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    device_id: str | None = None
    subject: str | None = None
    subject_name: str | None = None
    ignore: bool = False


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A registered device. Only `subject` and `sector` are required.

    `location`: longitude, latitude (CGCS2000, degrees). `channels`: by factor code, part or metric name. `labels`: what its
    cameras' analyses are called -> our labels. `interval_minutes`: of HJ 212's minute data. `clock`: whose time counts.
    `secret`: as `seal` makes it; `digest`: HA1 of HTTP Digest in our realm; `sources`: addresses or networks it may send from.
    `via`: keys of platforms that may speak for it.
    """

    subject: str
    sector: str
    key: str = ""
    device_id: str = ""
    name: str | None = None
    subject_name: str | None = None
    region: str | None = None
    chain: str | None = None
    location: tuple[float, float] | None = None
    address: str | None = None
    channels: dict[str, Channel] = {}
    labels: dict[str, str] = {}
    interval_minutes: int = 10
    episode_seconds: int = 60
    clock: Literal["device", "gateway"] = "device"
    secret: str | None = None
    digest: str | None = None
    sources: tuple[str, ...] = ()
    via: tuple[str, ...] = ()

    def public(self) -> dict[str, Any]:
        """As JSON data for people: whether there is a secret, not what it is."""
        about = msgspec.to_builtins(self)
        hidden = {name: bool(about.pop(name)) for name in ("secret", "digest")}
        return {name: value for name, value in about.items() if value not in (None, "", {}, (), [])} | hidden


def is_key(key: str) -> bool:
    """Whether a text is `protocol:id`.

    >>> is_key("hj212:A1"), is_key("A1"), is_key("modbus:1")
    (True, False, False)
    """
    return _KEY.fullmatch(key) is not None


def parse(key: str, body: bytes | str) -> Device:
    """The device of a register entry. Raises DeviceError."""
    if not is_key(key):
        raise DeviceError(f"{key[:80]!r} is not protocol:id with one of {', '.join(PROTOCOLS)}")
    try:
        device = msgspec.json.decode(body, type=Device)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DeviceError(str(error)[:200]) from None
    return _checked(msgspec.structs.replace(device, key=key, device_id=device.device_id or key))


def _checked(device: Device) -> Device:
    if device.sector not in SECTORS:
        raise DeviceError(f"sector {device.sector[:40]!r} is none of {', '.join(SECTORS)}")
    if device.region is not None and not is_region(device.region):
        raise DeviceError(f"region {device.region[:20]!r} is not a GB/T 2260 code")
    if not 0 < device.interval_minutes <= 24 * 60 or not 0 <= device.episode_seconds <= 86_400:  # noqa: PLR2004 - a day
        raise DeviceError("interval_minutes is 1 to 1440, episode_seconds 0 to 86400")
    if device.location is not None and not (abs(device.location[0]) <= 180 and abs(device.location[1]) <= 90):  # noqa: PLR2004
        raise DeviceError("location is longitude, latitude in degrees")
    for code, channel in device.channels.items():
        if not (math.isfinite(channel.scale) and math.isfinite(channel.offset)):
            raise DeviceError(f"channel {code[:40]}: scale and offset are numbers")
        if channel.subject is not None:
            _subject(channel.subject)
    return msgspec.structs.replace(device, subject=_subject(device.subject))


def _subject(text: str) -> str:
    """A subject, standardised as intake would. Raises DeviceError."""
    match = _SUBJECT.fullmatch(text)
    if match is None:
        raise DeviceError(f"subject {text[:80]!r} is not scheme:id with one of {', '.join(SUBJECT_SCHEMES)}")
    if match[1] != "uscc":
        return text
    code = clean_uscc(match[2])
    if not is_uscc(code):
        raise DeviceError(f"subject {text[:80]!r}: the credit code fails GB 32100")
    return f"uscc:{code}"


def seal(password: str) -> str:
    """A password as the register keeps it: `salt$hash`, salted and stretched."""
    salt = secrets.token_hex(_SALT_BYTES)
    return f"{salt}${_stretched(password, salt)}"


def proves(secret: str, password: str) -> bool:
    """Whether a password is the sealed one.

    >>> proves(seal("123456"), "123456"), proves(seal("123456"), "654321")
    (True, False)
    """
    salt, _, kept = secret.partition("$")
    return hmac.compare_digest(kept, _stretched(password, salt))


def _stretched(password: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode("utf-8", "surrogateescape"), salt.encode(), _ROUNDS).hex()


def sealed(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An entry as people write it -> as the register keeps it: `password` becomes `secret`, for GA/T 1400 also `digest`.

    Raises DeviceError for a password that no gateway would look at.
    """
    given = dict(body)
    password = given.pop("password", None)
    if password is None:
        return given
    if len(str(password)) > LONGEST_PASSWORD:
        raise DeviceError(f"a password has at most {LONGEST_PASSWORD} characters")
    protocol, _, identity = key.partition(":")
    given["secret"] = seal(str(password))
    if protocol == "gat1400":
        text = f"{identity}:{REALM}:{password}"
        given["digest"] = hashlib.md5(
            text.encode(), usedforsecurity=False
        ).hexdigest()  # the standard's choice, not ours
    return given
