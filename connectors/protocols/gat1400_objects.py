"""What stands inside the bodies of GA/T 1400.4: envelopes, objects, pictures, times and numbers.

>>> moment("2020-02-03 15:34:15"), moment("1580715255000"), moment(""), number("7.5"), number("x")
('2020-02-03T15:34:15+08:00', '2020-02-03T15:34:15+08:00', None, 7.5, None)
"""

import datetime as dt
import difflib
import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

from .stream import Fault

CHINA: Final = dt.timezone(dt.timedelta(hours=8))
SECONDS: Final = 10**11  # a number below is seconds, above milliseconds
_COMPACT: Final = re.compile(r"^\d{14}(\d{3})?$", re.ASCII)
_EPOCH: Final = re.compile(r"^\d{9,13}$", re.ASCII)
_MOST_DIGITS: Final = 40
_DEPTH: Final = 2  # a face in an image in a notification


@dataclass(frozen=True, slots=True)
class Envelope:
    """How a body is named: its kind, the member that lists its objects, their id, the endpoint, and when they happened."""

    kind: str
    member: str
    id: str
    endpoint: str
    times: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    auth: str = ""


_SEEN: Final = ("ShotTime", "LocationMarkTime", "MarkTime", "AppearTime")
_FACE: Final = Envelope("Face", "FaceObject", "FaceID", "POST /VIID/Faces", ("FaceAppearTime", *_SEEN))
_PERSON: Final = Envelope("Person", "PersonObject", "PersonID", "POST /VIID/Persons", ("PersonAppearTime", *_SEEN))
_MOTOR: Final = Envelope(
    "MotorVehicle", "MotorVehicleObject", "MotorVehicleID", "POST /VIID/MotorVehicles", ("PassTime", *_SEEN)
)
_OTHER: Final = Envelope(
    "NonMotorVehicle", "NonMotorVehicleObject", "NonMotorVehicleID", "POST /VIID/NonMotorVehicles", ("PassTime", *_SEEN)
)
_IMAGE: Final = Envelope("Image", "Image", "ImageID", "POST /VIID/Images", _SEEN, ("ImageObject", "ImageInfoObject"))
_STATUS: Final = Envelope("ResponseStatus", "ResponseStatusObject", "Id", "", ("LocalTime",))
_NOTICE: Final = "POST <ReceiveAddr> (/VIID/{})"

