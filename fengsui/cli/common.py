"""How every command speaks: exit 0 success, 1 a failed check, 2 wrong use or bad input with one line on stderr."""

import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from fengsui.settings import Settings


class Wrong(Exception):  # noqa: N818 - what the person did, not a failure of ours
    """Wrong use or bad input: one line for stderr, exit code 2."""


class Failed(Exception):  # noqa: N818 - a check said no; nothing broke
    """A check that failed: one line for stderr, exit code 1."""


def connected() -> "Settings":
    """Settings that reach the engine that runs here. Raises Wrong where none does, or a setting is wrong."""
    from fengsui.runfile import with_run
    from fengsui.settings import SettingsError, load

    try:
        settings = with_run(load())
    except SettingsError as error:
        raise Wrong(str(error)) from error
    if not settings.kafka:
        raise Wrong("no engine runs here: start one with `fengsui up`, or set FENGSUI_KAFKA")
    return settings


def say(text: str = "") -> None:
    """One line for people on stdout."""
    sys.stdout.write(text + "\n")


def say_json(value: dict[str, Any]) -> None:
    """One JSON object on one line of stdout, Chinese left readable."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str) + "\n")
    sys.stdout.flush()


def leave(code: int, reason: str) -> NoReturn:
    """Exit with a one-line reason on stderr."""
    sys.stderr.write(" ".join(reason.split()) + "\n")
    raise SystemExit(code)
