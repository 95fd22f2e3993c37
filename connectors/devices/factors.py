"""What the codes of HJ 212 and GB/T 26875.3 measure: standard metric names and units. A device's own channels win over these.

HJ 212: codes of the editions 2017 (HJ 524, HJ 525) and 2005. What is not listed keeps its code: `hj212_a21018`.

>>> factor("w01018"), factor("011"), factor("x9")
(('cod', 'mg/L'), ('cod', 'mg/L'), ('hj212_x9', None))
"""

from typing import Final

Factor = tuple[str, str | None]

# Code of 2017, code of 2005 (or none), metric, unit.
_HJ212: Final = (
    ("w01018", "011", "cod", "mg/L"),
    ("w21003", "060", "ammonia", "mg/L"),
    ("w21011", "101", "total_phosphorus", "mg/L"),
    ("w21001", "065", "total_nitrogen", "mg/L"),
    ("w01001", "001", "ph", None),
    ("w00000", "B01", "sewage_flow", "L/s"),
    ("w01010", "", "water_temperature", "℃"),
    ("w01009", "", "dissolved_oxygen", "mg/L"),
    ("w01014", "", "conductivity", "μS/cm"),
    ("w01003", "", "turbidity", "NTU"),
    ("a21026", "02", "so2", "mg/m³"),
    ("a21002", "03", "nox", "mg/m³"),
    ("a34013", "01", "particulate", "mg/m³"),
    ("a24088", "", "nmhc", "mg/m³"),
    ("a21005", "04", "carbon_monoxide_flue", "mg/m³"),
    ("a19001", "S01", "flue_oxygen", "%"),
    ("a00000", "B02", "flue_flow", "m³/s"),
    ("a01011", "S02", "flue_speed", "m/s"),
    ("a01012", "S03", "flue_temperature", "℃"),
    ("a01013", "S08", "flue_pressure", "kPa"),
    ("a01014", "S05", "flue_humidity", "%"),
    ("a34001", "", "dust", "mg/m³"),
    ("a34002", "", "pm10", "μg/m³"),
    ("a34004", "", "pm2_5", "μg/m³"),
    ("a01001", "", "air_temperature", "℃"),
    ("a01002", "", "air_humidity", "%"),
    ("a01006", "", "air_pressure", "kPa"),
    ("a01007", "", "wind_speed", "m/s"),
    ("a01008", "", "wind_direction", "°"),
    ("a34041", "", "fume", "mg/m³"),
    ("LA", "B03", "site_noise", "dB(A)"),
)
_FACTORS: Final[dict[str, Factor]] = {
    code: (metric, unit) for new, old, metric, unit in _HJ212 for code in (new, old) if code
}
# What a CN says: which field of a factor is the value, what stands after the metric's name, and how long an interval is (ms; 0:
# of the moment; -1: the device's own interval). DataTime is where an interval begins: it is known when the interval is over.
DAY: Final = 86_400_000
KINDS: Final[dict[str, tuple[str, str, int]]] = {
    "2011": ("Rtd", "", 0),
    "2051": ("Avg", "_minute", -1),
    "2061": ("Avg", "_hour", DAY // 24),
    "2031": ("Avg", "_day", DAY),
}
# Equipment states (2021), running times (2041): fields of an equipment, metric's name before its number, unit.
EQUIPMENT: Final = {"RS": ("equipment_state", None), "RT": ("equipment_hours", "h")}

# GB/T 26875.3, type 3: analogue type -> metric (unit and scale are the decoder's).
ANALOGUE: Final[dict[int, str]] = {
    1: "event_count",
    2: "water_level",
    3: "cable_temp",
    4: "water_pressure",
    5: "water_pressure",
    6: "gas_lel",
    7: "elapsed_time",
    8: "voltage",
    9: "residual_current",
    10: "water_flow",
    11: "air_flow",
    12: "wind_speed",
}
AMPERE_METRICS: Final = {"residual_current": ("mA", 1000.0)}  # rules and GB 14287 speak of mA, the protocol of A
# Type 2, part state: bit -> metric, 1 while it is set.
PART_STATES: Final[dict[int, str]] = {
    1: "fire_alarm",
    2: "fire_part_fault",
    3: "fire_part_shielded",
    4: "fire_supervision",
    5: "fire_started",
    6: "fire_feedback",
    7: "fire_delay",
    8: "fire_power_fault",
}
# Type 1, state of a fire-fighting system.
SYSTEM_STATES: Final[dict[int, str]] = {
    1: "fire_alarm",
    2: "fire_system_fault",
    3: "fire_system_shielded",
    4: "fire_supervision",
    5: "fire_started",
    6: "fire_feedback",
    7: "fire_delay",
    8: "fire_power_fault",
    9: "fire_backup_power_fault",
    10: "fire_bus_fault",
    11: "fire_manual",
    12: "fire_configuration_changed",
    13: "fire_reset",
}
# Type 21, state of the transmission device (用户信息传输装置).
DEVICE_STATES: Final[dict[int, str]] = {
    0: "transmitter_normal",
    1: "fire_alarm",
    2: "transmitter_fault",
    3: "transmitter_power_fault",
    4: "transmitter_backup_power_fault",
    5: "transmitter_line_fault",
    6: "transmitter_monitor_line_fault",
}
OPERATIONS: Final[dict[int, str]] = {
    0: "fire_reset",
    1: "fire_muted",
    2: "fire_manual_alarm",
    3: "fire_alarm_cleared",
    4: "fire_self_test",
    5: "fire_watch_answered",
    6: "fire_tested",
}


def factor(code: str) -> Factor:
    """Metric and unit of a factor of HJ 212."""
    return _FACTORS.get(code) or (f"hj212_{code}", None)
