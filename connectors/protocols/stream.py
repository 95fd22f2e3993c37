"""A stream of bytes -> frames and named errors, however it was cut. Memory is bounded; the protocol decides what a frame is.

A protocol gives `scan`: what stands at a start mark, one of
- `None`: more bytes are needed to tell;
- `(end, frame)`: a frame of `end - at` bytes;
- `(end, Fault)`: no frame, but where it ends is known;
- `(UNKNOWN, Fault)`: no frame, and nothing says where it ends.

What `scan` answers may depend only on the bytes from `at` on, never on how many of them are there yet: then every split of the
same bytes gives the same frames and the same errors.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

F = TypeVar("F")
UNKNOWN: Final = -1
PIECE: Final = 4096  # an error holds at most this many bytes of garbage; more of it is another error


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something cannot be taken (a frame, a body, an object in one): reason, detail for people, facts for machines."""

    reason: str
    detail: str = ""
    facts: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Bad:
    """Bytes that are no frame: named reason, the bytes, and where in the stream they began and reading goes on."""

    reason: str
    detail: str
    raw: bytes
    start: int
    resume: int
    facts: dict[str, Any] | None = None

    def describe(self) -> dict[str, Any]:
        """As one JSON object: `ok`, `reason`, `detail`, `start`, `resume`, the bytes in hex, the facts."""
        about = {"ok": False, "reason": self.reason, "detail": self.detail, "start": self.start, "resume": self.resume}
        return about | {"raw_hex": self.raw.hex()} | (self.facts or {})


Scan = Callable[[bytes, int, bool], tuple[int, F | Fault] | None]


@dataclass(frozen=True, slots=True)
class Framing(Generic[F]):
    """How frames lie in a stream.

    `start`: the mark that a frame begins with. `again`: where reading goes on after an error, a pattern for bytes that are
    plausible as a start; it looks at no more than `reach` bytes. `stop`: what ends an error before the next start (or empty).
    `blank`: bytes between frames that nobody needs to hear of.
    """

    scan: Scan[F]
    start: bytes
    again: re.Pattern[bytes]
    reach: int
    stop: bytes = b""
    blank: bytes = b""


class Splitter(Generic[F]):
    """Bytes in, frames and errors out, in order. Holds at most one frame, or one piece of garbage, and the last chunk."""

    def __init__(self, framing: Framing[F]) -> None:
        self._framing = framing
        self._held = b""
        self._offset = 0  # of the first held byte in the stream
        self._fault: Fault | None = None  # why the held bytes are being skipped, if they began with a start mark

    @property
    def held(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._held)

    def feed(self, data: bytes) -> list[F | Bad]:
        """What these bytes complete."""
        self._held += data
        return self._run(last=False)

    def flush(self) -> list[F | Bad]:
        """What is left, as if nothing followed: at the end of the stream, or when it has been silent for long."""
        found = self._run(last=True)
        self._offset += len(self._held)
        self._held, self._fault = b"", None
        return found

    def _run(self, *, last: bool) -> list[F | Bad]:
        framing, held, at = self._framing, self._held, 0
        found: list[F | Bad] = []
        while at < len(held):
            if self._fault is not None or not held.startswith(framing.start, at):
                end = self._skip(held, at, found, last=last)
                if end == at:
                    break
                at = end
                continue
            outcome = framing.scan(held, at, last)
            if outcome is None:
                break
            end, what = outcome
            if not isinstance(what, Fault):
                found.append(what)
                at = end
            elif end == UNKNOWN:
                self._fault = what
            else:
                inside = held.find(framing.start, at + 1, end)
                at = self._bad(what, held, at, end if inside < 0 else inside, found)
        self._held = held[at:]
        self._offset += at
        return found

    def _skip(self, held: bytes, at: int, found: list[F | Bad], *, last: bool) -> int:
        """Where the bytes from `at` on that are no frame end; `at` when that cannot be told yet."""
        framing, fault = self._framing, self._fault
        window = min(len(held), at + PIECE + framing.reach)
        first = at if fault is None else at + 1  # a frame that failed does not begin again at its own start
        match = framing.again.search(held, first, window)
        end = UNKNOWN if match is None or match.start() > at + PIECE else match.start()
        if fault is not None and framing.stop:
            stop = held.find(framing.stop, at, at + PIECE)
            if stop >= 0 and (end < 0 or stop < end):
                end = stop + len(framing.stop)
        if end < 0:
            if len(held) >= at + PIECE + framing.reach:
                end = at + PIECE
            elif last:
                end = min(len(held), at + PIECE)
            else:
                return at
        self._fault = None
        if fault is None and not held[at:end].strip(framing.blank):
            return end
        return self._bad(fault or Fault("garbage", "no frame begins here"), held, at, end, found)

    def _bad(self, fault: Fault, held: bytes, at: int, end: int, found: list[F | Bad]) -> int:
        start = self._offset + at
        found.append(Bad(fault.reason, fault.detail, held[at:end], start, self._offset + end, fault.facts))
        return end
