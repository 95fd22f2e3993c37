"""What Kafka remembers of a task, read again: exactly, or with a named error."""

from dataclasses import replace

import pytest

from fengsui.settings import Settings
from streams.ledger import Checkpoint, LedgerLostError, Progress
from streams.writer import Writer
from tests.acceptance.toy import TOPIC, Bench, open_bench

pytestmark = pytest.mark.broker


def writer(bench: Bench) -> Writer:
    """A new owner. Only now are markers of the transactions before it sure to be written: a commit alone returns earlier."""
    made = Writer(bench.client, bench.settings.topic_prefix, bench.settings.topic_prefix + "w", "feedback")
    made.own()
    bench.stack.callback(made.close)
    return made


def write(to: Writer, where: int, *batches: Progress) -> list[int]:
    """Each progress in a transaction of its own."""
    return [to.write({"progress": [(b"t", one.encode("t"), where)]}, "progress")[0] for one in batches]


def test_progress_after_a_checkpoint(settings: Settings) -> None:
    """The last record is found behind any number of markers; what came after the checkpoint is read in order."""
    with open_bench(settings) as bench:
        ledger, to, where = bench.ledger(), writer(bench), bench.where()
        assert ledger.last() == Progress()
        assert ledger.since(Progress()) == []
        batches = [Progress(seq, [(TOPIC, seq, seq + 1)], {TOPIC: seq + 1}) for seq in range(1, 41)]
        offsets = write(to, where, *batches[:30])
        to = writer(bench)
        assert ledger.last() == batches[29]
        assert ledger.since(batches[29]) == batches[:30]
        checkpoint = Checkpoint(30, 0, 1, offsets[29] + 1, 1)
        standing = replace(batches[29], slices=[], checkpoint=checkpoint)
        after = [replace(batch, checkpoint=checkpoint) for batch in batches[30:]]
        write(to, where, standing)
        to = writer(bench)
        assert ledger.last() == standing
        assert ledger.since(standing) == []
        write(to, where, *after)
        writer(bench)
        assert ledger.last() == after[-1]
        assert ledger.since(after[-1]) == after


def test_a_batch_whose_progress_is_gone_is_not_passed_over(settings: Settings) -> None:
    """Silent recovery without it would be wrong."""
    with open_bench(settings) as bench:
        batches = [Progress(seq, [(TOPIC, seq, seq + 1)], {TOPIC: seq + 1}) for seq in (1, 2, 4)]
        write(writer(bench), bench.where(), *batches)
        writer(bench)
        with pytest.raises(LedgerLostError, match="3 progress records"):
            bench.ledger().since(batches[-1])


def test_a_checkpoint_of_which_a_part_is_gone_is_named(settings: Settings) -> None:
    """Parts of another seq or outside the range are not taken for it."""
    with open_bench(settings) as bench, pytest.raises(LedgerLostError, match="incomplete"):
        bench.ledger().checkpoint(Checkpoint(1, 0, 3, 0))


def test_records_without_value_are_replayed_like_any_other(settings: Settings) -> None:
    """Tombstones and empty values, also where one slice ends and the next begins."""
    with open_bench(settings) as bench:
        values = [b"a", None, b"", b"b", None, None, b""]
        for value in values:
            bench.producer.produce(settings.topic_prefix + TOPIC, value, b"k", partition=0)
        assert bench.producer.flush(30) == 0
        replay = bench.ledger().replay(0, {TOPIC: 0})
        try:
            edges = [0, 1, 2, 4, 5, 7]
            slices = [replay.slice(TOPIC, a, b) for a, b in zip(edges, edges[1:], strict=False)]  # noqa: RUF007
        finally:
            replay.close()
        assert [v for chunk in slices if chunk for v in chunk.values] == values


def test_a_new_owner_sees_the_very_last_commit(settings: Settings) -> None:
    """Recovery rests on it: owning comes before reading, and waits for what the one before has committed."""
    with open_bench(settings) as bench:
        where = bench.where()
        for seq in range(1, 31):
            to = writer(bench)
            assert bench.ledger().last().seq == seq - 1
            write(to, where, Progress(seq))
