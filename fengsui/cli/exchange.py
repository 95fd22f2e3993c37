"""`fengsui exchange`: departments' tables, cleaned by named rules, onto the topics; resumable."""

import os
import re
import secrets
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from fengsui.cli.common import Failed, Wrong, connected, say, say_json
from fengsui.runfile import with_run
from fengsui.settings import Settings, load

if TYPE_CHECKING:
    from connectors.exchange import Batch, Outcome

Flag = Annotated[bool, Parameter(negative="")]
_ENVIRONMENT: Final = "env:"
_KEY_BYTES: Final = 32
_SHORTEST_KEY: Final = 16
_ACK_SECONDS: Final = 30
_ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Which part of a source."""

    sheet: str | None = None
    table: str | None = None
    query: str | None = None


def exchange(
    form: str,
    source: str,
    *,
    report: Path | None = None,
    table: str | None = None,
    query: str | None = None,
    sheet: str | None = None,
    sector: str | None = None,
    dry_run: Flag = False,
    restart: Flag = False,
    json: Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")] = False,
) -> None:
    """批量交换 Batch exchange: tickets, penalties or inspections out of a table, cleaned, checked, onto the topics.

    Run again after an interruption, it goes on where Kafka's acknowledgements ended. What was mended, warned of or refused is
    counted by rule; all but the mended is listed in the report (docs/gateways.md).

    Args:
        form: hotline (12345 工单), penalty (双公示), penalty-zj (双公示, 浙江) or inspection (行政检查).
        source: CSV (UTF-8 or GB 18030), XLSX, JSON or Parquet; a database URL; env:NAME, where the environment has the URL.
        report: CSV file of warnings and refusals; progress is kept beside it. Default: named after source and form, here.
        table: Table of the database.
        query: SELECT of the database.
        sheet: Sheet of an XLSX, by name or number; without it the first visible one.
        sector: Key sector of rows that do not say theirs; without it, told by the name of the institution.
        dry_run: Read, clean, check and report; send nothing.
        restart: Begin anew, whatever was sent before (ids repeat, and the engine drops them).
    """
    from connectors.exchange import FORMS, is_database
    from topics.codes import SECTORS

    if form not in FORMS:
        raise Wrong(f"no such form: {form[:40]} (there are {', '.join(FORMS)})")
    if sector is not None and sector not in SECTORS:
        raise Wrong(f"no such sector: {sector[:40]} (there are {', '.join(SECTORS)})")
    if source.startswith(_ENVIRONMENT):
        source = os.environ.get(source.removeprefix(_ENVIRONMENT), "")
    if not is_database(source) and (table or query):
        raise Wrong("--table 和 --query 只用于数据库 are for databases")
    asked = Asked(sheet, table, query)
    place = report or Path(_report_name(source, form, asked, dry=dry_run))
    with _told(), _batch(form, source, asked, place, sector, dry=dry_run, restart=restart) as batch:
        from connectors.exchange import exchange as run

        outcome = run(batch)
    _say(outcome, place, batch.form.zh, dry=dry_run, as_json=json)


def _report_name(source: str, form: str, asked: Asked, *, dry: bool) -> str:
    """A report's name out of what is read: another for each sheet, table and query; never with a password in it.

    >>> _report_name("data/cf.xlsx", "penalty", Asked(sheet="1"), dry=False)
    'cf.xlsx.1.penalty.report.csv'
    >>> _report_name("mysql://a:b@h/d", "hotline", Asked(table="t"), dry=True)
    'database-t.hotline.dry-run.report.csv'
    """
    if "://" not in source:
        name = Path(source).name + (f".{asked.sheet}" if asked.sheet else "")
    elif asked.table:
        name = f"database-{asked.table}"
    else:
        name = f"database-query-{zlib.crc32((asked.query or '').encode()):08x}"
    plain = re.sub(r"[^\w.-]+", "_", name)
    return f"{plain}.{form}{'.dry-run' if dry else ''}.report.csv"


@contextmanager
def _batch(
    form: str, source: str, asked: Asked, report: Path, sector: str | None, *, dry: bool, restart: bool
) -> "Iterator[Batch]":
    """Everything that a batch needs; the writer is closed at the end."""
    from connectors.exchange import FORMS, Batch, Terms, open_source
    from connectors.producing import EventWriter

    settings = with_run(load()) if dry else connected()
    opened = open_source(source, FORMS[form], sheet=asked.sheet, table=asked.table, query=asked.query)
    terms = Terms(_person_key(settings), sector)
    with _progress(opened.total) as tell:
        if dry:
            yield Batch(FORMS[form], opened, terms, report, tell=tell)
            return
        writer = EventWriter(settings.kafka_client(), prefix=settings.topic_prefix, ack_seconds=_ACK_SECONDS)
        try:
            yield Batch(FORMS[form], opened, terms, report, writer, _target(settings), restart, tell=tell)
        finally:
            writer.close(1)


@contextmanager
def _told() -> Iterator[None]:
    """Errors become what the command line says."""
    from connectors.exchange import FormError, ProgressError, SourceError
    from connectors.producing import BrokerGone, QueueFull

    try:
        yield
    except (SourceError, FormError, ProgressError) as error:
        raise Wrong(str(error)) from error
    except (BrokerGone, QueueFull) as error:
        raise Failed(
            f"Kafka 未确认，重新执行即可续传 Kafka does not take the events, run it again to go on: {error}"
        ) from error
    except OSError as error:
        raise Wrong(f"{error.filename or 'file'}: {error.strerror}") from error


def _target(settings: Settings) -> str:
    """Which Kafka and which topics: an address may come back with another broker behind it. Raises Failed."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client: dict[str, Any] = {**settings.kafka_client(), "log_level": 0}
    try:
        cluster = AdminClient(client).list_topics(timeout=_ANSWER_SECONDS)
    except KafkaException as error:
        raise Failed(f"Kafka 没有应答 Kafka does not answer: {error.args[0].str()}") from error
    return f"{cluster.cluster_id}/{settings.topic_prefix}"


