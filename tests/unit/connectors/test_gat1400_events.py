"""GA/T 1400 objects as camera events: labels, times, identity, confidence, pictures."""

from typing import Any

import msgspec

from connectors.devices.device import Device, parse
from connectors.devices.gat1400 import Finding, Shown, Upload, device_of, events, findings_of, is_standard
from connectors.devices.rows import COLUMNS, Rows
from connectors.protocols.gat1400 import Message, decode, decode_value
from tests.unit.connectors.protocols import vectors

CAMERA = "33020300001190000001"
DEVICE = parse(f"gat1400:{CAMERA}", b'{"subject": "licence:7", "sector": "food-drug", "region": "330106"}')
ARRIVED = 1_580_715_999_000
SHOT = 1_580_715_255_000  # 2020-02-03 15:34:15 in China


def objects(**body: Any) -> list[Any]:
    message = decode_value(body)
    assert isinstance(message, Message)
    return message.items


def made(one: Any, device: Device = DEVICE, *shown: Shown) -> list[dict[str, Any]]:
    rows = Rows()
    found = [Finding(finding.object, finding.title, shown) for finding in findings_of(one)]
    events(device, Upload(found), ARRIVED, rows)
    return [dict(zip(COLUMNS["video"], row, strict=True)) for row in rows.rows["video"]]


def image(**more: Any) -> Any:
    info = {"ImageID": "i1", "DeviceID": CAMERA, "ShotTime": "20200203153415", "EventSort": 4} | more
    return objects(ImageListObject={"Image": [{"ImageInfo": info, "Data": "AAAA"}]})[0]


def test_an_event() -> None:
    """The register's subject, the finding's label, the object's time, its picture and hash."""
    (event,) = made(
        image(Title="未戴厨师帽", Confidence="87"), DEVICE, Shown("sha256:ab.jpg", "ab"), Shown("http://x/1.jpg")
    )
    wanted = {
        "event_id": f"gat1400:{CAMERA}/Image/i1/2020-02-03T15:34:15+08:00", "kind": "video", "sector": "food-drug",
        "subject": "licence:7", "region": "330106", "occurred_at": SHOT, "observed_at": SHOT, "source": "gat1400",
        "device_id": f"gat1400:{CAMERA}", "label": "no_hat", "confidence": 0.87, "picture": "sha256:ab.jpg http://x/1.jpg",
        "sha256": "ab",
    }  # fmt: skip
    assert wanted.items() <= event.items()


def test_observed_is_the_latest_of_its_times() -> None:
    """What the device knew last; the gateway's clock counts where the register says so, the identity stays."""
    one = image(EntryTime="20200203153420")
    (event,) = made(one)
    assert (event["occurred_at"], event["observed_at"]) == (SHOT, SHOT + 5000)
    (ours,) = made(one, msgspec.structs.replace(DEVICE, clock="gateway"))
    assert (ours["occurred_at"], ours["observed_at"], ours["event_id"]) == (ARRIVED, ARRIVED, event["event_id"])


def test_without_a_time() -> None:
    """An object without any time happened when it arrived."""
    (event,) = made(image(ShotTime=""))
    assert (event["occurred_at"], event["observed_at"]) == (ARRIVED, ARRIVED)


def test_labels() -> None:
    """By the device's own names, else the common ones, else by kind."""
    own = msgspec.structs.replace(DEVICE, labels={"604": "no_mask"})
    assert made(image(EventSort=604), own)[0]["label"] == "no_mask"
    assert made(image(ContentDescription="发现老鼠"))[0]["label"] == "rat"
    assert made(image())[0]["label"] == "image"
    for kind, label in (
        ("Face", "face"),
        ("Person", "person"),
        ("MotorVehicle", "vehicle"),
        ("NonMotorVehicle", "vehicle"),
    ):
        (one,) = objects(**{f"{kind}ListObject": {f"{kind}Object": [{f"{kind}ID": "1"}]}})
        assert made(one)[0]["label"] == label


def test_an_events_sort_of_a_picture() -> None:
    """Persons and faces have it on their pictures."""
    picture = {"ImageID": "p", "EventSort": "607", "Confidence": 0.5}
    (one,) = objects(
        PersonListObject={"PersonObject": [{"PersonID": "1", "SubImageList": {"SubImageInfoObject": [picture]}}]}
    )
    (event,) = made(one, msgspec.structs.replace(DEVICE, labels={"607": "smoking"}))
    assert (event["label"], event["confidence"]) == ("smoking", 0.5)


def test_notifications() -> None:
    """The objects inside, under the notification's title; itself where there are none."""
    inside = {"FaceObjectList": {"FaceObject": [{"FaceID": "f1", "DeviceID": CAMERA}, {"FaceID": "f2"}]}}
    notice = {"NotificationID": "n1", "Title": "人员闯入", "TriggerTime": "2020-02-03 15:34:15"}
    (one,) = objects(SubscribeNotificationListObject={"SubscribeNotificationObject": [notice | inside]})
    assert [(e["label"], e["event_id"].split("/")[1:3]) for e in made(one)] == [
        ("intrusion", ["Face", "f1"]),
        ("intrusion", ["Face", "f2"]),
    ]
    assert device_of(one) == CAMERA
    (bare,) = objects(SubscribeNotificationListObject={"SubscribeNotificationObject": [notice | {"Title": "布控"}]})
    (event,) = made(bare)
    assert (event["label"], event["occurred_at"]) == ("notification", SHOT)


def test_confidences() -> None:
    """0 to 1 or per cent; what is neither is none."""
    found = [made(image(Confidence=value))[0]["confidence"] for value in (0.5, "1", 70, 100, 101, -1, "x", None, True)]
    assert found == [0.5, 1.0, 0.7, 1.0, None, None, None, None, None]


def test_long_ids_are_hashed() -> None:
    """An identity stays short, and one object's."""
    first, again, other = (made(image(ImageID=text))[0]["event_id"] for text in ("i" * 5000, "i" * 5000, "i" * 5001))
    assert first == again != other
    assert len(first) < 200


def test_placeholders_are_no_device() -> None:
    """A DeviceID of 0 names nobody; the pictures' may."""
    (one,) = objects(ImageListObject={"Image": [{"ImageID": "1", "DeviceID": "0"}]})
    assert device_of(one) == "0"
    assert not is_standard("0")
    assert is_standard(CAMERA)


@vectors.needed
def test_known_uploads_become_events() -> None:
    """Of each known upload: one event, of the device and time that are expected, with the pictures that it names."""
    found = 0
    for vector in vectors.load("gat1400"):
        message = decode(vector["data"])
        if not isinstance(message, Message) or message.kind in ("Register", "UnRegister", "Keepalive"):
            continue
        wanted = vectors.expected(vector)
        for one in message.objects:
            made_of_it = made(one)
            assert made_of_it
            assert all(event["label"] and event["occurred_at"] for event in made_of_it)
            found += 1
        assert "device" not in wanted or device_of(message.objects[0])
    assert found