ENVELOPES: Final[dict[str, Envelope]] = {
    "FaceListObject": _FACE,
    "PersonListObject": _PERSON,
    "MotorVehicleListObject": _MOTOR,
    "NonMotorVehicleListObject": _OTHER,
    "ImageListObject": _IMAGE,
    "SubscribeNotificationListObject": Envelope(
        "SubscribeNotification",
        "SubscribeNotificationObject",
        "NotificationID",
        _NOTICE.format("SubscribeNotifications"),
        ("TriggerTime",),
    ),
    "DispositionNotificationListObject": Envelope(
        "DispositionNotification",
        "DispositionNotificationObject",
        "NotificationID",
        _NOTICE.format("DispositionNotifications"),
        ("TriggerTime",),
    ),
    "SubscribeListObject": Envelope("Subscribe", "SubscribeObject", "SubscribeID", "POST /VIID/Subscribes"),
    "DispositionListObject": Envelope("Disposition", "DispositionObject", "DispositionID", "POST /VIID/Dispositions"),
    "RegisterObject": Envelope("Register", "", "", "POST /VIID/System/Register", auth="digest"),
    "UnRegisterObject": Envelope("UnRegister", "", "", "POST /VIID/System/UnRegister", auth="digest"),
    "KeepaliveObject": Envelope("Keepalive", "", "", "POST /VIID/System/Keepalive"),
    "SystemTimeObject": Envelope("SystemTime", "", "", "GET /VIID/System/Time", ("LocalTime",)),
    "ResponseStatusListObject": _STATUS,
    "ResponseStatusObject": Envelope("ResponseStatus", "", "", "", ("LocalTime",)),
}
# Inside a notification or an image: member -> what it holds, as a list or as one object.
_NESTED: Final[dict[str, Envelope]] = {
    "FaceObjectList": _FACE,
    "FaceList": _FACE,
    "FaceObject": _FACE,
    "PersonObjectList": _PERSON,
    "PersonList": _PERSON,
    "PersonObject": _PERSON,
    "MotorVehicleObjectList": _MOTOR,
    "MotorVehicleList": _MOTOR,
    "MotorVehicleObject": _MOTOR,
    "NonMotorVehicleObjectList": _OTHER,
    "NonMotorVehicleList": _OTHER,
    "NonMotorVehicleObject": _OTHER,
    "ImageObjectList": _IMAGE,
    "ImageList": _IMAGE,
}
_BOX: Final = ("LeftTopX", "LeftTopY", "RightBtmX", "RightBtmY")
_NOTED: Final = {"SubscribeID": "subscribe_id", "DispositionID": "disposition_id", "Title": "title"} | {
    "StatusCode": "status_code",
    "StatusString": "status",
    "RequestURL": "request_url",
}
_NAMED: Final = {"Face": "face", "Person": "person", "MotorVehicle": "vehicle", "NonMotorVehicle": "vehicle"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: where it lies, or how many characters of Base64 came with the body. `kind`: 11 face, 14 scene, 01 vehicle …"""

    id: str | None
    device: str | None
    kind: str | None
    format: str | None
    time: str | None
    width: float | None
    height: float | None
    path: str | None
    data: str | None
    fields: dict[str, Any] = field(default_factory=dict)  # all members as sent

    def describe(self) -> dict[str, Any]:
        """As a JSON object, without the data itself."""
        names = ("id", "device", "kind", "format", "time", "width", "height", "path")
        about = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return about | ({"data_characters": len(self.data)} if self.data else {})


@dataclass(slots=True)
class Object:
    """One object. `time`: ISO with +08:00; `box`: left, top, right, bottom in pixels; `fields`: all members as sent."""

    kind: str
    id: str | None
    device: str | None
    time: str | None
    plate: str | None
    box: tuple[float, ...] | None
    pictures: list[Picture]
    fields: dict[str, Any]
    related: list["Object"] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """What an event would be made of: those that are there."""
        about: dict[str, Any] = {"device": self.device, "event_time": self.time, "plate": self.plate}
        about |= {name: text(self.fields.get(member)) for member, name in _NOTED.items()}
        ids = text(self.fields.get("InfoIDs"))
        about["info_ids"] = re.split(r"[,;]\s*", ids) if ids else None
        if self.kind in _NAMED:
            about[_NAMED[self.kind]] = self.id
        return {name: value for name, value in about.items() if value is not None}

    def describe(self) -> dict[str, Any]:
        """As a JSON object."""
        about: dict[str, Any] = {"kind": self.kind, "id": self.id} | self.summary()
        if self.box is not None:
            about["box"] = list(self.box)
        if self.pictures:
            about["pictures"] = [picture.describe() for picture in self.pictures]
        if self.related:
            about["related"] = [one.describe() for one in self.related]
        return about


def read_object(envelope: Envelope, value: Any, depth: int = 0) -> Object | Fault:
    """An object of an envelope; a Fault where it is none, or lacks its id. `depth`: how many objects it lies in."""
    if not isinstance(value, dict):
        return Fault("bad-type", f"{envelope.member or envelope.kind} is not an object")
    inner = value.get("ImageInfo")
    fields = {**value, **inner} if envelope is _IMAGE and isinstance(inner, dict) else value
    identity = text(fields.get(envelope.id)) if envelope.id else text(fields.get("DeviceID"))
    if envelope.id and identity is None and envelope is not _STATUS:
        return Fault("missing-field", f"{envelope.member} has no {envelope.id}")
    pictures = _pictures(fields)
    if envelope is _IMAGE:
        pictures.insert(0, _picture(fields))
    times = [*(moment(fields.get(name)) for name in envelope.times), *(picture.time for picture in pictures)]
    box = tuple(number(fields.get(name)) for name in _BOX)
    return Object(
        kind=envelope.kind,
        id=identity if envelope.id else None,
        device=text(fields.get("DeviceID")),
        time=next((time for time in times if time is not None), None),
        plate=text(fields.get("PlateNo")),
        box=tuple(side for side in box if side is not None) if None not in box else None,
        pictures=pictures,
        fields=fields,
        related=_related(fields, depth + 1) if depth < _DEPTH else [],
    )


def _related(fields: dict[str, Any], depth: int) -> list[Object]:
    """The objects inside a notification or an image. One that cannot be read is left to `fields`."""
    found: list[Object] = []
    for member, envelope in _NESTED.items():
        for one in _inside(fields.get(member), envelope):
            read = read_object(envelope, one, depth)
            found += [read] if isinstance(read, Object) else []
    return found


def nested(value: Any, depth: int = 0) -> int:
    """How many objects lie in one, as far down as they are read.

    >>> nested({"FaceObjectList": {"FaceObject": [{"FaceID": "1"}, {"FaceID": "2"}]}}), nested(5)
    (2, 0)
    """
    if not isinstance(value, dict) or depth >= _DEPTH:
        return 0
    found = [one for member, envelope in _NESTED.items() for one in _inside(value.get(member), envelope)]
    return sum((nested(one, depth + 1) for one in found), len(found))


def _inside(inner: Any, envelope: Envelope) -> list[dict[str, Any]]:
    given = listed(inner.get(envelope.member, inner) if isinstance(inner, dict) else inner)
    return [one for one in given if isinstance(one, dict) and one]


def _pictures(fields: dict[str, Any]) -> list[Picture]:
    inner = fields.get("SubImageList")
    found = listed(inner.get("SubImageInfoObject") if isinstance(inner, dict) else inner)
    return [_picture(one) for one in found if isinstance(one, dict)]


def _picture(one: dict[str, Any]) -> Picture:
    sides = (number(one.get("Width")), number(one.get("Height")))
    width, height = (side if side is not None and side > 0 else None for side in sides)  # -1: not known
    data = one.get("Data")
    return Picture(
        id=text(one.get("ImageID")),
        device=text(one.get("DeviceID")),
        kind=text(one.get("Type")),
        format=text(one.get("FileFormat")),
        time=moment(one.get("ShotTime")),
        width=width,
        height=height,
        path=text(one.get("StoragePath")),
        data=data if isinstance(data, str) and data else None,
        fields=one,
    )


def listed(value: Any) -> list[Any]:
    """A list as it is; anything else is the one of its list, as vendors write it."""
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str | None:
    """A text, or a number as one; None for what is empty or neither."""
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def number(value: Any) -> float | None:
    """A finite number, also from a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > _MOST_DIGITS:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(found):
        return None
    return int(found) if found.is_integer() else found


def moment(value: Any) -> str | None:
    """A time as ISO with a zone, +08:00 where none is said: 14 or 17 digits, dashed, or an epoch in ms (or s); None else."""
    given = text(value) or ""
    try:
        if _COMPACT.match(given):
            return _local(dt.datetime.strptime(given.ljust(17, "0") + "000", "%Y%m%d%H%M%S%f"))
        if _EPOCH.match(given):
            count = int(given)
            return dt.datetime.fromtimestamp(count / 1000 if count >= SECONDS else count, CHINA).isoformat()
        return _local(dt.datetime.fromisoformat(given.replace("/", "-")))
    except (ValueError, OverflowError, OSError):
        return None


def _local(time: dt.datetime) -> str:
    return (time if time.tzinfo is not None else time.replace(tzinfo=CHINA)).isoformat()


def hint(name: str) -> str | None:
    """The envelope that was perhaps meant.

    >>> hint("PersonList"), hint("ResponseStatus")
    ('PersonListObject', 'ResponseStatusObject')
    """
    if name + "Object" in ENVELOPES:
        return name + "Object"
    return next(iter(difflib.get_close_matches(name[:80], ENVELOPES, 1)), None)
