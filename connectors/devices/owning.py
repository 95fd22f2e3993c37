"""Whether an event that a device sent whole is the device's own to tell."""

from collections.abc import Mapping
from typing import Any, Final

from connectors.devices.device import Device
from topics.identifiers import clean_uscc

NOT_YOURS: Final = "not-your-device"
_USCC: Final = "uscc:"


def not_its_own(device: Device, record: Mapping[str, Any]) -> str:
    """What in an event is not the device's: "subject uscc:…"; "" where all is. Channels may have subjects and ids of their own.

    >>> from connectors.devices.device import parse
    >>> device = parse("mqtt:a", b'{"subject": "site:1", "sector": "fire"}')
    >>> not_its_own(device, {"subject": "site:1", "sector": "fire", "device_id": "mqtt:a"})
    ''
    >>> not_its_own(device, {"subject": "site:2", "sector": "fire"})
    'subject site:2'
    """
    channels = device.channels.values()
    subject = str(record.get("subject", ""))
    if subject.startswith(_USCC):
        subject = _USCC + clean_uscc(subject[len(_USCC) :])
    if subject != device.subject and subject not in {channel.subject for channel in channels}:
        return f"subject {subject[:80]}"
    sector = record.get("sector")
    if sector != device.sector:
        return f"sector {str(sector)[:40]}"
    name = record.get("device_id")
    if name is not None and name != device.device_id and name not in {channel.device_id for channel in channels}:
        return f"device_id {str(name)[:80]}"
    return ""
