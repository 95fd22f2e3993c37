"""The simulated city: repeatable, valid, with its truth and its bad events as announced."""

import itertools
from collections import Counter
from collections.abc import Iterable

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from connectors.city import City, Delivery
from connectors.city.calendar import HOUR
from connectors.city.city import GATEWAYS
from connectors.city.metrics import METRICS
from connectors.city.names import county_names
from connectors.city.picks import Picks
from connectors.city.register import credit_codes, make_register
from topics.checks import check
from topics.codes import SECTORS
from topics.columns import decode_chunk
from topics.events import KINDS, ORDER
from topics.identifiers import is_region, is_strict_uscc, uscc_check_digit

NOW = 1_767_225_600_000  # 2026-01-01 08:00 in Shanghai
STORIES = {
    "cold-store-warms",
    "complaints-then-failed",
    "repeat-offender",
    "rats-at-night",
    "current-creeps",
    "site-at-night",
    "regional-cluster",
}


@pytest.fixture(scope="module")
def city() -> City:
    return City(seed=7, events=20_000, now=NOW)


@pytest.fixture(scope="module")
def events(city: City) -> dict[str, pl.DataFrame]:
    return _by_kind(city.deliveries())


def _by_kind(deliveries: Iterable[Delivery]) -> dict[str, pl.DataFrame]:
    parts: dict[str, list[pl.DataFrame]] = {kind: [] for kind in ORDER}
    for delivery in deliveries:
        if delivery.gateway != "raw":
            parts[delivery.kind].append(delivery.frame)
    return {kind: pl.concat(frames) for kind, frames in parts.items()}


@pytest.mark.parametrize("chunk", [97, 5_000, 1_000_000])
def test_same_seed_gives_the_same_events_in_whatever_chunks(events: dict[str, pl.DataFrame], chunk: int) -> None:
    """A second city of the same seed, taken in other chunks, brings each kind's events in the same order, all equal."""
    again = _by_kind(City(seed=7, events=20_000, now=NOW).deliveries(chunk))
    for kind in ORDER:
        assert_frame_equal(events[kind], again[kind])


def test_another_seed_gives_other_events(events: dict[str, pl.DataFrame]) -> None:
    """The seed matters."""
    other = _by_kind(City(seed=8, events=20_000, now=NOW).deliveries())
    assert not other["iot"]["value"].head(1000).equals(events["iot"]["value"].head(1000))


def test_events_pass_the_checks_of_intake(events: dict[str, pl.DataFrame]) -> None:
    """Every good event of every kind is taken when it arrives."""
    for kind, frame in events.items():
        checked = check(KINDS[kind], frame, "_arrived")
        assert checked.reason.value_counts().to_dicts() == [{"reason": "", "count": len(frame)}]


def test_bad_events_are_refused_for_the_announced_reason(city: City) -> None:
    """Each deliberately bad event decodes to, or is checked to, exactly the reason it announces."""
    found = []
    for event in city.bad:
        decoded = decode_chunk(KINDS[event.kind], [event.value])
        if decoded.bad:
            found.append(decoded.bad[0].reason)
        else:
            found.append(str(check(KINDS[event.kind], decoded.frame, NOW).reason[0]))
    assert Counter(found) == Counter(event.reason for event in city.bad)
    assert len(set(found)) >= 15


def test_total_counts_all_records(city: City, events: dict[str, pl.DataFrame]) -> None:
    """`total` is events, repeats and bad ones together; only repeats share an event id."""
    rows = sum(len(frame) for frame in events.values())
    assert city.total == rows + len(city.bad)
    different = sum(frame["event_id"].n_unique() for frame in events.values())
    assert (different, rows - different) == (city.events, city.repeats)


@pytest.mark.parametrize("size", [5_000, 60_000])
def test_size_is_about_what_was_asked(size: int) -> None:
    """The incidents alone need some 4,000 events, so a small city is a little larger than asked."""
    assert City(3, size, NOW).total == pytest.approx(size, rel=0.25)


def test_no_event_is_in_the_future(events: dict[str, pl.DataFrame]) -> None:
    """Nothing is seen or delivered after now, or seen before it happened."""
    for frame in events.values():
        assert frame.select((pl.col("_arrived") <= NOW).all()).item()
        assert frame.select((pl.col("observed_at") >= pl.col("occurred_at")).all()).item()
        assert frame["occurred_at"].min() >= NOW - 15 * 24 * HOUR  # type: ignore[operator]


