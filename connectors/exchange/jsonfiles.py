"""JSON as lines, as an array, or as one object that holds the array ({"RECORDS": [...]}): its records in pieces of bounded size.

>>> found, used = elements(b'{"a": "]},{"}, 7 ,{"b": [1]}] ')
>>> found, used
([b'{"a": "]},{"}', b'7 ', b'{"b": [1]}'], 31)
"""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from connectors.exchange.source import BadRow, Piece, SourceError
from connectors.exchange.textfiles import encoding_of
from connectors.files.reading import opened
from topics.catalogue import EVENT_BYTES
from topics.compiled import compiled

_BLOCK: Final = 1 << 20
_ARRAY: Final = re.compile(rb'\s*(?:\{\s*"[^"\\]{1,60}"\s*:\s*)?\[')
_RECORD: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RECORDS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_SHOWN: Final = 2000
_END: Final = -2
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


class JsonFile:
    """A JSON file and its encoding."""

    def __init__(self, path: Path) -> None:
        """Looks at the whole file once. Raises SourceError or OSError."""
        self.path = path
        self.encoding, self.lines = encoding_of(path)
        with opened(path) as file:
            self._head = _ARRAY.match(_utf8(file.read(4096).removeprefix(codecs.BOM_UTF8), self.encoding))

    @property
    def array(self) -> bool:
        """Whether it is one array."""
        return self._head is not None

    def pieces(self) -> Iterator[Piece]:
        """Its records; a record's line is its line, or its place in the array (from 1)."""
        with opened(self.path) as file:
            blocks = _blocks(file, self.encoding)
            yield from self._of_array(blocks) if self.array else self._of_lines(blocks)

    def _of_lines(self, blocks: Iterator[bytes]) -> Iterator[Piece]:
        rest, line = b"", 1
        for block in blocks:
            *lines, rest = (rest + block).split(b"\n")
            self._bounded(rest)
            if lines:
                yield _piece(lines, line)
                line += len(lines)
        if rest.strip():
            yield _piece([rest], line)

    def _of_array(self, blocks: Iterator[bytes]) -> Iterator[Piece]:
        assert self._head is not None  # noqa: S101 - `array` says so
        rest, place, cut = b"", 1, self._head.end()
        for block in blocks:
            data = rest + block
            if cut:
                if len(data) < cut:
                    rest = data
                    continue
                data, cut = data[cut:], 0
            found, used = elements(data)
            if found:
                yield _piece(found, place)
                place += len(found)
            if used == len(data) + 1:
                return
            rest = data[used:]
            self._bounded(rest)
        raise SourceError(f"{self.path.name}: 数组没有结尾 the array does not end", "bad-json")

    def _bounded(self, rest: bytes) -> None:
        if len(rest) > EVENT_BYTES + _BLOCK:
            raise SourceError(
                f"{self.path.name}: 一条记录超过 one record has more than {EVENT_BYTES} bytes", "too-large"
            )


def elements(data: bytes) -> tuple[list[bytes], int]:
    """The whole elements at the beginning of what stands within an array, and how many bytes they took; one more than there are
    where the array ended."""
    spans = np.empty((len(data) // 2 + 1, 2), np.int64)
    count, used = _spans(np.frombuffer(data, np.uint8), spans)
    return [data[first:last] for first, last in spans[:count].tolist()], len(data) + 1 if used == _END else int(used)


@compiled
def _spans(data: Bytes, spans: Ints) -> tuple[int, int]:
    count, start, used, depth = 0, -1, 0, 0
    quoted, escaped = False, False
    for i in range(data.size):
        c = data[i]
        if quoted:
            if escaped:
                escaped = False
            elif c == 92:  # noqa: PLR2004 - a backslash
                escaped = True
            elif c == 34:  # noqa: PLR2004 - a quote
                quoted = False
            continue
        outer_end = depth == 0 and (c == 44 or c == 93)  # noqa: PLR2004, PLR1714 - a comma or ]
        if outer_end:
            if start >= 0:
                spans[count, 0], spans[count, 1] = start, i
                count += 1
                start = -1
            used = i + 1
            if c == 93:  # noqa: PLR2004 - ]
                return count, -2
            continue
        if start < 0 and c > 32:  # noqa: PLR2004 - no blank
            start = i
        if c == 34:  # noqa: PLR2004
            quoted = True
        elif c == 91 or c == 123:  # noqa: PLR2004, PLR1714 - [ or {
            depth += 1
        elif c == 93 or c == 125:  # noqa: PLR2004, PLR1714 - ] or }
            depth -= 1
    return count, used


def _piece(records: list[bytes], line: int) -> Piece:
    """Records as rows of text; those that are no objects are bad."""
    lines = pl.int_range(line, line + len(records), dtype=pl.Int64, eager=True)
    kept = [record for record in records if record.strip()]
    if len(kept) < len(records):
        lines = lines.filter(pl.Series([bool(record.strip()) for record in records]))
    bad: list[BadRow] = []
    try:
        members: list[dict[str, Any]] = _RECORDS.decode(b"[" + b",".join(kept) + b"]")
        if len(members) != len(kept):  # a line that holds two records
            raise msgspec.DecodeError
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kept, lines, members, bad = _sorted_out(kept, lines)
    names = sorted(set().union(*members)) if members else []
    upto = line + len(records) - 1
    if not names:
        return Piece(pl.DataFrame(), lines.clear(), bad, upto)
    one_a_line = b"\n".join(record.replace(b"\n", b" ").replace(b"\r", b" ") for record in kept)
    rows = pl.read_ndjson(one_a_line, schema=dict.fromkeys(names, pl.String))
    return Piece(rows, lines, bad, upto)


def _sorted_out(
    records: list[bytes], lines: pl.Series
) -> tuple[list[bytes], pl.Series, list[dict[str, Any]], list[BadRow]]:
    """The records that read, and the others by name."""
    good, members, bad = [], [], []
    for record, line in zip(records, lines.to_list(), strict=True):
        try:
            members.append(_RECORD.decode(record))
            good.append(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reason = "bad-utf8" if "utf-8" in str(error).lower() else "bad-json"
            bad.append(BadRow(line, record.decode("utf-8", "replace")[:_SHOWN], reason, str(error)[:200]))
    mask = lines.is_in(good)
    return [r for r, keep in zip(records, mask, strict=True) if keep], lines.filter(mask), members, bad


def _blocks(file: IO[bytes], encoding: str) -> Iterator[bytes]:
    """The file's bytes as UTF-8, in blocks, without a byte order mark."""
    if encoding == "utf-8":
        block = file.read(_BLOCK).removeprefix(codecs.BOM_UTF8)
        while block:
            yield block
            block = file.read(_BLOCK)
        return
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    while block := file.read(_BLOCK):
        yield decoder.decode(block).encode()


def _utf8(data: bytes, encoding: str) -> bytes:
    return data if encoding == "utf-8" else data.decode(encoding, "ignore").encode()
