"""`fengsui devices`: the device register. What a device says before it is registered is parked, and replayed afterwards."""

import csv
import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from fengsui.cli.common import Failed, Wrong, connected, say, say_json
from fengsui.cli.rules_live import standing
from fengsui.cli.times import day

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]
_NUMBERS: Final = ("interval_minutes", "episode_seconds")
_SEPARATOR: Final = ";"

app = App(
    name="devices", help="设备登记：传感器、摄像机、传输装置 The device register: add, import, remove, list, show."
)


@app.command
def add(
    key: str,
    *,
    subject: str,
    sector: str,
    region: str = "",
    subject_name: str = "",
    name: str = "",
    device_id: str = "",
    location: str = "",
    channel: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    label: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    source: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    via: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    interval_minutes: int | None = None,
    episode_seconds: int | None = None,
    clock: Literal["device", "gateway"] | None = None,
    password: Annotated[str, Parameter(env_var="FENGSUI_DEVICE_PASSWORD")] = "",
    until: str = "",
    json: Json = False,
) -> None:
    """登记设备: put a device into the register, or replace its entry; what it had parked is replayed.

    Args:
        key: protocol:id, like hj212:MN, gb26875:ADDRESS (hexadecimal), gat1400:DEVICEID, mqtt:NAME, http:NAME.
        subject: The supervised subject, scheme:id, like uscc:91350100M000100Y43.
        sector: Code of the key sector.
        region: GB/T 2260, six digits.
        subject_name: Name of the subject.
        name: Name of the device, for people.
        device_id: How events call it; default: the key.
        location: Longitude,latitude in degrees.
        channel: CODE=METRIC[,UNIT[,SCALE[,OFFSET]]], may be repeated: what a channel measures; value = raw * scale + offset.
        label: NAME=LABEL, may be repeated: what a camera calls a finding, and what we call it.
        source: An address or network that it may send from, may be repeated; default: any.
        via: Key of a platform that may speak for it (GA/T 1400 cascades), may be repeated.
        interval_minutes: Minutes that one of its minute data stands for (HJ 212), 1 to 1440; default: 10.
        episode_seconds: Findings of one label so close together are one event (cameras), 0 to 86400; default: 60.
        clock: Whose time counts, the device's or the gateway's; default: device.
        password: Its password. In the environment nobody else sees it; the register keeps a hash.
        until: The day on which the entry ends, like 2026-12-31; default: never.
    """
    body: dict[str, Any] = {
        "subject": subject,
        "sector": sector,
        "region": region,
        "subject_name": subject_name,
        "name": name,
        "device_id": device_id,
        "location": [float(part) for part in location.split(",")] if location else None,
        "channels": dict(_channel(one) for one in channel),
        "labels": dict(_pair(one) for one in label),
        "sources": list(source),
        "via": list(via),
        "interval_minutes": interval_minutes,
        "episode_seconds": episode_seconds,
        "clock": clock,
        "password": password or None,
    }
    given = {field: value for field, value in body.items() if value not in ("", None, {}, [])}
    _put({key: (given, day(until))})
    if json:
        say_json({"device": key, "registered": 1})
    else:
        say(f"{key}: 已登记 registered")


@app.command(name="import")
def import_(file: Path, *, json: Json = False) -> None:
    """批量登记: register devices of a table (CSV with a header, or JSON lines); nothing is written unless every row is right.

    Args:
        file: Columns as the options of `devices add`, and `key`; in a CSV cell several values stand with ;.
    """
    entries: dict[str, tuple[dict[str, Any], int | None]] = {}
    for number, row in enumerate(_rows(file), 1):
        try:
            key, entry = _entry(row)
        except (KeyError, ValueError, TypeError) as error:
            raise Wrong(f"{file.name}, row {number}: {error}") from error
        entries[key] = entry
    _put(entries)
    if json:
        say_json({"registered": len(entries)})
    else:
        say(f"已登记 {len(entries)} 台设备 registered")


@app.command
def remove(*keys: str, json: Json = False) -> None:
    """注销设备: take devices off the register; what they send from now on is parked."""
    if not keys:
        raise Wrong("name at least one device")
    _put(dict.fromkeys(keys))
    if json:
        say_json({"removed": len(keys)})
    else:
        say(f"已注销 {len(keys)} 台设备 removed")


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """设备清单: registered devices, whose they are."""
    found = _registered()
    if json:
        say_json({"devices": found})
        return
    for key, about in sorted(found.items()):
        say(f"{key}  {about['subject']}  {about['sector']}  {about.get('name') or ''}".rstrip())
    say(f"{len(found)} 台设备 devices")


@app.command
def show(key: str) -> None:
    """查看设备: one entry, without its secrets."""
    found = _registered()
    if key not in found:
        raise Wrong(f"{key[:80]} is not registered")
    say_json({"device": key, **found[key]})


def _registered() -> dict[str, dict[str, Any]]:
    from connectors.devices.device import DeviceError, parse

    found = {}
    for key, record in standing(connected(), "devices").items():
        try:
            found[key] = parse(key, record["body"]).public() | {"expires_at": record["expires_at"]}
        except DeviceError as error:
            found[key] = {"subject": "", "sector": "", "error": str(error), "expires_at": record["expires_at"]}
    return found


def _put(entries: Mapping[str, tuple[dict[str, Any], int | None] | None]) -> None:
    from connectors.devices.device import DeviceError
    from fengsui.publishing import put_devices

    try:
        put_devices(connected(), entries)
    except DeviceError as error:
        raise Wrong(str(error)) from error
    except RuntimeError as error:
        raise Failed(str(error)) from error


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise Wrong(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Wrong(f"{file} is not UTF-8") from error
    if file.suffix.lower() == ".csv":
        return [{k: v for k, v in row.items() if k and v} for row in csv.DictReader(text.splitlines())]
    try:
        return [json_format.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise Wrong(f"{file.name} is neither CSV nor JSON lines: {error}") from error


def _entry(row: dict[str, Any]) -> tuple[str, tuple[dict[str, Any], int | None]]:
    body = dict(row)
    key, ends = str(body.pop("key")), day(str(body.pop("until", "") or ""))
    for name, read in (("channels", _channel), ("labels", _pair)):
        if isinstance(body.get(name), str):
            body[name] = dict(read(one) for one in body[name].split(_SEPARATOR))
    for name in ("sources", "via"):
        if isinstance(body.get(name), str):
            body[name] = body[name].split(_SEPARATOR)
    if isinstance(body.get("location"), str):
        body["location"] = [float(part) for part in body["location"].split(",")]
    return key, (body | {name: int(body[name]) for name in _NUMBERS if name in body}, ends)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise Wrong(f"{text[:80]!r} is not NAME=VALUE")
    return name.strip(), value.strip()


def _channel(text: str) -> tuple[str, dict[str, Any]]:
    code, value = _pair(text)
    metric, unit, scale, offset = (*value.split(","), "", "", "")[:4]
    try:
        about = {"metric": metric, "unit": unit, "scale": float(scale or 1), "offset": float(offset or 0)}
    except ValueError as error:
        raise Wrong(f"{text[:80]!r}: scale and offset are numbers") from error
    return code, {name: one for name, one in about.items() if one != ""}
