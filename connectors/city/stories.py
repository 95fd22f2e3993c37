"""The planted stories that show in records: each function plants `count` instances and says what it planted.

Every instance has its own subjects. Sizes are drawn around what the rules ask for, so a few instances are faint on purpose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from connectors.city import reports
from connectors.city.calendar import DAY, DAYS, HOUR, MINUTE
from connectors.city.picks import Picks
from connectors.city.register import Register
from connectors.city.reports import Scene
from connectors.city.truth import Planted

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Told:
    """Frames of events by kind, and what they show."""

    frames: tuple[tuple[str, pl.DataFrame], ...]
    truth: tuple[Planted, ...]


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, np.int64)


def _day(scene: Scene, first: int, last: int, hours: tuple[float, float]) -> int:
    """A moment between `last` and `first` days ago, in those local hours."""
    return scene.calendar.at(int(scene.rng.integers(last, first + 1)), float(scene.rng.uniform(*hours)))


def _planted(
    scene: Scene, story: str, sector: str, keys: set[str], origins: set[str], span: tuple[int, int], tail: int
) -> Planted:
    end = min(span[1] + tail, scene.calendar.now)
    return Planted(story, sector, frozenset(keys), frozenset(origins), span[0], end)


def complaints_then_failed(scene: Scene, picks: Picks, count: int) -> Told:
    """Guests complain for some days; then the inspection fails, with a critical violation."""
    who: list[int] = []
    at: list[int] = []
    failed: list[tuple[int, int]] = []
    truth: list[Planted] = []
    for i in range(count):
        sector = "school-canteen" if i % 3 == 2 else "food-drug"
        row = picks.take(sector)
        visit = _day(scene, 5, 2, (9, 17))
        moments = [visit - round(float(scene.rng.uniform(8, 120)) * HOUR) for _ in range(int(scene.rng.integers(3, 7)))]
        who += [row] * len(moments)
        at += moments
        failed.append((row, visit))
        origins = {"food-complaints-then-failed", "school-complaints-then-failed"}
        span = (min(moments), visit)
        truth.append(_planted(scene, "complaints-then-failed", sector, {picks.subject(row)}, origins, span, DAYS * DAY))
    category = scene.rng.choice(["hygiene", "foreign-matter", "canteen"], len(who)).tolist()
    kinds = scene.rng.choice(["complaint", "report"], len(who), p=[0.7, 0.3]).tolist()
    rows, visits = _ints([r for r, _ in failed]), _ints([v for _, v in failed])
    inspected = reports.inspections(
        scene, rows, visits, ["fail"] * count, np.ones(count, np.int64), ["special"] * count
    )
    told = reports.complaints(scene, _ints(who), _ints(at), category, kinds)
    return Told((("complaint", told), ("inspection", inspected)), tuple(truth))


def reincarnate(register: Register, pairs: Sequence[tuple[int, int]]) -> Register:
    """The register with the second subject of each pair run by the person, and at the address, of the first."""
    person, address = register.subjects["person"].to_list(), register.subjects["address"].to_list()
    for number, (old, new) in enumerate(pairs):
        # Persons of their own: nobody else's penalties shall count for them.
        person[old] = person[new] = f"person:R{number:07d}"
        address[new] = address[old]
    columns = [pl.Series("person", person), pl.Series("address", address)]
    return Register(register.subjects.with_columns(columns), register.regions, register.of_sector)


def repeat_offenders(scene: Scene, picks: Picks, pairs: Sequence[tuple[int, int]]) -> Told:
    """A licence is revoked; its holder goes on under a new one and is found out there: a failed inspection, then often a fine."""
    truth: list[Planted] = []
    punished: list[tuple[int, int, str]] = []
    failed: list[tuple[int, int]] = []
    for old, new in pairs:
        revoked = _day(scene, 12, 8, (9, 18))
        visit = revoked + round(float(scene.rng.uniform(2, 5)) * DAY)
        punished.append((old, revoked, str(scene.rng.choice(["05", "02,05", "04"]))))
        failed.append((new, visit))
        if scene.rng.random() < 0.6:
            punished.append((new, visit + round(float(scene.rng.uniform(0.5, 1.5)) * DAY), "02"))
        person = str(scene.register.subjects["person"][old])
        keys = {person, person.partition(":")[2], picks.subject(old), picks.subject(new)}
        truth.append(
            _planted(scene, "repeat-offender", "market", keys, {"market-revoked-returns"}, (revoked, visit), DAYS * DAY)
        )
    acts = reports.penalties(
        scene, _ints([p[0] for p in punished]), _ints([p[1] for p in punished]), [p[2] for p in punished]
    )
    count = len(failed)
    visits = reports.inspections(
        scene, _ints([f[0] for f in failed]), _ints([f[1] for f in failed]),
        ["fail"] * count, np.ones(count, np.int64), ["daily"] * count,
    )  # fmt: skip
    return Told((("penalty", acts), ("inspection", visits)), tuple(truth))


@dataclass(frozen=True, slots=True)
class Sightings:
    """A camera story: what is seen, how often a time, on how many days in a row, within which local hours."""

    story: str
    label: str
    origins: frozenset[str]
    sectors: tuple[str, ...]
    times: tuple[int, int]
    days: int
    start: tuple[float, float]
    minutes: float  # the sightings of one day lie within so many minutes


CAMERA_STORIES: Final = (
    Sightings(
        "rats-at-night", "rat", frozenset({"food-rats-at-night", "school-rats-at-night"}),
        ("food-drug", "food-drug", "school-canteen"), (3, 7), 3, (23, 27), 90,
    ),
    Sightings("ordinary", "exit_blocked", frozenset({"fire-exit-blocked"}), ("fire",), (4, 8), 1, (9, 18), 70),
    Sightings("ordinary", "no_mask", frozenset({"school-no-mask"}), ("school-canteen",), (7, 12), 1, (10, 11.5), 45),
    Sightings("ordinary", "minor", frozenset({"culture-minors"}), ("culture-tourism",), (3, 6), 1, (18, 22), 50),
)  # fmt: skip


def seen_by_cameras(scene: Scene, picks: Picks, plan: Sightings, count: int, first_camera: int) -> Told:
    """Instances of one camera story; cameras are numbered from `first_camera`."""
    who: list[int] = []
    at: list[int] = []
    camera: list[str] = []
    truth: list[Planted] = []
    for i in range(count):
        sector = plan.sectors[i % len(plan.sectors)]
        row, name = picks.take(sector), f"CAM-{first_camera + i:06d}"
        nights = int(scene.rng.integers(1, plan.days + 1))
        day = int(scene.rng.integers(nights + 1, DAYS - 1))
        moments: list[int] = []
        for night in range(nights):
            begin = scene.calendar.at(day - night, float(scene.rng.uniform(*plan.start)))
            seen = int(scene.rng.integers(plan.times[0], plan.times[1] + 1))
            moments += (begin + np.sort(scene.rng.uniform(0, plan.minutes * MINUTE, seen))).astype(np.int64).tolist()
        who += [row] * len(moments)
        at += moments
        camera += [name] * len(moments)
        keys, span = {picks.subject(row), name}, (moments[0], moments[-1])
        truth.append(_planted(scene, plan.story, sector, keys, set(plan.origins), span, 12 * HOUR))
    confidence = scene.rng.uniform(0.68, 0.98, len(who))
    frame = reports.sightings(scene, _ints(who), _ints(at), camera, [plan.label] * len(who), confidence)
    return Told((("video", frame),), tuple(truth))


CLUSTERS: Final = (
    ("food-drug", "food-poisoning", "food-poisoning-cluster"),
    ("ecology", "odour", "ecology-odour-cluster"),
    ("market", "prepaid-card", "market-prepaid-cluster"),
    ("culture-tourism", "forced-shopping", "tourism-forced-shopping-cluster"),
)


def regional_clusters(scene: Scene, picks: Picks, count: int) -> Told:
    """Within hours many people of one county complain about the same thing, at several subjects."""
    subjects = scene.register.subjects
    region_of, counties = subjects["region"].to_numpy(), scene.register.regions["region"].to_list()
    who: list[int] = []
    at: list[int] = []
    category: list[str] = []
    truth: list[Planted] = []
    for i in range(count):
        sector, about, origin = CLUSTERS[i % len(CLUSTERS)]
        county = counties[(i // len(CLUSTERS) * 7 + 3 * (i % len(CLUSTERS))) % len(counties)]
        pool = scene.register.of_sector[sector]
        pool = pool[region_of[pool] == county]
        near = scene.rng.permutation(pool)[:5] if len(pool) else _ints([picks.take(sector)])
        begin, size = _day(scene, 12, 2, (8, 12)), int(scene.rng.integers(13, 23))
        moments = begin + np.sort(scene.rng.uniform(0, 10 * HOUR, size)).astype(np.int64)
        rows = scene.rng.choice(near, size)
        who += rows.tolist()
        at += moments.tolist()
        category += [about] * size
        keys = {f"region:{county}", county} | {picks.subject(row) for row in set(rows.tolist())}
        origins = {origin, "market-complaint-surge"}
        span = (int(moments[0]), int(moments[-1]))
        truth.append(_planted(scene, "regional-cluster", sector, keys, origins, span, DAY))
    kinds = scene.rng.choice(["complaint", "report"], len(who), p=[0.6, 0.4]).tolist()
    return Told((("complaint", reports.complaints(scene, _ints(who), _ints(at), category, kinds)),), tuple(truth))


@dataclass(frozen=True, slots=True)
class Surge:
    """So many complaints of one category at one subject within so many hours."""

    sector: str
    category: str
    origins: frozenset[str]
    size: tuple[int, int]
    hours: float


SURGES: Final = (
    Surge("market", "quality", frozenset({"market-complaint-surge"}), (7, 11), 90),
    Surge("health", "illegal-practice", frozenset({"health-illegal-practice"}), (3, 5), 72),
    Surge("key-enterprise", "wage-arrears", frozenset({"enterprise-wage-complaints"}), (5, 9), 72),
    Surge("medical-insurance", "medical-fee", frozenset({"insurance-fee-complaints"}), (7, 10), 72),
    Surge("quality", "elevator", frozenset({"quality-elevator-complaints"}), (5, 8), 72),
)


def surges(scene: Scene, picks: Picks, plan: Surge, count: int) -> Told:
    """Instances of one surge of complaints."""
    who: list[int] = []
    at: list[int] = []
    truth: list[Planted] = []
    for _ in range(count):
        row, begin = picks.take(plan.sector), _day(scene, 12, 5, (8, 20))
        size = int(scene.rng.integers(plan.size[0], plan.size[1] + 1))
        moments = begin + np.sort(scene.rng.uniform(0, plan.hours * HOUR, size)).astype(np.int64)
        who += [row] * size
        at += moments.tolist()
        span = (int(moments[0]), int(moments[-1]))
        truth.append(_planted(scene, "ordinary", plan.sector, {picks.subject(row)}, set(plan.origins), span, 7 * DAY))
    kinds = scene.rng.choice(["complaint", "report"], len(who), p=[0.6, 0.4]).tolist()
    frame = reports.complaints(scene, _ints(who), _ints(at), [plan.category] * len(who), kinds)
    return Told((("complaint", frame),), tuple(truth))


def failed_visits(scene: Scene, picks: Picks, sector: str, check_type: str, origin: str, count: int) -> Told:
    """Visits that find two or more critical violations."""
    rows = _ints([picks.take(sector) for _ in range(count)])
    at = _ints([_day(scene, 12, 2, (9, 17)) for _ in range(count)])
    critical = scene.rng.integers(2, 5, count)
    frame = reports.inspections(scene, rows, at, ["fail"] * count, critical, [check_type] * count)
    truth = tuple(
        _planted(scene, "ordinary", sector, {picks.subject(row)}, {origin}, (when, when), DAY)
        for row, when in zip(rows.tolist(), at.tolist(), strict=True)
    )
    return Told((("inspection", frame),), truth)


def angry_posts(scene: Scene, picks: Picks, count: int) -> Told:
    """A key enterprise is suddenly spoken ill of."""
    who: list[int] = []
    at: list[int] = []
    truth: list[Planted] = []
    for _ in range(count):
        row, begin, size = picks.take("key-enterprise"), _day(scene, 12, 2, (8, 14)), int(scene.rng.integers(10, 17))
        moments = begin + np.sort(scene.rng.uniform(0, 10 * HOUR, size)).astype(np.int64)
        who += [row] * size
        at += moments.tolist()
        span = (int(moments[0]), int(moments[-1]))
        keys = {picks.subject(row)}
        truth.append(_planted(scene, "ordinary", "key-enterprise", keys, {"enterprise-opinion-burst"}, span, DAY))
    frame = reports.opinions(scene, _ints(who), _ints(at), np.full(len(who), 4))
    return Told((("opinion", frame),), tuple(truth))


def odd_claims(scene: Scene, picks: Picks, count: int) -> Told:
    """Cards that see the doctor far too often, and cards that spend far too much in a day."""
    who: list[int] = []
    at: list[int] = []
    card: list[str] = []
    fee: list[float] = []
    truth: list[Planted] = []
    for i in range(2 * count):
        often = i % 2 == 0
        row, name = picks.take("medical-insurance"), f"CARD-9{i:06d}"
        size = int(scene.rng.integers(17, 27) if often else scene.rng.integers(4, 7))
        begin = scene.calendar.at(12 if often else int(scene.rng.integers(2, 12)), 8.5)
        hours = 9 * 24 if often else 9
        moments = begin + np.sort(scene.rng.uniform(0, hours * HOUR, size)).astype(np.int64)
        who += [row] * size
        at += moments.tolist()
        card += [name] * size
        fee += scene.rng.uniform(60, 200, size).tolist() if often else scene.rng.uniform(2600, 5200, size).tolist()
        origin = "insurance-frequent-visits" if often else "insurance-fee-accumulation"
        keys, span = {picks.subject(row), name}, (int(moments[0]), int(moments[-1]))
        truth.append(
            _planted(scene, "ordinary", "medical-insurance", keys, {origin}, span, DAYS * DAY if often else DAY)
        )
    return Told((("iot", reports.claims(scene, _ints(who), _ints(at), card, np.array(fee))),), tuple(truth))