def test_some_events_are_late_and_out_of_order(city: City, events: dict[str, pl.DataFrame]) -> None:
    """Within a device, some readings arrive after younger ones; a few are later than the ten minutes allowed."""
    iot = events["iot"].filter(pl.col("metric") != "claim_fee")
    late = iot.select((pl.col("observed_at") - pl.col("occurred_at") > 10 * 60_000).sum()).item()
    backwards = iot.select((pl.col("occurred_at").diff().over("device_id") < 0).sum()).item()
    assert late > 10
    assert backwards > 50
    assert city.too_late > 10


def test_arrival_order_holds_over_deliveries(city: City) -> None:
    """Whatever is delivered in a chunk arrived no earlier than what was delivered before."""
    newest = 0
    for delivery in city.deliveries(500):
        if delivery.gateway == "raw" or delivery.kind != "iot":
            continue
        assert delivery.frame["_arrived"].is_sorted()
        assert delivery.frame["_arrived"][0] >= newest
        newest = delivery.frame["_arrived"][-1]


def test_json_lines_are_the_same_events(city: City) -> None:
    """What HTTP and file replay are given decodes to the frame's own events."""
    for delivery in itertools.islice((d for d in city.deliveries(500) if d.gateway in ("http", "file")), 8):
        decoded = decode_chunk(KINDS[delivery.kind], delivery.json_lines().splitlines())
        assert decoded.bad == []
        assert_frame_equal(decoded.frame, delivery.frame.drop("_arrived"))


def test_every_gateway_and_kind_is_used(city: City) -> None:
    """Part of the events goes through HTTP, part through files, part straight to Kafka, and some bytes are bad."""
    used = {(d.gateway, d.kind) for d in city.deliveries(2_000)}
    assert used == {(gateway, kind) for kind, gateway in GATEWAYS.items()} | {("raw", "iot")}


def test_all_sectors_have_incidents_and_each_story_three(city: City) -> None:
    """The seven stories are planted at least three times each, and each sector has something to find."""
    count = Counter(planted.story for planted in city.truth)
    assert set(count) == STORIES | {"ordinary"}
    assert min(count[story] for story in STORIES) >= 3
    assert {planted.sector for planted in city.truth} == set(SECTORS)


def test_incidents_befall_different_subjects(city: City) -> None:
    """No subject is in two incidents, but for those a regional cluster touches."""
    alone = [p for p in city.truth if p.story != "regional-cluster"]
    subjects = [key for planted in alone for key in planted.keys if key.startswith("uscc:")]
    assert len(subjects) == len(set(subjects))


def test_incidents_lie_in_the_period(city: City) -> None:
    """Every incident begins inside the simulated period and before now."""
    for planted in city.truth:
        assert NOW - city.days * 24 * HOUR <= planted.begin < planted.end
        assert planted.begin < NOW


def test_register_is_valid() -> None:
    """Credit codes have right check characters, regions the structure of GB/T 2260, names read as names."""
    register = make_register(5, 3_000)
    codes = register.subjects["party_id"].to_list()
    assert len(set(codes)) == len(codes)
    assert all(is_strict_uscc(code) for code in codes)
    assert all(is_region(code) for code in register.regions["region"])
    assert register.subjects["subject_name"].str.contains(r"^\p{Han}{6,}$").all()
    assert set(register.subjects["sector"]) == set(SECTORS)


def test_codes_equal_the_scalar_check_digit() -> None:
    """The columnar check character is the one of `topics.identifiers`."""
    codes = credit_codes(np.random.default_rng(1), ["624001"] * 500)
    assert all(uscc_check_digit(code[:17]) == code[17] for code in codes)


def test_county_names_differ() -> None:
    """All 160 counties have names of their own."""
    names = county_names(160)
    assert len(names) == len(set(names)) == 160


def test_picks_never_give_a_reserved_subject_twice() -> None:
    """`take` reserves; `any` does not return what was taken; a used-up sector is an error."""
    register = make_register(1, 700)
    picks = Picks(1, register)
    taken = [picks.take("fire") for _ in range(len(register.of_sector["fire"]) - 1)]
    assert len(set(taken)) == len(taken)
    assert picks.any("fire") not in taken
    with pytest.raises(ValueError, match="too few subjects in fire"):
        picks.take("fire")


def test_metrics_name_known_sectors() -> None:
    """Each metric belongs to a key sector and has at least one incident."""
    assert {metric.sector for metric in METRICS} <= set(SECTORS)
    assert all(metric.incidents for metric in METRICS)


def test_flags_mark_wild_values(events: dict[str, pl.DataFrame]) -> None:
    """Some readings are flagged as maintenance, calibration or fault, and most are normal."""
    share = events["iot"].select((pl.col("flag") != "N").mean()).item()
    assert 0 < share < 0.05
