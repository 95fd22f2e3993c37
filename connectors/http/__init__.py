"""The HTTP gateway: CloudEvents and JSON lines in, 202 once Kafka has acknowledged.

with serving(HttpConfig(writer=EventWriter(client, prefix="fengsui."))) as server:
    httpx.post(f"{server.url}/v1/events", content=body, headers={"Content-Type": "application/x-ndjson"})
"""

from connectors.http.app import HttpConfig, build_app
from connectors.http.body import Limits
from connectors.http.server import RunningServer, ServerError, serve, serving, serving_here

__all__ = ["HttpConfig", "Limits", "RunningServer", "ServerError", "build_app", "serve", "serving", "serving_here"]
