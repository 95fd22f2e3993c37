"""Control records as tasks see them: complete between any two positions, though memory keeps few of them."""

import pytest
from confluent_kafka import Producer

from fengsui.settings import Settings
from streams import controls as module
from tests.acceptance.house import wait_until
from tests.acceptance.toy import open_bench

pytestmark = pytest.mark.broker


def test_every_range_is_complete_however_much_is_forgotten(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old superseded records are read again from Kafka; the newest come from memory; memory is bounded by keys."""
    monkeypatch.setattr(module, "NEWEST", 20)
    with open_bench(settings) as bench:
        controls, producer = bench.controls, Producer(bench.client)
        for i in range(500):
            producer.produce(settings.topic_prefix + "models", b"v%d" % i, b"k%d" % (i % 7 if i > 3 else i + 100))
        assert producer.flush(30) == 0
        wait_until(lambda: controls.ends()["models"] == 500, 30, "everything read")
        assert len(controls._records["models"]) <= 2 * 20 + 2 * 11
        for first, end in ((0, 500), (0, 250), (3, 4), (100, 480), (490, 500)):
            found = controls.between("models", first, end)
            assert [(r.offset, r.value) for r in found] == [(i, b"v%d" % i) for i in range(first, end)]
        assert {r.key for r in controls._records["models"]} >= {b"k100", b"k101", b"k0", b"k6"}
