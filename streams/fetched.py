"""What aiokafka fetched -> columns: record batches are read whole, in numba, and no record becomes an object.

aiokafka's own way makes an object of ten attributes a record (1.5 us); this costs about 0.05 us. It also raises for ever at a
header whose name is not UTF-8; headers are passed over here. `install` puts our result in the place of the fetcher's: what is
fetched, when, how positions move and which transactions were aborted stays aiokafka's.
"""

import asyncio
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from aiokafka import codec
from aiokafka.consumer import consumer, fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.util import calc_crc32c

from topics.compiled import compiled
from topics.spans import NULL, PAD, Spans

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
PACE_SECONDS: Final = 0.015  # between two fetches: an event waits half of it on average
# base offset, length, leader epoch, magic, crc, attributes, last offset delta, base and max timestamp, producer's id and epoch,
# base sequence, count
_HEADER: Final = struct.Struct(">qiiBIhiqqqhii")
_LENGTH: Final = struct.Struct(">i")
_LENGTH_AT: Final = 8
_BEFORE_BODY: Final = 12  # bytes of a batch that its length does not count
_CRC_FROM: Final = 21
_MAGIC: Final = 2
_CODEC, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
_DECODERS: Final = {1: codec.gzip_decode, 2: codec.snappy_decode, 3: codec.lz4_decode, 4: codec.zstd_decode}


@dataclass(frozen=True, slots=True)
class Fetched:
    """n records of one partition as columns; false when there are none."""

    offsets: Ints
    timestamps: Ints
    keys: Spans
    values: Spans

    def __len__(self) -> int:
        return int(self.offsets.size)

    def cut(self, first: int, last: int) -> "Fetched":
        """Rows first..last-1; the bytes are shared."""
        part = slice(first, last)
        return Fetched(
            self.offsets[part], self.timestamps[part], self.keys.cut(first, last), self.values.cut(first, last)
        )


@compiled
def _varint(data: Bytes, p: int, end: int) -> tuple[Any, Any]:
    """A zigzag varint and where it ends (-1: beyond `end`)."""
    value, shift = np.uint64(0), np.uint64(0)
    at, stop = np.uint64(p), np.uint64(end)
    while at < stop and shift < np.uint64(70):
        byte = np.uint64(data[at])
        at += np.uint64(1)
        value |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1)), np.int64(at)
        shift += np.uint64(7)
    return np.int64(0), np.int64(-1)


@compiled
def _field(data: Bytes, p: int, end: int) -> tuple[Any, Any]:
    """A key or value: where it begins (-1: null) and ends; an end of -1 is a broken one."""
    size, p = _varint(data, p, end)
    if p < 0 or size > end - p:
        return np.int64(-1), np.int64(-1)
    if size < 0:
        return np.int64(-1), p
    return p, p + size


@compiled
def _records(data: Bytes, batches: Ints, position: int, out: Ints) -> int:
    """Records of n batches (rows: from, to, count, base offset, base time, append time or -1) into rows of `out`: offset, time,
    key start and end, value start and end. Those before `position` are left out. Returns how many, or -1 - the broken batch."""
    k = 0
    for b in range(batches.shape[0]):
        p, stop = batches[b, 0], batches[b, 1]
        for _ in range(batches[b, 2]):
            size, p = _varint(data, p, stop)
            if p < 0 or size < 1 or size > stop - p:
                return -1 - b
            end = p + size
            time, at = _varint(data, p + 1, end)  # the byte before it: attributes, unused
            if at < 0:
                return -1 - b
            delta, at = _varint(data, at, end)
            if at < 0:
                return -1 - b
            key_start, key_end = _field(data, at, end)
            if key_end < 0:
                return -1 - b
            value_start, value_end = _field(data, key_end, end)
            if value_end < 0:
                return -1 - b
            p = end
            if batches[b, 3] + delta < position:
                continue
            out[0, k] = batches[b, 3] + delta
            out[1, k] = batches[b, 4] + time if batches[b, 5] < 0 else batches[b, 5]
            out[2, k] = key_start
            out[3, k] = key_end if key_start >= 0 else -1
            out[4, k] = value_start
            out[5, k] = value_end if value_start >= 0 else -1
            k += 1
    return k


class _Kept(fetcher.MemoryRecords):  # type: ignore[misc]
    """aiokafka's records, with the bytes they were made of."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class _Result(fetcher.FetchResult):  # type: ignore[misc]
    """A fetch of one partition that is given out whole, in columns."""

    def getall(self, max_records: int | None = None) -> Any:
        """See aiokafka; `max_records` is not obeyed: the transport cuts what is too long."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        found = unpack(self._partition_records)  # type: ignore[has-type]
        if len(found):  # before the position moves: see `unread`
            self._assignment.state_value(self._topic_partition).given_out = int(found.offsets[-1]) + 1
        self._update_position()
        self._partition_records = None
        return found


