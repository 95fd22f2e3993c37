"""`fengsui demo`."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fengsui.cli.common import Failed, say_json
from fengsui.settings import load

RECALL = PRECISION = 0.9


def demo(
    *,
    events: Annotated[int, Parameter(help="事件数 (events of the simulated city, at least 5,000).")] = 50_000,
    seed: Annotated[int, Parameter(help="随机种子 (seed).")] = 7,
    json: Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")] = False,
) -> None:
    """主流程演示: 模拟城市、网关、规则与模型、派发、认领、反馈、归档 (the whole journey on a simulated city)."""
    from rich.console import Console

    from fengsui.demo import run_demo
    from fengsui.demo.report import show
    from fengsui.logs import configure

    settings = load()
    with tempfile.TemporaryDirectory(prefix="fengsui-demo-") as scratch:
        given = settings.model_fields_set
        if "data_dir" not in given:  # a demo begins with nothing, and leaves nothing behind
            settings = load(data_dir=Path(scratch))
        if "archive_flush_seconds" not in given:
            settings = settings.model_copy(update={"archive_flush_seconds": 3.0})
        configure(settings)
        console = Console(file=sys.stdout)
        result = run_demo(settings, events, seed, console)
        show(result, console)
    if json:
        say_json(result)
    whole = result["claimed"] == result["fed_back"] == sum(sum(row.values()) for row in result["clues"].values())
    if not (whole and result["archive_verified"] and result["recall"] >= RECALL and result["precision"] >= PRECISION):
        raise Failed("演示未达标 (the demo fell short of its promises)")
