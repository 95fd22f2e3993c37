"""Logs: one line an event, to stderr; JSON where nobody reads along. Secrets never get this far: settings hold them masked."""

import io
import logging
import sys

import structlog

from fengsui.settings import Settings
from streams.metrics import LOST_LOG_LINES


class _Sturdy(io.StringIO):
    """stderr of the moment; a line that cannot be written (a full disk) is counted, and must not end whoever wrote it."""

    def write(self, text: str) -> int:
        """Write, or count."""
        try:
            return sys.stderr.write(text)
        except OSError:
            LOST_LOG_LINES.inc()
            return len(text)

    def flush(self) -> None:
        """Flush; what is lost was counted when it was written, or is now."""
        try:
            sys.stderr.flush()
        except OSError:
            LOST_LOG_LINES.inc()


def _to_stderr(*_: object) -> structlog.PrintLogger:
    """A logger on whatever stderr is now: it may have been put in the place of another since."""
    return structlog.PrintLogger(_Sturdy())


def to_stderr() -> None:
    """Before any settings are read: whatever is logged goes to stderr, stdout belongs to answers."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=_to_stderr,
    )


def configure(settings: Settings) -> None:
    """Set up structlog and the libraries' loggers, once a process."""
    level = getattr(logging, settings.log_level.upper())
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_to_stderr,
    )
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=_Sturdy(), format="%(levelname)s %(name)s %(message)s"
    )
