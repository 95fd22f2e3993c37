"""The simulated city: everything that happens in two weeks before `now`, and what of it is trouble. Pure and seeded.

The same seed, size and `now` give the same events to the byte, in whatever chunks they are taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from connectors.city import incidents, reports, stories
from connectors.city.arrivals import arrive, repeat, see
from connectors.city.bad import BadEvent, make_bad
from connectors.city.calendar import DAY, MINUTE, Calendar
from connectors.city.frames import item_codes
from connectors.city.picks import Picks
from connectors.city.plant import Told
from connectors.city.register import Register, make_register
from connectors.city.reports import Scene
from connectors.city.sensors import FLAGS, Readings, Scale, make_readings
from connectors.city.truth import Planted
from topics.events import KINDS, ORDER

Gateway = Literal["http", "file", "kafka", "raw"]
Ints = npt.NDArray[np.int64]
GATEWAYS: Final[dict[str, Gateway]] = {
    "complaint": "http",
    "inspection": "http",
    "penalty": "http",
    "opinion": "file",
    "iot": "kafka",
    "video": "kafka",
}
SMALLEST: Final = 5_000
_SHARES: Final = {
    "inspection": 0.035,
    "penalty": 0.008,
    "complaint": 0.03,
    "video": 0.05,
    "opinion": 0.017,
    "claims": 0.03,
}
_BAD_SHARE: Final = 1 / 2_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one gateway brings at once, in order of arrival: events of one kind as a frame with the columns of
    `topics.events` and `_arrived` (ms UTC), or (gateway "raw") bad records for Kafka, each with its reason."""

    gateway: Gateway
    kind: str
    frame: pl.DataFrame
    bad: tuple[BadEvent, ...] = ()

    def json_lines(self) -> bytes:
        """The events as JSON lines, as the HTTP gateway and file replay take them."""
        return self.frame.drop("_arrived").write_ndjson().encode()