class _Paced(fetcher.Fetcher):  # type: ignore[misc]
    """aiokafka's fetcher, taking a breath between two requests to a broker: what came meanwhile in all partitions comes at once.

    Without it a trickle is fetched record batch by record batch, each at the price of a fetch, a chunk and a transaction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._due: dict[Any, float] = {}  # when a broker may be asked again

    async def _proc_fetch_request(self, assignment: Any, node_id: Any, request: Any) -> Any:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._due.get(node_id, 0.0) - loop.time())
        except asyncio.CancelledError:
            return False  # as aiokafka does when its request is cancelled
        self._due[node_id] = loop.time() + PACE_SECONDS
        return await super()._proc_fetch_request(assignment, node_id, request)


def unread(state: Any, taken: int) -> int | None:
    """Up to where a partition (aiokafka's state of it) holds committed records that whoever stands at offset `taken` has not been
    given: in Kafka, on their way, or nobody has asked Kafka yet. None when there are none; a transaction's marker is no record.

    >>> from types import SimpleNamespace as Partition
    >>> unread(Partition(lso=9, _position=7), 7), unread(Partition(lso=9, _position=9), 8)
    (9, None)
    >>> unread(Partition(lso=9, _position=9, given_out=8), 7), unread(Partition(lso=None, _position=0), 0)
    (8, 0)
    """
    end, position = state.lso, state._position
    if end is None or position is None:
        return taken
    if position < end:
        return int(end)
    given_out = getattr(state, "given_out", 0)
    return int(given_out) if given_out > taken else None


def install() -> None:
    """Let aiokafka's consumers in this process give out columns, at our pace."""
    fetcher.MemoryRecords, fetcher.FetchResult = _Kept, _Result
    consumer.Fetcher = _Paced


def unpack(fetch: Any) -> Fetched:
    """The committed records of a fetch (aiokafka's PartitionRecords) from its position on; moves the position behind it.
    Raises CorruptRecordException."""
    data, position = memoryview(fetch._records.data), fetch.next_fetch_offset
    parts: list[bytes] = []
    rows: list[tuple[int, int, int, int, int, int]] = []
    at = filled = 0
    while len(data) - at >= _HEADER.size:
        size = _LENGTH.unpack_from(data, at + _LENGTH_AT)[0] + _BEFORE_BODY
        if size > len(data) - at:
            break  # the fetch was cut in the middle of a batch
        batch = data[at : at + size]
        at += size
        head = _HEADER.unpack_from(batch)
        if head[3] != _MAGIC:
            raise CorruptRecordException(f"record format {head[3]} of {fetch._tp}: only 2 is read")
        if fetch._check_crcs and calc_crc32c(batch[_CRC_FROM:]) != head[4]:
            raise CorruptRecordException(f"Invalid CRC - {fetch._tp}")
        body, attributes, last = batch[_HEADER.size :], head[5], head[0] + head[6]
        if _counts(fetch, head, body) and last >= position:
            decode = _DECODERS.get(attributes & _CODEC)
            plain = bytes(body) if decode is None else decode(bytes(body))
            parts.append(plain)
            rows.append(
                (filled, filled + len(plain), head[12], head[0], head[7], head[8] if attributes & _APPEND_TIME else -1)
            )
            filled += len(plain)
        fetch.next_fetch_offset = max(fetch.next_fetch_offset, last + 1)
    return unpacked(parts, rows, position, fetch._tp)


def _counts(fetch: Any, head: tuple[int, ...], body: memoryview) -> bool:
    """Whether a batch holds records for readers: no marker, and not of an aborted transaction. Keeps count of those."""
    attributes, producer = head[5], head[9]
    if fetch._isolation_level == fetcher.READ_COMMITTED and producer >= 0:
        fetch._consume_aborted_up_to(head[0])
        if attributes & _CONTROL and _aborts(body):
            fetch._aborted_producers.discard(producer)
        if attributes & _TRANSACTIONAL and producer in fetch._aborted_producers:
            return False
    return not attributes & _CONTROL


def _aborts(body: memoryview) -> bool:
    """Whether a control batch's record ends a transaction by aborting it."""
    out = np.empty((6, 1), np.int64)
    data = np.frombuffer(body, np.uint8)
    if _records(data, np.array([[0, data.size, 1, 0, 0, 0]]), 0, out) != 1:
        return False
    return bool(ControlRecord.parse(bytes(body[out[2, 0] : out[3, 0]])) == ABORT_MARKER)


def unpacked(parts: list[bytes], rows: list[tuple[int, int, int, int, int, int]], position: int, tp: object) -> Fetched:
    """The records of decompressed batches, which lie one behind the other as `rows` say (see `_records`). Raises
    CorruptRecordException."""
    data = np.frombuffer(b"".join([*parts, bytes(PAD)]), np.uint8)
    batches = np.array(rows, np.int64).reshape(-1, 6)
    out = np.empty((6, int(batches[:, 2].sum())), np.int64)
    n = _records(data, batches, position, out)
    if n < 0:
        raise CorruptRecordException(f"broken batch at offset {rows[-1 - n][3]} of {tp}")
    return Fetched(out[0, :n], out[1, :n], Spans(data, out[2, :n], out[3, :n]), Spans(data, out[4, :n], out[5, :n]))


assert NULL == -1  # noqa: S101 - the kernels write it
