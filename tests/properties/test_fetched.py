"""What is fetched, as columns, is what aiokafka's own reader would give, record by record."""

from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.fetched import _Kept, unpack

TP = TopicPartition("t", 0)
TEXT = st.none() | st.binary(max_size=40)
RECORD = st.tuples(st.integers(0, 10**6), TEXT, TEXT, st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5))))
# compression, transactional, producer, records
BATCH = st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 2), st.lists(RECORD, min_size=1, max_size=8))


def bytes_of(batches: list[Any]) -> tuple[bytes, list[int]]:
    """Batches as a broker sends them, offsets counted on, and the offset of each."""
    data, offset, firsts = bytearray(), 0, []
    for compression, transactional, producer, records in batches:
        builder = DefaultRecordBatchBuilder(
            magic=2, compression_type=compression, is_transactional=int(transactional), producer_id=producer,
            producer_epoch=0, base_sequence=0, batch_size=10**6,
        )  # fmt: skip
        for i, (at, key, value, headers) in enumerate(records):
            builder.append(i, timestamp=at, key=key, value=value, headers=headers)
        batch = builder.build()
        batch[:8] = offset.to_bytes(8, "big")
        firsts.append(offset)
        offset += len(records)
        data += batch
    return bytes(data), firsts


def fetch(data: bytes, aborted: list[tuple[int, int]], position: int, kept: bool) -> PartitionRecords:
    records = _Kept(data) if kept else MemoryRecords(data)
    return PartitionRecords(TP, records, list(aborted), position, None, None, True, READ_COMMITTED)


@settings(deadline=None)  # the first call loads compiled code
@given(st.lists(BATCH, min_size=1, max_size=5), st.data())
def test_columns_equal_the_records_of_aiokafka(batches: list[Any], data: st.DataObject) -> None:
    """Whatever the compression, the aborted transactions and the position; a tail that was cut off is left for the next fetch."""
    raw, firsts = bytes_of(batches)
    raw = raw[: data.draw(st.integers(len(raw) // 2, len(raw)))]
    aborted = [
        (producer, first)
        for (_, transactional, producer, _), first in zip(batches, firsts, strict=True)
        if transactional and data.draw(st.booleans())
    ]
    position = data.draw(st.integers(0, len(batches[0][3]) - 1))  # a broker begins with the batch that holds it
    plain = fetch(raw, aborted, position, kept=False)
    wanted = [(r.offset, r.timestamp, r.key, r.value) for r in plain]
    ours = fetch(raw, aborted, position, kept=True)
    got = unpack(ours)
    assert [*zip(got.offsets.tolist(), got.timestamps.tolist(), got.keys, got.values, strict=True)] == wanted
    assert ours.next_fetch_offset == max(position, plain.next_fetch_offset)


@settings(deadline=None)
@given(st.data())
def test_a_flipped_bit_is_noticed(data: st.DataObject) -> None:
    """A batch that is not what the broker wrote is never taken: its checksum fails."""
    raw, _ = bytes_of([(0, False, 0, [(1, b"key", b"value", [])])])
    at = data.draw(st.integers(21 * 8, len(raw) * 8 - 1))
    broken = bytearray(raw)
    broken[at // 8] ^= 1 << at % 8
    with pytest.raises(CorruptRecordException):
        unpack(fetch(bytes(broken), [], 0, kept=True))


def test_a_header_whose_name_is_not_text_is_passed_over() -> None:
    """aiokafka's reader raises at it for ever."""
    raw, _ = bytes_of([(0, False, 0, [(1, b"k", b"v", [("name", b"x")])])])
    broken = bytearray(raw)
    at = broken.index(b"name")
    broken[at : at + 4] = b"\xff\xfe\xfd\xfc"
    found = fetch(bytes(broken), [], 0, kept=True)
    found._check_crcs = False
    got = unpack(found)
    assert (list(got.keys), list(got.values)) == ([b"k"], [b"v"])
