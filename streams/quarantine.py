"""Finding the one record on which a stage fails, so that a fault of ours never stops a stream.

After a failure the task recovers and reads the same records again; the suspected range is then decided in ever smaller parts,
and a part of one row that fails is poisonous: it goes to the dead letters.
"""

from collections.abc import Iterator, Mapping

from streams.chunk import Chunk, cut


class Quarantine:
    """Suspected ranges and poisonous rows of one task, in memory: a new owner finds them again."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, int, int]] = {}
        self._poison: set[tuple[str, int]] = set()

    def suspect(self, part: Chunk) -> None:
        """The stage failed on this part."""
        if len(part) == 1:
            self._poison.add((part.topic, int(part.offsets[0])))
        else:
            self._rows[part.topic] = (part.prev, part.end, max(1, len(part) // 8))

    def decided(self, ends: Mapping[str, int]) -> None:
        """Forget the poisonous rows before these offsets of their topics: they are among the dead letters."""
        if self._poison:
            self._poison = {(topic, offset) for topic, offset in self._poison if offset >= ends.get(topic, 0)}

    def split(self, chunk: Chunk) -> Iterator[tuple[Chunk, bool]]:
        """The chunk in parts, each with whether it is one poisonous row. Untouched where nothing is suspected."""
        if chunk.topic not in self._rows and not self._poison:
            yield chunk, False
            return
        for part in self._parts(chunk):
            yield from self._around_poison(part)
        first, end, _ = self._rows.get(chunk.topic, (0, 0, 0))
        if chunk.end >= end > first:
            self._rows.pop(chunk.topic, None)

    def _parts(self, chunk: Chunk) -> Iterator[Chunk]:
        first, end, rows = self._rows.get(chunk.topic, (0, 0, 0))
        if not rows or chunk.end <= first or chunk.prev >= end:
            yield chunk
            return
        for row in range(0, len(chunk), rows):
            yield cut(chunk, row, min(row + rows, len(chunk)))

    def _around_poison(self, part: Chunk) -> Iterator[tuple[Chunk, bool]]:
        bad = [i for i, offset in enumerate(part.offsets.tolist()) if (part.topic, offset) in self._poison]
        start = 0
        for row in bad:
            if row > start:
                yield cut(part, start, row), False
            yield cut(part, row, row + 1), True
            start = row + 1
        if start < len(part):
            yield (cut(part, start, len(part)) if start else part), False
