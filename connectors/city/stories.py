"""The planted stories that show in records: each function plants `count` instances and says what it planted.

Every instance has its own subjects. Sizes are drawn around what the rules ask for.
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
from connectors.city.plant import Told, day_of, ints, planted
from connectors.city.register import Register
from connectors.city.reports import Scene
from connectors.city.truth import Planted

Ints = npt.NDArray[np.int64]


def complaints_then_failed(scene: Scene, picks: Picks, count: int) -> Told:
    """Guests complain for some days; then the inspection fails, with a critical violation."""
    who: list[int] = []
    at: list[int] = []
    failed: list[tuple[int, int]] = []
    truth: list[Planted] = []
    for i in range(count):
        sector = "school-canteen" if i % 3 == 2 else "food-drug"
        row = picks.take(sector)
        visit = day_of(scene, 5, 2, (9, 17))
        moments = [visit - round(float(scene.rng.uniform(8, 120)) * HOUR) for _ in range(int(scene.rng.integers(3, 7)))]
        who += [row] * len(moments)
        at += moments
        failed.append((row, visit))
        origins = {"food-complaints-then-failed", "school-complaints-then-failed"}
        span = (min(moments), visit)
        truth.append(
            planted(
                scene,
                "complaints-then-failed",
                sector,
                keys={picks.subject(row)},
                origins=origins,
                span=span,
                tail=DAYS * DAY,
            )
        )
    category = scene.rng.choice(["hygiene", "foreign-matter", "canteen"], len(who)).tolist()
    kinds = scene.rng.choice(["complaint", "report"], len(who), p=[0.7, 0.3]).tolist()
    rows, visits = ints([r for r, _ in failed]), ints([v for _, v in failed])
    inspected = reports.inspections(
        scene, rows, visits, result=["fail"] * count, critical=np.ones(count, np.int64), check_type=["special"] * count
    )
    told = reports.complaints(scene, ints(who), ints(at), category, kinds)
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
    """A licence is revoked; its holder goes on under a new one and is found out: a failed inspection, often a fine."""
    truth: list[Planted] = []
    punished: list[tuple[int, int, str]] = []
    failed: list[tuple[int, int]] = []
    for old, new in pairs:
        revoked = day_of(scene, 12, 8, (9, 18))
        visit = revoked + round(float(scene.rng.uniform(2, 5)) * DAY)
        punished.append((old, revoked, str(scene.rng.choice(["05", "02,05", "04"]))))
        failed.append((new, visit))
        if scene.rng.random() < 0.6:
            punished.append((new, visit + round(float(scene.rng.uniform(0.5, 1.5)) * DAY), "02"))
        person = str(scene.register.subjects["person"][old])
        keys = {person, person.partition(":")[2], picks.subject(old), picks.subject(new)}
        truth.append(
            planted(
                scene,
                "repeat-offender",
                "market",
                keys=keys,
                origins={"market-revoked-returns"},
                span=(revoked, visit),
                tail=DAYS * DAY,
            )
        )
    acts = reports.penalties(
        scene, ints([p[0] for p in punished]), ints([p[1] for p in punished]), [p[2] for p in punished]
    )
    count = len(failed)
    visits = reports.inspections(
        scene, ints([f[0] for f in failed]), ints([f[1] for f in failed]),
        result=["fail"] * count, critical=np.ones(count, np.int64), check_type=["daily"] * count,
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
        truth.append(
            planted(scene, plan.story, sector, keys=keys, origins=set(plan.origins), span=span, tail=12 * HOUR)
        )
    confidence = scene.rng.uniform(0.68, 0.98, len(who))
    frame = reports.sightings(
        scene, ints(who), ints(at), camera=camera, label=[plan.label] * len(who), confidence=confidence
    )
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
        near = scene.rng.permutation(pool)[:5] if len(pool) else ints([picks.take(sector)])
        begin, size = day_of(scene, 12, 2, (8, 12)), int(scene.rng.integers(13, 23))
        moments = begin + np.sort(scene.rng.uniform(0, 10 * HOUR, size)).astype(np.int64)
        rows = scene.rng.choice(near, size)
        who += rows.tolist()
        at += moments.tolist()
        category += [about] * size
        keys = {f"region:{county}", county} | {picks.subject(row) for row in set(rows.tolist())}
        origins = {origin, "market-complaint-surge"}
        span = (int(moments[0]), int(moments[-1]))
        truth.append(planted(scene, "regional-cluster", sector, keys=keys, origins=origins, span=span, tail=DAY))
    kinds = scene.rng.choice(["complaint", "report"], len(who), p=[0.6, 0.4]).tolist()
    return Told((("complaint", reports.complaints(scene, ints(who), ints(at), category, kinds)),), tuple(truth))
