"""GA/T 1400: the known bodies, uploads of each kind, odd values, and what must be refused."""

import datetime as dt
import json
from typing import Any

import pytest

from connectors.protocols import digest
from connectors.protocols.gat1400 import (
    Message,
    decode,
    decode_authorization,
    describe,
    response_status_list,
)
from connectors.protocols.gat1400_objects import moment, number
from connectors.protocols.stream import Fault
from tests.unit.connectors.protocols import vectors

PICTURE = {"ImageID": "i1", "EventSort": 4, "DeviceID": "d1", "StoragePath": "http://store/1.jpg", "Type": "11"} | {
    "FileFormat": "Jpeg",
    "ShotTime": "20170925032455",
    "Width": "437",
    "Height": -1,
}
FACE = {"FaceID": "f1", "DeviceID": "d1", "SubImageList": {"SubImageInfoObject": [PICTURE]}}


def about(**body: Any) -> dict[str, Any]:
    return describe(decode(json.dumps(body).encode()))


@vectors.needed
def test_vectors() -> None:
    """Each known body gives its expected values, each bad one is refused."""
    found = vectors.load("gat1400")
    for vector in found:
        if vector["kind"] == "rfc":
            continue
        shown = describe(decode(vector["data"]))
        assert shown["ok"] is vector["valid"], vector["source"]
        wanted = vectors.expected(vector)
        assert vectors.contains(wanted, shown), vector["source"]
    assert found


@vectors.needed
def test_digest_vectors() -> None:
    """The header proves the password that it was made with, and no other."""
    found = [vector for vector in vectors.load("gat1400") if vector["kind"] == "rfc"]
    for vector in found:
        given, wanted = digest.parse(vector["raw"]), vector["expected"]
        assert given is not None
        assert digest.response(given, wanted["method"], wanted["password"]) == wanted["response"]
        assert digest.matches(given, wanted["method"], wanted["password"])
        assert not digest.matches(given, wanted["method"], wanted["password"] + "x")
        assert not digest.matches(given, "POST", wanted["password"])
    assert found


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Face", {"FaceAppearTime": "20200203153415"}),
        ("Person", {"PersonAppearTime": "2020-02-03 15:34:15"}),
        ("MotorVehicle", {"PassTime": 1580715255000, "PlateNo": "苏NF5676"}),
        ("NonMotorVehicle", {"PassTime": "1580715255000"}),
    ],
)
def test_uploads(kind: str, fields: dict[str, Any]) -> None:
    """A list of each kind: ids, device, time in each form, plate, pictures, position."""
    box = {"LeftTopX": "1", "LeftTopY": 2, "RightBtmX": 3.5, "RightBtmY": "4"}
    inner = {f"{kind}ID": 77, "DeviceID": "d1", "SubImageList": {"SubImageInfoObject": [PICTURE]}} | box | fields
    shown = about(**{f"{kind}ListObject": {f"{kind}Object": [inner, inner | {f"{kind}ID": "x"}]}})
    assert (shown["ok"], shown["kind"], shown["endpoint"]) == (True, kind, f"POST /VIID/{kind}s")
    assert (shown["ids"], shown["device"], shown["event_time"]) == (["77", "x"], "d1", "2020-02-03T15:34:15+08:00")
    assert shown.get("plate") == fields.get("PlateNo")
    one = shown["objects"][0]
    assert one["box"] == [1, 2, 3.5, 4]
    assert one["pictures"] == [
        {"id": "i1", "device": "d1", "kind": "11", "format": "Jpeg", "time": "2017-09-25T03:24:55+08:00", "width": 437}
        | {"path": "http://store/1.jpg"}
    ]


def test_the_time_of_a_picture_stands_in() -> None:
    """An object without a time of its own happened when its first picture was taken; a single object is a list of one."""
    shown = about(FaceListObject={"FaceObject": FACE})
    assert (shown["ids"], shown["event_time"]) == (["f1"], "2017-09-25T03:24:55+08:00")


@pytest.mark.parametrize("member", ["Image", "ImageObject"])
def test_images(member: str) -> None:
    """An image is its own picture, its description inside ImageInfo or beside its data; what was found on it is related."""
    info = {"ImageID": "i1", "DeviceID": "d1", "ShotTime": "20200203153415", "FileFormat": "Jpeg"}
    for one in ({"ImageInfo": info, "Data": "AAAA"}, info | {"Data": "AAAA"}):
        shown = about(ImageListObject={member: [one | {"FaceList": {"FaceObject": [FACE]}}]})
        assert (shown["ids"], shown["event_time"], shown["face"]) == (["i1"], "2020-02-03T15:34:15+08:00", "f1")
        assert shown["objects"][0]["pictures"][0]["data_characters"] == 4


def test_notifications() -> None:
    """The notification's own id and time; the objects inside it follow."""
    notification = {
        "NotificationID": "n1",
        "SubscribeID": "s1",
        "Title": "t",
        "TriggerTime": "20200203153415",
        "InfoIDs": "f1,v1",
    }
    inside = {
        "FaceObjectList": {"FaceObject": [FACE, {"no": "id"}]},
        "MotorVehicleObjectList": {"MotorVehicleObject": [{"MotorVehicleID": "v1", "PlateNo": "京A1"}]},
    }
    shown = about(SubscribeNotificationListObject={"SubscribeNotificationObject": [notification | inside]})
    assert (shown["kind"], shown["ids"], shown["info_ids"]) == ("SubscribeNotification", ["n1"], ["f1", "v1"])
    assert (shown["subscribe_id"], shown["face"], shown["vehicle"], shown["plate"]) == ("s1", "f1", "v1", "京A1")
    assert shown["event_time"] == "2020-02-03T15:34:15+08:00"
    assert [one["id"] for one in shown["objects"][0]["related"]] == ["f1", "v1"]


