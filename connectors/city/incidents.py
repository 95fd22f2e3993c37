"""Ordinary incidents that show in records: one kind of trouble at one subject, found by one rule."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from connectors.city import reports
from connectors.city.calendar import DAY, DAYS, HOUR
from connectors.city.picks import Picks
from connectors.city.plant import Told, day_of, ints, planted
from connectors.city.reports import Scene
from connectors.city.truth import Planted


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
        row, begin = picks.take(plan.sector), day_of(scene, 12, 5, (8, 20))
        size = int(scene.rng.integers(plan.size[0], plan.size[1] + 1))
        moments = begin + np.sort(scene.rng.uniform(0, plan.hours * HOUR, size)).astype(np.int64)
        who += [row] * size
        at += moments.tolist()
        span = (int(moments[0]), int(moments[-1]))
        truth.append(
            planted(
                scene,
                "ordinary",
                plan.sector,
                keys={picks.subject(row)},
                origins=set(plan.origins),
                span=span,
                tail=7 * DAY,
            )
        )
    kinds = scene.rng.choice(["complaint", "report"], len(who), p=[0.6, 0.4]).tolist()
    frame = reports.complaints(scene, ints(who), ints(at), [plan.category] * len(who), kinds)
    return Told((("complaint", frame),), tuple(truth))


def failed_visits(scene: Scene, picks: Picks, sector: str, *, check_type: str, origin: str, count: int) -> Told:
    """Visits that find two or more critical violations."""
    rows = ints([picks.take(sector) for _ in range(count)])
    at = ints([day_of(scene, 12, 2, (9, 17)) for _ in range(count)])
    critical = scene.rng.integers(2, 5, count)
    frame = reports.inspections(
        scene, rows, at, result=["fail"] * count, critical=critical, check_type=[check_type] * count
    )
    truth = tuple(
        planted(scene, "ordinary", sector, keys={picks.subject(row)}, origins={origin}, span=(when, when), tail=DAY)
        for row, when in zip(rows.tolist(), at.tolist(), strict=True)
    )
    return Told((("inspection", frame),), truth)


def angry_posts(scene: Scene, picks: Picks, count: int) -> Told:
    """A key enterprise is suddenly spoken ill of."""
    who: list[int] = []
    at: list[int] = []
    truth: list[Planted] = []
    for _ in range(count):
        row, begin, size = picks.take("key-enterprise"), day_of(scene, 12, 2, (8, 14)), int(scene.rng.integers(10, 17))
        moments = begin + np.sort(scene.rng.uniform(0, 10 * HOUR, size)).astype(np.int64)
        who += [row] * size
        at += moments.tolist()
        span = (int(moments[0]), int(moments[-1]))
        keys = {picks.subject(row)}
        truth.append(
            planted(
                scene,
                "ordinary",
                "key-enterprise",
                keys=keys,
                origins={"enterprise-opinion-burst"},
                span=span,
                tail=DAY,
            )
        )
    frame = reports.opinions(scene, ints(who), ints(at), np.full(len(who), 4))
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
            planted(
                scene,
                "ordinary",
                "medical-insurance",
                keys=keys,
                origins={origin},
                span=span,
                tail=DAYS * DAY if often else DAY,
            )
        )
    return Told((("iot", reports.claims(scene, ints(who), ints(at), card, np.array(fee))),), tuple(truth))


def near_misses(scene: Scene, picks: Picks, count: int) -> Told:
    """Decoys, nothing planted: two complaints before a failed visit, only questions before one, one person's many
    complaints about a shop, and one confident rat in the night."""
    sectors = ("food-drug", "food-drug", "market", "food-drug")
    pair, asked, shop, kitchen = ([picks.take(sector) for _ in range(count)] for sector in sectors)
    visit = ints([day_of(scene, 5, 2, (9, 17)) for _ in range(2 * count)])
    before = np.concatenate([visit[:count] - 20 * HOUR, visit[:count] - 50 * HOUR])
    questions = np.concatenate([visit[count:] - hours * HOUR for hours in (10, 30, 55, 80)])
    begin = ints([day_of(scene, 10, 5, (8, 20)) for _ in range(count)])
    again = np.concatenate([begin + hours * HOUR for hours in range(0, 80, 10)])
    complained = reports.complaints(scene, ints(pair * 2), before, ["hygiene"] * 2 * count, ["complaint"] * 2 * count)
    consulted = reports.complaints(scene, ints(asked * 4), questions, ["price"] * 4 * count, ["consult"] * 4 * count)
    grudge = reports.complaints(scene, ints(shop * 8), again, ["quality"] * 8 * count, ["report"] * 8 * count)
    grudge = grudge.with_columns(complainant=pl.lit("职**#") + pl.col("subject").str.slice(-8))
    failed = reports.inspections(
        scene,
        ints([*pair, *asked]),
        visit,
        result=["fail"] * 2 * count,
        critical=np.ones(2 * count, np.int64),
        check_type=["special"] * 2 * count,
    )
    night = ints([day_of(scene, 12, 2, (23, 27)) for _ in range(count)])
    cameras = [f"CAM-9{row:06d}" for row in kitchen]
    rat = reports.sightings(
        scene, ints(kitchen), night, camera=cameras, label=["rat"] * count, confidence=np.full(count, 0.9)
    )
    told = pl.concat([complained, consulted, grudge])
    return Told((("complaint", told), ("inspection", failed), ("video", rat)), ())
