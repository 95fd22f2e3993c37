"""`fengsui archive`: prove that the archive is whole, and ask it questions."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from fengsui.cli.common import Failed, Wrong, say, say_json
from fengsui.runfile import with_run
from fengsui.settings import Settings, SettingsError, load

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]
Directory = Annotated[Path | None, Parameter(name="--archive", help="The archive's folder; default: the settings'.")]

_WORDS = {
    "missing": "缺失 missing",
    "repeated": "重复 repeated",
    "different": "内容不符 different",
    "unknown": "Kafka 中没有 not in Kafka",
    "unreadable": "文件损坏 unreadable file",
    "hole": "文件缺口 hole between files",
}


app = App(name="archive", help="归档：核验与查询 The archive: verify and query.")


@app.command
def verify(*, archive: Directory = None, wait: float = 0.0, json: Json = False) -> None:
    """Prove that each record a read-committed reader sees up to now is archived once, byte for byte.

    Args:
        archive: The archive's folder.
        wait: Seconds to give the archiver to get there.
    """
    from confluent_kafka import KafkaException

    from connectors.archive import verify as verifying

    if not wait >= 0:
        raise Wrong("--wait must be 0 or more")
    settings = _settings(archive)
    if not settings.kafka:
        raise Wrong("no engine runs here: start one with `fengsui up`, or set FENGSUI_KAFKA")
    try:
        with _progress() as progress:
            report = verifying.verify(
                settings.kafka_client(), settings.topic_prefix, settings.archive_dir, wait=wait, progress=progress
            )
    except KafkaException as error:
        raise Failed(f"Kafka does not answer: {error.args[0].str()}") from error
    except OSError as error:
        raise Wrong(f"{error.filename or settings.archive_dir}: {error.strerror}") from error
    if not report.by_topic:
        raise Wrong(f"no topic begins with {settings.topic_prefix!r} in this cluster: nothing to verify")
    if json:
        say_json(report.as_json())
    else:
        _show(report)
    if not report.ok:
        raise Failed("the archive differs from Kafka: " + ", ".join(f"{n} {w}" for w, n in report.counts.items()))


@app.command
def query(sql: str, *, archive: Directory = None, limit: int = 100, seconds: float = 60.0, json: Json = False) -> None:
    """Ask one SELECT; tables are the topics: events_iot, clues, clue_log, warnings_fire_rescue ...

    Beside the decoded columns each has _partition, _offset, _ts (ms), _key, _value, _headers and date.

    Args:
        sql: The query.
        archive: The archive's folder.
        limit: Rows to show at most.
        seconds: Time to answer at most.
    """
    from connectors.archive.query import Limits, QueryFailed
    from connectors.archive.query import query as ask
    from connectors.archive.sql import SqlRefused

    if limit < 1 or not 0 < seconds <= 3600:  # noqa: PLR2004 - an hour
        raise Wrong("--limit must be at least 1, --seconds between 0 and 3600")
    root = _settings(archive).archive_dir
    if not root.is_dir():
        raise Wrong(f"no archive at {root}")
    try:
        answer = ask(root, sql, Limits(rows=limit, seconds=seconds))
    except SqlRefused as error:
        raise Wrong(str(error)) from error
    except QueryFailed as error:
        raise Failed(str(error)) from error
    if json:
        say_json({"columns": answer.columns, "rows": answer.rows, "truncated": answer.truncated})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*answer.columns)
    for row in answer.rows:
        table.add_row(*("" if value is None else _cell(value) for value in row))
    Console().print(table)
    say(f"{len(answer.rows)} 行 rows" + ("，还有更多 and more" if answer.truncated else ""))


def _cell(value: Any) -> str:
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "·" for c in str(value)))


def _settings(archive: Path | None) -> Settings:
    try:
        settings = with_run(load())
    except SettingsError as error:
        raise Wrong(str(error)) from error
    return settings if archive is None else settings.model_copy(update={"archive_dir": archive})


def _show(report: Any) -> None:
    for topic, records in sorted(report.by_topic.items()):
        if records:
            say(f"  {topic:<32} {records:>12,}")
    for name, count in sorted(report.deleted.items()):
        say(f"  {name}: Kafka 在归档前已删除 {count} 个位点 offsets that Kafka had deleted before they were archived")
    for name, count in sorted(report.expired.items()):
        say(f"  {name}: Kafka 已过期 {count} 条，仅存于归档 records that only the archive has by now")
    for found in report.differences:
        where = f"{found.topic}/{found.partition}/{found.offset}"
        say(f"  {_WORDS[found.what]}: {where} {found.detail}".rstrip())
    word = "一致 whole" if report.ok else "不一致 NOT whole"
    say(f"归档{word}：比对 compared {report.records:,} 条 records，{report.seconds:.1f} s")


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None] | None]:
    """A callback that draws on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("核验 verifying")
        yield lambda topic, records: bar.update(task, description=f"核验 verifying {topic}: {records:,}")