@pytest.mark.parametrize("kind", ["Register", "UnRegister", "Keepalive"])
def test_system_bodies(kind: str) -> None:
    """The device that registers or is alive."""
    shown = about(**{f"{kind}Object": {"DeviceID": "d1"}})
    assert (shown["ok"], shown["kind"], shown["device"], shown["ids"]) == (True, kind, "d1", [])
    assert shown["endpoint"] == f"POST /VIID/System/{kind}"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "bad-json"),
        (b"{", "bad-json"),
        (b"[" * 100_000, "bad-json"),
        (b'{"a": NaN}', "bad-json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "bad-json"),
        (b'{"a": "\\ud800"}', "bad-utf8"),
        (b'{"a": "\xff\xff"}', "bad-utf8"),
        (b"5", "bad-type"),
        (b"{}", "unknown-envelope"),
        (b'{"FaceList": {}}', "unknown-envelope"),
        (b'{"FaceListObject": 5}', "bad-type"),
        (b'{"FaceListObject": {}}', "missing-field"),
        (b'{"FaceListObject": {"FaceObject": [5]}}', "bad-type"),
        (b'{"FaceListObject": {"FaceObject": [{"DeviceID": "d1"}]}}', "missing-field"),
        (b'{"FaceListObject": {"FaceObject": [{"FaceID": ""}]}}', "missing-field"),
        (b'{"FaceListObject": {"FaceObject": [{"FaceID": true}]}}', "missing-field"),
    ],
)
def test_what_is_refused(body: bytes, reason: str) -> None:
    """Each with its own reason."""
    shown = describe(decode(body))
    assert (shown["ok"], shown["reason"]) == (False, reason)


def test_a_bad_object_spoils_no_other() -> None:
    """It stands in its place, and its status in the answer says so."""
    message = decode(json.dumps({"FaceListObject": {"FaceObject": [FACE, {}, FACE]}}).encode())
    assert isinstance(message, Message)
    assert [one.id for one in message.objects] == ["f1", "f1"]
    assert describe(message)["ids"] == ["f1", "f1"]
    answer = json.loads(response_status_list("/VIID/Faces", message.items, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)))
    statuses = answer["ResponseStatusListObject"]["ResponseStatusObject"]
    assert [one["StatusCode"] for one in statuses] == ["0", "8", "0"]
    assert (statuses[0]["Id"], statuses[0]["LocalTime"], statuses[0]["RequestURL"]) == (
        "f1",
        "20260101080000",
        "/VIID/Faces",
    )
    assert describe(decode(json.dumps(answer).encode()))["status_code"] == "0"


def test_bodies_in_gbk() -> None:
    """Some vendors do not send UTF-8."""
    body = json.dumps({"FaceListObject": {"FaceObject": [FACE | {"Title": "图片"}]}}, ensure_ascii=False).encode("gbk")
    assert not isinstance(decode(body), Fault)


@pytest.mark.parametrize(
    "value", [None, True, [], {}, "", "x", "2020-13-01 00:00:00", "99999999999999", 10**30, -1, 1.5]
)
def test_times_that_are_none(value: Any) -> None:
    """What is no time gives none."""
    assert moment(value) is None


def test_times() -> None:
    """14 and 17 digits, dashed, slashed, with a zone, epochs in seconds and milliseconds as number and text."""
    forms = ["20200203153415", 20200203153415, "20200203153415000", "2020-02-03 15:34:15", "2020/02/03 15:34:15"]
    forms += ["2020-02-03T15:34:15", "2020-02-03T15:34:15+08:00", 1580715255000, "1580715255000", 1580715255]
    assert {moment(form) for form in forms} == {"2020-02-03T15:34:15+08:00"}


@pytest.mark.parametrize("value", [None, True, "x", "", "nan", "1e999", float("inf"), [], "1" * 50])
def test_numbers_that_are_none(value: Any) -> None:
    """What is no finite number gives none."""
    assert number(value) is None


@pytest.mark.parametrize(
    "header", ["Digest", "Digest ", "Basic x", "Digest username=a", "Digest " + "a" * 9000, 'Digest a="']
)
def test_headers_that_are_refused(header: str) -> None:
    """Another scheme, missing parameters, too long."""
    assert decode_authorization(header)["ok"] is False


def test_headers() -> None:
    """Names in any case, blanks, escapes, no qop as in RFC 2069; nothing is proved without nc and cnonce where qop is there."""
    given = digest.parse('DIGEST Username = "a\\"b" ,realm="r, s",nonce=n,uri="/",response=X, stale')
    assert given == {"username": 'a"b', "realm": "r, s", "nonce": "n", "uri": "/", "response": "X"}
    proof = given | {"response": digest.response(given, "GET", "p").upper()}
    assert digest.matches(proof, "GET", "p")
    assert not digest.matches(given | {"qop": "auth"}, "GET", "p")