class City:
    """About `events` events (at least 5,000) of a seeded city in the 14 days before `now` (ms UTC).

    `truth`: what was planted; `bad`: the deliberately bad events; `repeats`: events delivered twice; `too_late`: events
    seen later than is allowed; `subjects`: the register (one row a subject); `total`: records in all deliveries.
    """

    def __init__(self, seed: int, events: int, now: int) -> None:
        self.seed, self.now = seed, now
        self._size = max(SMALLEST, events)
        self._calendar = Calendar(now)
        repeated, ordinary = max(3, round(self._size / 25_000)), max(1, round(self._size / 80_000))
        register = make_register(seed, self._size // 8)
        picks = Picks(seed, register)
        pairs = [(picks.take("market"), picks.take("market")) for _ in range(repeated)]
        self.register: Register = stories.reincarnate(register, pairs)
        scene = Scene(np.random.default_rng([seed, 4]), self.register, self._calendar)
        cameras = round(self._size * _SHARES["video"])  # more than there are ordinary ones, so that numbers differ
        told = list(_tell(scene, picks, pairs, repeated=repeated, ordinary=ordinary, cameras=cameras))
        budget = round(self._size * (1 - sum(_SHARES.values()))) - sum(len(f) for t in told for _, f in t.frames)
        self._readings: Readings = make_readings(seed, Scale(budget, repeated, ordinary), self._calendar, picks)
        self.truth: tuple[Planted, ...] = (*self._readings.truth, *(p for t in told for p in t.truth))
        self._records = self._gather(told, list(_ordinary_life(scene, self._size)))
        self._arrange()

    @property
    def subjects(self) -> pl.DataFrame:
        """One row a subject."""
        return self.register.subjects

    @property
    def devices(self) -> pl.DataFrame:
        """One row a sensor: device_id, metric, unit, and the envelope of its readings."""
        return self._devices

    @property
    def cameras(self) -> pl.DataFrame:
        """One row a camera: device_id, and the envelope of what it sees."""
        named = ("device_id", "sector", "subject", "subject_name", "region", "chain")
        return self._records["video"].select(named).unique("device_id", maintain_order=True)

    @property
    def events(self) -> int:
        """Different good events."""
        return len(self._readings.at) + sum(len(f) for f in self._records.values())

    @property
    def days(self) -> float:
        """Length of the simulated period in days."""
        return (self.now - self._calendar.begin) / DAY

    @cached_property
    def bad(self) -> tuple[BadEvent, ...]:
        """The deliberately bad events, in order of delivery."""
        first = self._sensor_rows(np.arange(min(50, len(self._readings.at))), self._observed["iot"][:50])
        samples = first.with_columns(event_id=pl.lit("")).to_dicts()
        return tuple(make_bad(self.seed, max(15, round(self._size * _BAD_SHARE)), samples))

    def _gather(self, told: list[Told], ordinary: list[tuple[str, pl.DataFrame]]) -> dict[str, pl.DataFrame]:
        """All records by kind, those after now left out."""
        frames: dict[str, list[pl.DataFrame]] = {kind: [] for kind in ORDER}
        for kind, frame in [*ordinary, *(pair for t in told for pair in t.frames)]:
            frames[kind].append(frame.filter(pl.col("occurred_at") <= self.now - MINUTE))
        return {kind: pl.concat(parts) for kind, parts in frames.items() if parts}

    def _arrange(self) -> None:
        """Draw when each event is seen and delivered, repeats among them, and put all deliveries in order."""
        self._observed: dict[str, Ints] = {}
        kinds, rows, arrivals = [], [], []
        self.repeats = self.too_late = 0
        for number, kind in enumerate(ORDER):
            rng = np.random.default_rng([self.seed, 5, number])
            occurred = self._occurred(kind)
            seen = see(rng, kind, occurred, self.now)
            arrived = arrive(rng, seen.observed, self.now)
            again = repeat(rng, arrived[seen.repeats], self.now)
            self._observed[kind] = seen.observed
            self.repeats += len(seen.repeats)
            self.too_late += seen.too_late
            rows += [np.arange(len(occurred)), seen.repeats]
            arrivals += [arrived, again]
            kinds.append(np.full(len(occurred) + len(again), number, np.int8))
        arrived = np.concatenate(arrivals)
        order = np.argsort(arrived, kind="stable")
        self._arrived = arrived[order]
        self._kind = np.concatenate(kinds)[order]
        self._row = np.concatenate(rows)[order]
        self.total = len(order) + len(self.bad)

    def _occurred(self, kind: str) -> Ints:
        """Times of a kind's events: for iot the sensors' readings first, then the insurance claims."""
        own = self._records[kind]["occurred_at"].to_numpy()
        return np.concatenate([self._readings.at, own]) if kind == "iot" else own

    def deliveries(self, chunk: int = 2_000) -> Iterator[Delivery]:
        """`rounds`, one delivery after the other."""
        for together in self.rounds(chunk):
            yield from together

    def rounds(self, chunk: int = 2_000) -> Iterator[list[Delivery]]:
        """All events in order of arrival, `chunk` at a time, split by kind; the bad ones are spread among them."""
        chunks = max(1, -(-len(self._row) // chunk))
        for number in range(chunks):
            where = slice(number * chunk, (number + 1) * chunk)
            kinds, rows, arrived = self._kind[where], self._row[where], self._arrived[where]
            together = []
            for code, kind in enumerate(ORDER):
                mine = kinds == code
                if mine.any():
                    frame = self._frame(kind, rows[mine]).with_columns(_arrived=arrived[mine])
                    together.append(Delivery(GATEWAYS[kind], kind, frame))
            bad = self.bad[len(self.bad) * number // chunks : len(self.bad) * (number + 1) // chunks]
            if bad:
                together.append(Delivery("raw", "iot", pl.DataFrame(), bad))
            yield together

    def _frame(self, kind: str, rows: Ints) -> pl.DataFrame:
        """Rows of a kind as whole events."""
        observed = self._observed[kind][rows]
        if kind != "iot":
            frame = self._records[kind][rows].with_columns(observed_at=pl.Series(observed))
        else:
            sensed = len(self._readings.at)
            split = rows < sensed
            parts = [self._sensor_rows(rows[split], observed[split]), self._records["iot"][rows[~split] - sensed]]
            parts[1] = parts[1].with_columns(observed_at=pl.Series(observed[~split]))
            place = np.argsort(np.concatenate([np.flatnonzero(split), np.flatnonzero(~split)]))
            frame = pl.concat(parts)[place]
        number = pl.Series(rows).cast(pl.String).str.zfill(9)
        return frame.with_columns(event_id=f"{kind}-{self.seed}-" + number).select(list(KINDS[kind].schema.columns))

    @cached_property
    def _devices(self) -> pl.DataFrame:
        """The envelope of each device's readings."""
        names = self._readings.devices
        who = self.register.subjects[names["subject_row"].to_numpy()]
        return who.select("sector", "subject", "subject_name", "region", "chain").with_columns(
            names["device_id"], names["metric"], names["unit"], item_codes("iot", who["sector"]).alias("item_code")
        )

    def _sensor_rows(self, rows: Ints, observed: Ints) -> pl.DataFrame:
        """Sensor readings as events; a sensor's gateway knows no person."""
        readings = self._readings
        device = readings.device[rows]
        own: dict[str, pl.Expr | pl.Series] = {
            "event_id": pl.lit(None, pl.String),
            "kind": pl.lit("iot"),
            "occurred_at": pl.Series(readings.at[rows]),
            "observed_at": pl.Series(observed),
            "source": pl.lit("iot-gateway"),
            "person": pl.lit(None, pl.String),
            "value": pl.Series(readings.value[rows]),
            "flag": pl.Series(FLAGS).gather(readings.flag[rows].astype(np.int64)),
        }
        return self._devices[device].with_columns(**own).select(list(KINDS["iot"].schema.columns))


def _tell(
    scene: Scene, picks: Picks, pairs: list[tuple[int, int]], *, repeated: int, ordinary: int, cameras: int
) -> Iterator[Told]:
    """Every planted story that shows in records, then the ordinary incidents."""
    yield stories.complaints_then_failed(scene, picks, repeated)
    yield stories.repeat_offenders(scene, picks, pairs)
    yield stories.regional_clusters(scene, picks, repeated)
    for plan in stories.CAMERA_STORIES:
        count = ordinary if plan.story == "ordinary" else repeated
        yield stories.seen_by_cameras(scene, picks, plan, count, cameras)
        cameras += count
    for surge in incidents.SURGES:
        yield incidents.surges(scene, picks, surge, ordinary)
    yield incidents.failed_visits(
        scene, picks, "market", check_type="daily", origin="market-inspection-critical", count=ordinary
    )
    yield incidents.failed_visits(
        scene, picks, "quality", check_type="product-sampling", origin="quality-sampling-failed", count=ordinary
    )
    yield incidents.angry_posts(scene, picks, ordinary)
    yield incidents.odd_claims(scene, picks, ordinary)
    yield incidents.near_misses(scene, picks, repeated)


def _ordinary_life(scene: Scene, size: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """The base rates of every kind but the sensors'."""
    count = {name: round(size * share) for name, share in _SHARES.items()}
    yield "inspection", reports.ordinary_inspections(scene, count["inspection"])
    yield "penalty", reports.ordinary_penalties(scene, count["penalty"])
    yield "complaint", reports.ordinary_complaints(scene, count["complaint"])
    yield "video", reports.ordinary_sightings(scene, count["video"])
    yield "opinion", reports.ordinary_opinions(scene, count["opinion"])
    yield "iot", reports.ordinary_claims(scene, count["claims"])
