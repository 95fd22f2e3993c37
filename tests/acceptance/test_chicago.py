"""Real input: Chicago's food inspections and sanitation complaints through the running system."""

import re
from contextlib import closing
from pathlib import Path

import httpx
import polars as pl
import pytest

from connectors import files
from connectors.archive.verify import verify
from connectors.producing import EventWriter
from fengsui.demo.settle import Settling
from fengsui.publishing import PACKS
from fengsui.settings import Settings
from tests.acceptance.house import open_house

pytestmark = pytest.mark.broker
DATA = Path(__file__).parents[2].parent / "shared" / "data" / "chicago_food"
MAPPINGS = Path(files.__file__).parent / "mappings"
TABLES = {
    "sanitation_311.csv.gz": ("chicago_sanitation_311.yaml", "Creation_Date"),
    "inspections_all_canvass.csv.gz": ("chicago_food_inspections.yaml", "Inspection_Date"),
}

REPEATED = """
id: test-critical-among-complaints
title: 投诉集中地段严重问题
sector: food-drug
status: live
on: inspection
features:
  complaints_30d: {agg: count, within: 30d, by: chain, where: "kind = 'complaint'"}
when: "kind = 'inspection' AND critical_violations > 0 AND complaints_30d >= 5"
severity: orange
episode: {by: chain, quiet: 7d}
department: market-supervision
explain: "{chain} 近 30 天投诉 {complaints_30d} 起,检查发现严重问题 {critical_violations} 项"
basis: test
source: test
runbook: 无
false_positives: [无]
tests:
  - name: five complaints, then a critical visit
    events:
      - {from: 0h, to: 4h, every: 1h, kind: complaint, subject: "site:a", chain: "chain:c", complaint_type: complaint}
      - {at: 5h, kind: inspection, subject: "licence:1", chain: "chain:c", result: fail, critical_violations: 1}
    expect: [{at: 5h, severity: orange}]
  - name: a critical visit without complaints
    events: [{at: 5h, kind: inspection, subject: "licence:1", chain: "chain:c", result: fail, critical_violations: 1}]
    expect: []
"""


def by_month(scratch: Path) -> list[list[tuple[str, Path]]]:
    """(mapping, file) pairs of each month in order of time: both tables, complaints before inspections."""
    parts: dict[str, list[tuple[str, Path]]] = {}
    for name, (mapping, day) in TABLES.items():
        table = pl.read_csv(DATA / name, infer_schema=False).with_columns(pl.col(day).str.slice(0, 10))
        table = table.filter(pl.col(day) >= "2011-06-01")  # three months before the first inspection, for the windows
        for (when,), rows in table.with_columns(pl.col(day).str.slice(0, 7).alias("_month")).group_by("_month"):
            path = scratch / f"{when}-{name.removesuffix('.gz')}"
            rows.drop("_month").write_csv(path)
            parts.setdefault(str(when), []).append((mapping, path))
    return [sorted(parts[when], key=lambda p: "311" not in p[0]) for when in sorted(parts)]


@pytest.mark.skipif(not DATA.is_dir(), reason="the open data sets are not beside the project (../shared/data)")
def test_chicago_replayed_gives_clues_an_archive_and_a_model_that_learns(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Inspections joined with complaints raise clues by rules (across subjects, by place); all is archived; the food model
    scores each visit before it learns its outcome, better than chance, and its prequential AUC is printed."""
    packs = [path.read_text("utf-8") for path in sorted(PACKS.glob("food-drug/*.yaml"))]
    with open_house(settings, [*packs, REPEATED]) as house:
        writer = EventWriter(settings.kafka_client(), prefix=settings.topic_prefix)
        sent = 0
        with closing(Settling(settings)) as settling:
            for month in by_month(tmp_path):
                for mapping, path in month:
                    sent += files.replay(path, files.load_mapping(MAPPINGS / mapping), writer).sent
                # Subjects on four partitions meet by place. Three years in a minute would let one partition be months ahead of
                # another, and what comes later than a window and the allowed lateness is not judged. In life all are at today.
                settling.wait(120)
        writer.close()
        clues = house.records("clues")
        proof = verify(settings.kafka_client(), settings.topic_prefix, settings.archive_dir, wait=60)
        page = httpx.get(house.crew.wait_ready()[0] + "/metrics", timeout=30).text
    assert sent > 70_000
    placed = sum(clue["origin_id"] == "test-critical-among-complaints" for clue in clues)
    assert placed > 500
    assert proof.ok, proof.differences
    assert proof.by_topic["events.inspection"] + proof.by_topic["events.complaint"] == sent
    found = re.search(r'fengsui_model_auc\{model="visit",sector="food-drug"\} ([0-9.]+)', page)
    assert found
    with capsys.disabled():
        print(f"\nchicago: {sent} events, {len(clues)} clues, {placed} of them by place")
        print(f"prequential AUC of the food model {float(found[1]):.3f}")
    assert float(found[1]) > 0.55
