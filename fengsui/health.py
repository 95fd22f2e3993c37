"""A worker's own HTTP: /metrics, /healthz, /readyz."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connectors.http.server import RunningServer
from fengsui.settings import Settings


def health_app(ready: Callable[[], bool], stuck: Callable[[], list[str]]) -> Starlette:
    """The three pages; ready is 503 until every owned task is live, health is 503 when the process must be started again."""

    async def metrics(_: Request) -> Response:
        page = await asyncio.get_running_loop().run_in_executor(None, generate_latest)
        return Response(page, media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        names = stuck()
        return PlainTextResponse(f"stuck: {', '.join(names)}\n", 503) if names else PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("not ready\n", 503)

    pages = {"/metrics": metrics, "/healthz": healthz, "/readyz": readyz}
    return Starlette(routes=[Route(path, page, methods=["GET"]) for path, page in pages.items()])


@asynccontextmanager
async def serving_health(
    settings: Settings, ready: Callable[[], bool], stuck: Callable[[], list[str]]
) -> AsyncIterator[str]:
    """Serve in this event loop; yields the base URL."""
    server = RunningServer(health_app(ready, stuck), settings.bind, settings.metrics_port)
    task = asyncio.create_task(server.run())
    try:
        yield server.url
    finally:
        server.stop_soon()
        await task
