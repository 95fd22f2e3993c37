"""The city's devices as the register has them: which protocol each speaks, and how its numbers become the city's again.

Ecology and construction speak HJ 212, fire protection GB/T 26875.3, other sensors MQTT, cameras GA/T 1400 through one platform.
"""

from collections.abc import Mapping
from typing import Any, Final

from connectors.city import City
from connectors.devices.labels import NAMES
from connectors.simulate import gb26875 as fire

Entry = tuple[str, dict[str, Any]]
PLATFORM: Final = "32010000002000000001"
PLATFORM_PASSWORD: Final = "city-platform"  # noqa: S105 - of nobody: it lives as long as the demo
PLATFORM_KEY: Final = f"gat1400:{PLATFORM}"
# Sector -> protocol; the others speak MQTT.
PROTOCOLS: Final = {"ecology": "hj212", "construction": "hj212", "fire": "gb26875"}
CODES: Final = {
    "cod": "w01018", "ammonia": "w21003", "so2": "a21026", "fume": "a34041", "dust": "a34001", "site_noise": "LA",
}  # fmt: skip
OTHER_CODE: Final = "i00001"  # a factor that no table knows: the register says what it is
# Metric -> analogue type, raw units a unit, and what the register must multiply with.
ANALOGUE: Final = {
    "cable_temp": (3, 10.0, 1.0),
    "water_pressure": (5, 10_000.0, 1.0),  # MPa, as tenths of a kPa
    "residual_current": (9, 1.0, 0.01),  # mA, as its sender writes it where the standard has tenths of an ampere
}
PART: Final = {"system_type": 1, "system_addr": 1, "part_type": 40, "part_addr_hex": "01000000"}
PART_NAME: Final = "1-1-40-01000000"
_OWN_TITLES: Final = {"camera_blurred": "画面起雾"}
_ENVELOPE: Final = ("subject", "sector", "subject_name", "region", "chain", "device_id")


def protocol_of(sector: str, metric: str) -> str:
    """How a sensor speaks.

    >>> protocol_of("fire", "cable_temp"), protocol_of("food-drug", "cold_store_temp")
    ('gb26875', 'mqtt')
    """
    if metric == "claim_fee":  # no sensor: the insurance's own system
        return "http"
    return PROTOCOLS.get(sector, "mqtt")


def title_of(label: str) -> str:
    """What an analysis calls what we label so.

    >>> title_of("rat"), title_of("no_mask")
    ('老鼠', '未戴口罩')
    """
    return _OWN_TITLES.get(label) or next(
        (name for name, one in NAMES.items() if one == label and not name.isascii()), label
    )


def register(city: City) -> dict[str, dict[str, Any]]:
    """Register key -> entry, of every device of the city and of the cameras' platform."""
    sensors = dict(_sensor(row, number) for number, row in enumerate(city.devices.to_dicts()))
    cameras = dict(_camera(row) for row in city.cameras.to_dicts())
    platform = {"subject": "site:city-video-platform", "sector": "market", "password": PLATFORM_PASSWORD}
    return sensors | cameras | {PLATFORM_KEY: platform}


def _sensor(row: Mapping[str, Any], number: int) -> Entry:
    body = {name: row[name] for name in _ENVELOPE if row[name]}
    metric, unit = row["metric"], row["unit"]
    protocol = protocol_of(row["sector"], metric)
    if protocol == "hj212":
        channels: dict[str, Any] = {CODES.get(metric, OTHER_CODE): {"metric": metric, "unit": unit}}
        return f"hj212:{row['device_id']}", body | {"channels": channels}
    if protocol == "gb26875":
        channel = {"metric": metric, "unit": unit, "scale": ANALOGUE[metric][2], "device_id": row["device_id"]}
        return f"gb26875:{fire.address(number).hex()}", body | {"channels": {PART_NAME: channel}}
    return f"mqtt:{row['device_id']}", body


def _camera(row: Mapping[str, Any]) -> Entry:
    """It speaks through the platform, and its own analyses have names of their own."""
    body = {name: row[name] for name in _ENVELOPE if row[name]}
    labels = {title: label for label, title in _OWN_TITLES.items()}
    return f"gat1400:{row['device_id']}", body | {"via": [PLATFORM_KEY], "labels": labels}
