"""`fengsui send`, `fengsui replay`, `fengsui decode`: the gateways from a shell."""

import base64
import binascii
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter

from fengsui.cli.common import Failed, Wrong, connected, say, say_json

if TYPE_CHECKING:
    from connectors.protocols.stream import Splitter

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]
_PAIR: Final = 2
CHUNK: Final = 1 << 16
Decoder = Callable[[Iterable[bytes]], Iterator[dict[str, Any]]]


def register(app: App) -> None:
    """Put the commands on the command line."""
    app.command(send)
    app.command(replay)
    app.command(decode)


def send(kind: str, file: Path, *, json: Json = False) -> None:
    """Send events whose rows have the event's own field names (JSON lines, CSV or Parquet, also .gz) onto the topics.

    Args:
        kind: inspection, penalty, complaint, iot, video or opinion.
        file: The file; what it is goes by its name.
    """
    from connectors import files
    from topics.events import KINDS

    if kind not in KINDS:
        raise Wrong(f"no such kind: {kind[:40]} (there are {', '.join(KINDS)})")
    with _writing() as (writer, progress):
        counts = files.send(KINDS[kind], file, writer, progress=progress)
    _report(counts, as_json=json)


def replay(
    file: Path,
    *,
    mapping: Annotated[Path, Parameter(name="--mapping")],
    speed: float | None = None,
    json: Json = False,
) -> None:
    """Replay a table through a mapping file onto the topics.

    Args:
        file: CSV, JSON lines or Parquet, also .gz.
        mapping: YAML: which column becomes which field (docs/gateways.md).
        speed: How many times as fast as it happened; without it, as fast as it goes.
    """
    from connectors import files

    if speed is not None and not 0 < speed < float("inf"):
        raise Wrong("--speed must be more than 0")
    with _writing() as (writer, progress):
        plan = files.load_mapping(mapping)
        counts = files.replay(file, plan, writer, pace=files.Pace(speed), progress=progress)
    _report(counts, as_json=json)


def decode(
    protocol: str,
    file: Annotated[str, Parameter(allow_leading_hyphen=True)] = "-",
    *,
    sm4_key: Annotated[str, Parameter(name="--sm4-key", env_var="FENGSUI_SM4_KEY")] = "",
) -> None:
    """Decode frames of a gateway protocol: raw bytes in, one JSON object a line out; a bad frame never ends it.

    Args:
        protocol: cloudevents, hj212, gb26875 or gat1400.
        file: The bytes; - is standard input.
        sm4_key: 32 hexadecimal digits, for encrypted HJ 212 frames; without it, the key of the standard's example. In the
            environment nobody else sees it.
    """
    if protocol not in DECODERS:
        raise Wrong(f"no such protocol: {protocol[:40]} (there are {', '.join(DECODERS)})")
    decoder = partial(hj212_frames, key=_sm4_key(sm4_key)) if protocol == "hj212" and sm4_key else DECODERS[protocol]
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as source:
            for one in decoder(_chunks(source)):
                say_json(one)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise Wrong(f"{file}: {error.strerror}") from error


def _sm4_key(digits: str) -> bytes:
    from connectors.protocols import sm4

    key = sm4.key_of(digits)
    if key is None:
        raise Wrong("--sm4-key is 32 hexadecimal digits")
    return key


def _chunks(source: Any) -> Iterator[bytes]:
    """What has come, as it comes: frames of a pipe that stays open are printed when they are complete."""
    while chunk := source.read1(CHUNK):
        yield chunk


def hj212_frames(chunks: Iterable[bytes], key: bytes | None = None) -> Iterator[dict[str, Any]]:
    """A stream of HJ 212 -> one object a frame or error. `key`: SM4, for every device."""
    from connectors.protocols import hj212

    yield from _streamed(hj212.splitter(lambda _mn: key) if key else hj212.splitter(), hj212.describe, chunks)


