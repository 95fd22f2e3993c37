"""GA/T 1400 objects -> camera events: what was seen, when, and where its pictures are.

An event's identity is device, kind, the object's own id and its time: an upload sent again has the same event ids. `occurred_at`
is the object's time, `observed_at` the latest of its own times. A notification becomes the objects inside it, or itself where
there are none; an image is one event, whatever was found on it.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.devices.clock import iso_ms
from connectors.devices.device import Device
from connectors.devices.labels import label_of
from connectors.devices.rows import Rows
from connectors.protocols.gat1400 import Object
from connectors.protocols.gat1400_objects import moment, number, text

GATEWAY: Final = "gat1400"
_STANDARD_ID: Final = re.compile(r"[0-9]{20}", re.ASCII)
_ID: Final = re.compile(r"[^\s:][^\s]{0,126}")
_LONGEST_ID: Final = 120
_TEXTS: Final = (
    *("EventSort", "Title", "TitleNote", "SpecialIName", "ContentDescription", "Keyword", "Keywords"),
    *("EventType", "EventName", "AlarmType", "AlarmName", "AlgorithmName", "Label", "BehaviorDescription"),
)
_TIMES: Final = (
    *("FaceAppearTime", "FaceDisAppearTime", "PersonAppearTime", "PersonDisAppearTime", "AppearTime", "DisappearTime"),
    *("PassTime", "ShotTime", "EntryTime", "LocationMarkTime", "MarkTime", "TriggerTime"),
)
_CONFIDENCES: Final = ("Confidence", "ConfidenceLevel", "Reliability", "Score")
_PER_CENT: Final = 100
_KINDS: Final = {"Face": "face", "Person": "person", "MotorVehicle": "vehicle", "NonMotorVehicle": "vehicle"} | {
    "Image": "image",
    "SubscribeNotification": "notification",
    "DispositionNotification": "disposition",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of a finding: where it is (`sha256:….jpg` among the stored ones, else as the device says), and its hash."""

    reference: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One object that becomes an event, the title of the notification that it came in, and its pictures."""

    object: Object
    title: str | None
    pictures: tuple[Shown, ...] = ()


@dataclass(slots=True)
class Upload:
    """What the gateway makes of one uploaded object, by its `id`. `refused`: pictures that were not kept, as (reason, detail);
    `bare`: its pictures were not looked at, because its device was unknown."""

    findings: list[Finding]
    id: str = ""
    refused: list[tuple[str, str]] = field(default_factory=list)
    bare: bool = False


def key_of(identity: str | None) -> str:
    """The register's key of a DeviceID; "" where it is none.

    >>> key_of("33020300001190000001"), key_of("a b"), key_of(None)
    ('gat1400:33020300001190000001', '', '')
    """
    return f"{GATEWAY}:{identity}" if identity and _ID.fullmatch(identity) else ""


def is_standard(identity: str | None) -> bool:
    """Whether an id is one that the standard would give (20 digits), and not a placeholder such as 0."""
    return identity is not None and _STANDARD_ID.fullmatch(identity) is not None


def device_of(one: Object) -> str | None:
    """The DeviceID that an object names, or the objects or pictures in it do."""
    inside = (*(related.device for related in one.related), *(picture.device for picture in one.pictures))
    named = [identity for identity in (one.device, *inside) if identity]
    return next(filter(is_standard, named), named[0] if named else None)


def findings_of(one: Object) -> Iterator[Finding]:
    """The objects of an uploaded one that become events."""
    title = text(one.fields.get("Title"))
    if one.kind.endswith("Notification") and one.related:
        for related in one.related:
            yield Finding(related, title)
    else:
        yield Finding(one, None)


def sent_at(upload: Upload) -> int | None:
    """When the device saw it by its own clock, ms UTC."""
    return _times(upload.findings[0].object)[1] if upload.findings else None


def events(device: Device, upload: Upload, arrived: int, rows: Rows) -> None:
    """Add an upload's events; a picture that was not kept is told, its event goes on without it."""
    if upload.bare:  # registered while it was on its way: sent again, it comes with its pictures
        rows.refuse("unknown-device", "registered in this moment")
        return
    for reason, detail in upload.refused:
        rows.refuse(reason, detail)
    for finding in upload.findings:
        one = finding.object
        occurred, observed = _times(one) if device.clock == "device" else (None, None)
        when = (occurred or arrived, observed or arrived)
        label = label_of(_texts(finding), device.labels) or _KINDS.get(one.kind, "image")
        shown = finding.pictures
        sha256 = next((picture.sha256 for picture in shown if picture.sha256), None)
        picture = " ".join(picture.reference for picture in shown) or None
        rows.sighting(device, _identity(device, one), when, GATEWAY, (label, _confidence(one), picture, sha256))


def _identity(device: Device, one: Object) -> str:
    own = f"{one.id or ''}/{one.time or ''}"
    if len(own) > _LONGEST_ID:
        own = hashlib.sha256(own.encode()).hexdigest()
    return f"{device.key}/{one.kind}/{own}"


def _texts(finding: Finding) -> Iterator[str]:
    """What may name the finding: the most particular first."""
    one = finding.object
    sources: list[dict[str, Any]] = [one.fields, *(picture.fields for picture in one.pictures)]
    for name in _TEXTS:
        for fields in sources:
            yield text(fields.get(name)) or ""
    yield finding.title or ""


def _times(one: Object) -> tuple[int | None, int | None]:
    """Its time, and the latest of all its times, ms UTC."""
    found = [iso_ms(moment(one.fields.get(name))) for name in _TIMES]
    found += [iso_ms(picture.time) for picture in one.pictures]
    occurred = iso_ms(one.time)
    return occurred, max((time for time in (occurred, *found) if time is not None), default=None)


def _confidence(one: Object) -> float | None:
    """0 to 1, also where it is given per cent; None where there is none."""
    sources = [one.fields, *(picture.fields for picture in one.pictures)]
    found = (number(fields.get(name)) for name in _CONFIDENCES for fields in sources)
    given = next((value for value in found if value is not None), None)
    if given is None or not 0 <= given <= _PER_CENT:
        return None
    return float(given) if given <= 1 else given / _PER_CENT
