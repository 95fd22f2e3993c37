"""`fengsui up`, `fengsui worker` and `fengsui gateway`."""

from typing import Annotated

from cyclopts import Parameter

from fengsui.cli.common import Failed, connected, say
from fengsui.settings import load


def up(*, workers: Annotated[int, Parameter(help="工作进程数 (worker processes)")] = 1) -> None:
    """在前台启动全部服务 (everything in the foreground, until Ctrl-C)."""
    from fengsui.engine import engine
    from fengsui.logs import configure

    settings = load()
    configure(settings)
    with engine(settings, workers) as running:
        say(f"烽燧已就绪 (ready): HTTP {running.http_url}  Kafka {running.settings.kafka}{_ports(running.ports)}")
        for url in running.worker_urls:
            say(f"  指标 (metrics) {url}/metrics")
        running.wait()


def worker() -> None:
    """再加入一个工作进程 (one more worker of the group)."""
    from fengsui.crew import telling
    from fengsui.logs import configure
    from fengsui.runfile import with_run
    from fengsui.worker import run_worker

    settings = with_run(load())
    configure(settings)
    with telling(settings) as tell:
        run_worker(settings, lambda url: tell(url, {}))


def gateway() -> None:
    """只运行网关 (the gateways alone: HTTP, HJ 212, GB/T 26875.3, for an engine that runs elsewhere)."""
    from fengsui.crew import telling
    from fengsui.gateway import Addresses, run_gateway
    from fengsui.logs import configure

    settings = connected()
    configure(settings)
    with telling(settings) as tell:

        def ready(addresses: Addresses) -> None:
            tell(addresses.http, addresses.ports)
            say(f"网关已就绪 (ready): HTTP {addresses.http}{_ports(addresses.ports)}")

        try:
            run_gateway(settings, ready)
        except OSError as error:
            raise Failed(f"a port cannot be opened: {error.strerror or error}") from error


def _ports(ports: dict[str, int]) -> str:
    return "".join(f"  {name} {port}" for name, port in sorted(ports.items()))
