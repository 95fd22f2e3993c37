"""The command line: `fengsui COMMAND …`. Commands are imported when used, so that the shell stays quick."""

import sys

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from fengsui import __version__
from fengsui.cli.common import Failed, Wrong, leave
from fengsui.embedded.supervise import ServiceError
from fengsui.logs import to_stderr
from fengsui.settings import SettingsError

app = App(
    name="fengsui",
    help="烽燧: 流式风险预警引擎 (streaming risk-warning engine).",
    version=__version__,
    version_flags=["--version"],
    result_action="return_value",
)

for _name, _where in {
    "demo": "fengsui.cli.demo:demo",
    "up": "fengsui.cli.engine:up",
    "worker": "fengsui.cli.engine:worker",
    "gateway": "fengsui.cli.engine:gateway",
    "devices": "fengsui.cli.devices:app",
    "decode": "fengsui.cli.gateway:decode",
    "simulate": "fengsui.cli.simulate:app",
    "send": "fengsui.cli.gateway:send",
    "replay": "fengsui.cli.gateway:replay",
    "exchange": "fengsui.cli.exchange:exchange",
    "rules": "fengsui.cli.rules:app",
    "lists": "fengsui.cli.lists:app",
    "clues": "fengsui.cli.clues:app",
    "series": "fengsui.cli.score:series",
    "prequential": "fengsui.cli.score:prequential",
    "archive": "fengsui.cli.archive:app",
    "evidence": "fengsui.cli.evidence:evidence",
    "rejected": "fengsui.cli.rejected:app",
    "bench": "fengsui.cli.bench:bench",
}.items():
    app.command(_where, name=_name)


def main(tokens: list[str] | None = None) -> None:
    """Run one command; exit 0, 1 (a check failed) or 2 (wrong use or bad input), never with a traceback."""
    to_stderr()
    try:
        app(sys.argv[1:] if tokens is None else tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        leave(2, str(error) or type(error).__name__)
    except (Wrong, ServiceError, SettingsError) as error:
        leave(2, str(error))
    except Failed as error:
        leave(1, str(error))
    except KeyboardInterrupt:
        leave(130, "中断 (interrupted)")
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away; nobody is left to tell
        raise SystemExit(1) from None