def gb26875_frames(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """A stream of GB/T 26875.3 -> one object a frame or error."""
    from connectors.protocols import gb26875

    yield from _streamed(gb26875.splitter(), gb26875.describe, chunks)


def _streamed(
    reader: "Splitter[Any]", describe: Callable[[Any], dict[str, Any]], chunks: Iterable[bytes]
) -> Iterator[dict[str, Any]]:
    for chunk in chunks:
        yield from map(describe, reader.feed(chunk))
    yield from map(describe, reader.flush())


def gat1400_bodies(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Bodies of GA/T 1400 as JSON, one, an array, or one a line -> one object a body; also a Digest header."""
    from connectors.protocols import gat1400
    from connectors.protocols.stream import Fault

    data = b"".join(chunks)
    if data.lstrip()[:7].lower() == b"digest ":
        yield gat1400.decode_authorization(data.decode("utf-8", "replace"))
        return
    value = gat1400.read_json(data)
    if isinstance(value, list):
        yield from (gat1400.describe(gat1400.decode_value(one)) for one in value)
        return
    lines = [line for line in data.splitlines() if line.strip()]
    if isinstance(value, Fault) and len(lines) > 1:
        yield from (gat1400.describe(gat1400.decode(line)) for line in lines)
        return
    yield gat1400.describe(gat1400.decode_value(value) if not isinstance(value, Fault) else value)


def cloudevents_messages(data: bytes) -> Iterator[dict[str, Any]]:
    """HTTP messages as JSON `{"headers": …, "body": …}`, one, an array, or one a line -> one object a message."""
    from connectors import cloudevents
    from topics.wire import Refused

    try:
        given = cloudevents.read_json(data)
        for message in given if isinstance(given, list) else [given]:
            yield _cloudevent(message)
    except Refused as whole:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2:  # noqa: PLR2004 - not lines, but one broken text
            yield {"ok": False, "reason": whole.reason, "detail": whole.detail}
            return
        for line in lines:
            yield from cloudevents_messages(line)


def _cloudevents(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    return cloudevents_messages(b"".join(chunks))


DECODERS: Final[dict[str, Decoder]] = {
    "cloudevents": _cloudevents,
    "hj212": hj212_frames,
    "gb26875": gb26875_frames,
    "gat1400": gat1400_bodies,
}


def _cloudevent(message: Any) -> dict[str, Any]:
    from connectors import cloudevents

    if not isinstance(message, dict):
        return {"ok": False, "reason": cloudevents.REASON, "detail": "not an object with headers and body"}
    if "headers" not in message and "specversion" in message:  # a bare event: what its media type would say is plain
        message = {"headers": {"Content-Type": cloudevents.STRUCTURED}, "body": message}
    headers = message.get("headers") or {}
    given = list(headers.items()) if isinstance(headers, dict) else headers
    pairs = isinstance(given, list) and all(isinstance(one, list | tuple) and len(one) == _PAIR for one in given)
    if not pairs:
        return {"ok": False, "reason": cloudevents.REASON, "detail": "headers are neither an object nor pairs"}
    try:
        body = _body(message.get("body"), str(message.get("body_encoding", "utf-8")))
    except (ValueError, LookupError, binascii.Error) as error:
        return {"ok": False, "reason": cloudevents.REASON, "detail": f"body: {error}"[:200]}
    return cloudevents.describe(cloudevents.decode([(str(k), str(v)) for k, v in given], body))


def _body(body: Any, encoding: str) -> bytes:
    if body is None:
        return b""
    if not isinstance(body, str):
        return msgspec.json.encode(body)
    if encoding == "hex":
        return bytes.fromhex(body)
    return base64.b64decode(body, validate=True) if encoding == "base64" else body.encode(encoding)


@contextmanager
def _writing() -> Iterator[tuple[Any, Any]]:
    """A writer to the running engine's Kafka, and a progress callback; errors become what the command line says."""
    from connectors.files import FileError, MappingError
    from connectors.producing import BrokerGone, EventWriter, QueueFull

    settings = connected()
    try:
        with _progress() as progress:
            writer = EventWriter(settings.kafka_client(), prefix=settings.topic_prefix, ack_seconds=30)
            try:
                yield writer, progress
            finally:
                writer.close(1)
    except (FileError, MappingError) as error:
        raise Wrong(str(error)) from error
    except (BrokerGone, QueueFull) as error:
        raise Failed(f"Kafka does not take the events: {error}") from error
    except OSError as error:
        raise Wrong(f"{error.filename or 'file'}: {error.strerror}") from error


@contextmanager
def _progress() -> Iterator[Any]:
    """A callback for counts that draws on a terminal, and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("读取 reading")

        def show(counts: Any) -> None:
            refused = sum(counts.rejected.values())
            bar.update(
                task, description=f"已读 read {counts.read:,} · 已发 sent {counts.sent:,} · 拒绝 rejected {refused:,}"
            )

        yield show


def _report(counts: Any, *, as_json: bool) -> None:
    found = counts.as_json()
    if as_json:
        say_json(found)
    else:
        say(
            f"读取 read {found['read']}，发送 sent {found['sent']}，"
            f"跳过 skipped {found['skipped']}，拒绝 rejected {found['rejected']}"
        )
        for reason, count in sorted(counts.rejected.items()):
            say(f"  {reason}: {count}")
    if found["rejected"] and not found["sent"]:
        raise Failed("every row was rejected")