def _person_key(settings: Settings) -> bytes:
    """The key of persons' tokens: the setting, or one of the data directory that is made once. Raises Wrong."""
    given = settings.person_key.get_secret_value().encode()
    if given:
        if len(given) < _SHORTEST_KEY:
            raise Wrong(f"FENGSUI_PERSON_KEY: at least {_SHORTEST_KEY} characters")
        return given
    path = settings.data_dir / "person.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        aside.touch(0o600)
        aside.write_bytes(secrets.token_bytes(_KEY_BYTES))
        try:
            os.link(aside, path)  # whoever comes first makes it, whole
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    return path.read_bytes()


@contextmanager
def _progress(total: int | None) -> Iterator[Any]:
    """A callback for counts that draws on a terminal, and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    bars = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn()) if total else ()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), *bars)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("读取 reading", total=total)

        def show(tally: Any) -> None:
            refused = sum(tally.refused.values())
            text = f"已读 read {tally.read:,} · 已发 sent {tally.sent:,} · 拒绝 refused {refused:,}"
            bar.update(task, description=text, completed=tally.read)

        yield show


def _say(outcome: "Outcome", report: Path, zh: str, *, dry: bool, as_json: bool) -> None:
    from connectors.exchange.rules import RULES

    found = outcome.tally.as_json()
    if as_json:
        more = {
            "dry_run": dry,
            "from_line": outcome.from_line,
            "finished_before": outcome.before,
            "report": str(report),
        }
        say_json(found | more | {"unknown_columns": outcome.unknown, "absent_columns": outcome.absent})
    else:
        _say_text(outcome, found, report, zh, dry=dry)
        for word, rules in (
            ("修正 mended", "mended"),
            ("提示 warned", "warned"),
            ("拒绝 refused", "refused"),
            ("跳过 skipped", "skipped"),
        ):
            for code, count in found[rules].items():
                say(f"  {word} {code}: {count:,}  {RULES[code].zh} {RULES[code].en}")
    if found["refused"] and not found["sent"]:
        raise Failed("每一行都被拒绝 every row was refused")


def _say_text(outcome: "Outcome", found: dict[str, Any], report: Path, zh: str, *, dry: bool) -> None:
    refused, skipped = sum(found["refused"].values()), sum(found["skipped"].values())
    sent = ("可发送", "to be sent") if dry else ("发送", "sent")
    say(
        f"{zh}：读取 {found['read']:,} 行，{sent[0]} {found['sent']:,}，跳过 {skipped:,}，拒绝 {refused:,}；报告 {report}"
    )
    say(
        f"read {found['read']:,}, {sent[1]} {found['sent']:,}, skipped {skipped:,}, refused {refused:,}; report {report}"
    )
    if outcome.before:
        say("此前已全部完成，未再发送；--restart 重新开始 finished before, nothing was sent; --restart begins anew")
    elif outcome.from_line:
        say(f"自第 {outcome.from_line + 1:,} 行续传 went on from line {outcome.from_line + 1:,}")
    if outcome.unknown:
        say(f"未识别的列 columns not known: {'、'.join(outcome.unknown)[:300]}")
    if outcome.absent:
        say(f"缺少的应填列 columns asked for and absent: {'、'.join(outcome.absent)[:300]}")
