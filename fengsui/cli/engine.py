"""`fengsui up` and `fengsui worker`."""

import json
import os
from typing import Annotated

from cyclopts import Parameter

from fengsui.cli.common import say
from fengsui.settings import load


def up(*, workers: Annotated[int, Parameter(help="工作进程数 (worker processes)")] = 1) -> None:
    """在前台启动全部服务 (everything in the foreground, until Ctrl-C)."""
    from fengsui.engine import engine
    from fengsui.logs import configure

    settings = load()
    configure(settings)
    with engine(settings, workers) as running:
        say(f"烽燧已就绪 (ready): HTTP {running.http_url}  Kafka {running.settings.kafka}")
        for url in running.worker_urls:
            say(f"  指标 (metrics) {url}/metrics")
        running.wait()


def worker() -> None:
    """再加入一个工作进程 (one more worker of the group)."""
    from fengsui.crew import address_file
    from fengsui.logs import configure
    from fengsui.runfile import with_run
    from fengsui.worker import run_worker

    settings = with_run(load())
    configure(settings)
    path = address_file(settings, os.getpid())
    path.parent.mkdir(parents=True, exist_ok=True)

    def tell(url: str) -> None:
        aside = path.with_suffix(".tmp")
        aside.write_text(json.dumps({"url": url}))
        aside.replace(path)

    try:
        run_worker(settings, tell)
    finally:
        path.unlink(missing_ok=True)
