"""What the city's devices measure: the ordinary series of each metric, and how an incident of it looks.

The ordinary series is `base` (a little different from device to device) + a daily cycle + noise + rare short spikes (an
opened door, a passing lorry). Limits are those of the rule packs: ordinary life stays below them, incidents cross them.
"""

from dataclasses import dataclass
from typing import Final, Literal

Shape = Literal["wave", "binary", "driving", "coach", "sleeper"]
Mode = Literal["step", "ramp", "set", "climb"]


@dataclass(frozen=True, slots=True)
class Incident:
    """How trouble shows: `step` adds `size`, `ramp` adds `size` per hour, `set` puts the value at `size`, `climb`
    counts minutes up from `size`; `hours` and `start` (local hour, may pass 24) are drawn from these ranges;
    `origins` are the rules that should see it."""

    mode: Mode
    size: float
    hours: tuple[float, float]
    origins: tuple[str, ...]
    start: tuple[float, float] = (0.0, 23.0)
    story: str = "ordinary"
    nights: int = 1  # at most this many days in a row


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `step` minutes between readings, `peak` local hour of the top, `spread` between devices (sd)."""

    code: str
    sector: str
    unit: str
    step: float
    base: float
    spread: float
    noise: float
    incidents: tuple[Incident, ...]
    amplitude: float = 0.0
    peak: float = 14.0
    spike: float = 0.0
    spike_share: float = 0.0
    low: float = float("-inf")
    high: float = float("inf")
    shape: Shape = "wave"
    weight: float = 1.0
    history: float = 3.0  # hours of ordinary readings before an incident


METRICS: Final = (
    Metric(
        "cold_store_temp", "food-drug", "℃", 5, 3.2, 0.4, 0.25,
        (Incident("ramp", 1.0, (6, 9), ("food-cold-store-warming", "food-cold-store-warm"), story="cold-store-warms"),),
        amplitude=0.6, spike=4.0, spike_share=0.01, weight=3,
    ),
    Metric(
        "freezer_temp", "food-drug", "℃", 5, -20, 0.8, 0.4,
        (Incident("step", 12.5, (2, 4), ("food-freezer-warm",)),),
        amplitude=0.5, spike=4.0, spike_share=0.01,
    ),
    Metric(
        "drug_store_temp", "food-drug", "℃", 5, 5, 0.3, 0.2,
        (Incident("step", 5.0, (2, 4), ("drug-store-temperature",)),),
        amplitude=0.3, spike=3.0, spike_share=0.006,
    ),
    Metric(
        "elevator_level_error", "quality", "mm", 10, 6, 1.5, 2.0,
        (Incident("step", 23, (3, 5), ("quality-elevator-levelling",)),),
        spike=15, spike_share=0.005, low=0, weight=2,
    ),
    Metric(
        "elevator_fault", "quality", "次", 60, 0, 0, 0,
        (Incident("set", 1, (5, 9), ("quality-elevator-faults",)),),
        shape="binary", spike=1, spike_share=0.002, history=6,
    ),
    Metric(
        "cod", "ecology", "mg/L", 10, 28, 3, 2.5,
        (Incident("step", 45, (3, 6), ("ecology-cod-hour",)),),
        amplitude=4, peak=10, spike=40, spike_share=0.004, low=0,
    ),
    Metric(
        "ammonia", "ecology", "mg/L", 10, 2, 0.3, 0.2,
        (Incident("step", 6, (3, 6), ("ecology-ammonia-hour",)),),
        amplitude=0.4, peak=10, spike=5, spike_share=0.004, low=0,
    ),
    Metric(
        "so2", "ecology", "mg/m³", 10, 18, 2, 2,
        (Incident("step", 32, (3, 6), ("ecology-so2-hour",)),),
        amplitude=2, spike=40, spike_share=0.004, low=0,
    ),
    Metric(
        "furnace_temp_5min", "ecology", "℃", 5, 930, 10, 8,
        (Incident("set", 822, (1, 2), ("ecology-furnace-cold",)),),
        amplitude=8, spike=-90, spike_share=0.001,
    ),
    Metric(
        "fume", "ecology", "mg/m³", 10, 0.8, 0.12, 0.15,
        (Incident("step", 2.4, (2, 3), ("ecology-fume",)),),
        amplitude=0.25, peak=12, spike=2, spike_share=0.006, low=0,
    ),
    Metric(
        "gas_lel", "work-safety", "%LEL", 5, 1.5, 0.4, 0.6,
        (Incident("step", 36, (1, 1.5), ("safety-gas-leak",)),),
        spike=30, spike_share=0.003, low=0, weight=2,
    ),
    Metric("oxygen", "work-safety", "%VOL", 5, 20.8, 0.05, 0.07, (Incident("step", -2.2, (1, 2), ("safety-oxygen",)),)),
    Metric(
        "h2s", "work-safety", "mg/m³", 5, 0.8, 0.2, 0.3,
        (Incident("step", 15, (1, 1.5), ("safety-toxic-gas",)),),
        spike=12, spike_share=0.003, low=0,
    ),
    Metric(
        "driving_minutes", "security-traffic", "min", 10, 190, 15, 0,
        (Incident("climb", 170, (2.5, 3.5), ("traffic-fatigue-driving",), start=(9, 15)),), shape="driving", weight=3,
    ),
    Metric(
        "coach_speed", "security-traffic", "km/h", 5, 76, 3, 4,
        (Incident("set", 93, (1, 2), ("traffic-night-speed",), start=(22.5, 26)),), shape="coach", low=0,
    ),
    Metric(
        "sleeper_coach_speed", "security-traffic", "km/h", 5, 72, 2, 4,
        (Incident("set", 68, (1.2, 1.8), ("traffic-sleeper-coach",), start=(2.3, 3.0)),), shape="sleeper", low=0,
    ),
    Metric(
        "site_noise", "construction", "dB(A)", 10, 53, 1.2, 1.8,
        (
            Incident(
                "set", 67, (3, 4.5), ("construction-noise-night",), start=(22.5, 24.5), story="site-at-night", nights=3
            ),
        ),
        amplitude=8.5, peak=13, spike=10, spike_share=0.01, weight=2,
    ),
    Metric(
        "dust", "construction", "mg/m³", 15, 0.25, 0.04, 0.06,
        (Incident("step", 1.7, (2.5, 4), ("construction-dust",)),),
        amplitude=0.1, spike=1.0, spike_share=0.01, low=0,
    ),
    Metric(
        "crane_moment", "construction", "%", 5, 40, 3, 7,
        (Incident("step", 68, (1, 1.5), ("construction-crane-overload",), start=(8, 16)),),
        amplitude=15, spike=40, spike_share=0.003, low=0,
    ),
    Metric(
        "vaccine_temp", "health", "℃", 5, 5, 0.3, 0.2,
        (Incident("step", 5, (2, 4), ("health-vaccine-fridge",)),),
        amplitude=0.3, spike=2.5, spike_share=0.006, weight=2,
    ),
    Metric(
        "residual_chlorine", "health", "mg/L", 10, 5, 0.3, 0.3,
        (Incident("step", -3.2, (3, 5), ("health-chlorine-low",)),),
        amplitude=0.3, spike=-2.5, spike_share=0.003, low=0,
    ),
    Metric(
        "visitors_load", "culture-tourism", "%", 10, 26, 5, 2.5,
        (Incident("step", 62, (2, 4), ("tourism-overcrowding",), start=(10, 13)),),
        amplitude=20, peak=13, low=0, weight=2,
    ),
    Metric(
        "power_kw", "key-enterprise", "kW", 60, 800, 100, 30,
        (Incident("set", 70, (36, 46), ("enterprise-power-drop",)),), amplitude=120, low=0, history=110,
    ),
    Metric(
        "residual_current", "fire", "mA", 15, 125, 12, 6,
        (
            Incident("ramp", 7.0, (26, 32), ("fire-current-creeping", "fire-residual-current"), story="current-creeps"),
            Incident("step", 265, (2, 4), ("fire-residual-current", "fire-current-creeping")),
        ),
        amplitude=10, spike=250, spike_share=0.004, low=0, weight=3, history=8,
    ),
    Metric(
        "water_pressure", "fire", "MPa", 10, 0.32, 0.02, 0.006,
        (Incident("step", -0.26, (2, 5), ("fire-water-pressure",)),),
        spike=-0.15, spike_share=0.003, low=0,
    ),
    Metric(
        "cable_temp", "fire", "℃", 10, 38, 3, 1,
        (Incident("step", 42, (2, 4), ("fire-cable-hot",)),),
        amplitude=4, spike=25, spike_share=0.002,
    ),
    Metric(
        "hot_holding_temp", "school-canteen", "℃", 5, 68, 1, 0.8,
        (Incident("step", -15, (3, 4), ("school-hot-holding",)),), spike=-5, spike_share=0.01, weight=2,
    ),
)  # fmt: skip
