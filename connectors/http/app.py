"""`POST /v1/events`, `/v1/readings`, `/metrics`, `/healthz`, `/readyz`: the HTTP door, as an ASGI application.

202 is said only when Kafka has acknowledged every event of the body, dead letters of its bad ones included.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.devices.registry import Devices
from connectors.gateway.pipe import Pipe
from connectors.http import readings
from connectors.http.body import BodyRefused, Limits, read_body, refuse_announced
from connectors.http.callers import Callers, NotAllowed, own, peer_of
from connectors.http.forms import UnknownForm, read_form
from connectors.http.intake import Verdict, judge
from connectors.metrics import GatewayMetrics, shared
from connectors.producing import BrokerGone, Pair, QueueFull, dead_letter
from topics.events import KINDS, Kind
from topics.reasons import REASONS

GATEWAY: Final = "http"
STAGE: Final = "gateway-http"
_TAKEN, _UNAUTHORISED = 202, 401
_HANG_UP: Final = (408, 413)
_THREAD_BYTES: Final = 65_536  # larger bodies are judged beside the event loop, so that others are not kept waiting
_READY_SECONDS: Final = 1.0
_log = structlog.get_logger(__name__)

# Answers that are no event's fault: status -> (code, Chinese, English).
_ANSWERS: Final[dict[int, tuple[str, str, str]]] = {
    400: ("bad-gzip", "gzip 数据有误", "the gzip data is broken"),
    401: ("unauthorised", "缺少令牌或令牌无效", "a bearer token, or a device's name and password, is missing or wrong"),
    403: ("bad-source", "来源地址不允许", "the device may not send from this address"),
    408: ("slow-sender", "请求体发送超时", "the body did not arrive in time"),
    413: ("too-large", "超过大小上限", "larger than the limit"),
    415: ("unknown-form", "不支持的媒体类型或编码", "unsupported media type or encoding"),
    429: ("queue-full", "待写入队列已满，请稍后重试", "too much waits for Kafka; send again later"),
    500: ("internal", "内部错误", "internal error"),
    503: ("broker-gone", "消息总线暂不可用，请稍后重发", "Kafka does not answer; send again later"),
}


def now_ms() -> int:
    """The wall clock, ms UTC."""
    return time.time_ns() // 1_000_000


class Writer(Protocol):
    """What the door needs of a writer; `connectors.producing.EventWriter` is the real one."""

    async def write(self, kind: Kind, pairs: Sequence[Pair], wait_seconds: float = 1.0) -> int:
        """Write events and await their acknowledgement. Raises BrokerGone or QueueFull."""

    async def write_rejected(self, letters: Sequence[bytes], wait_seconds: float = 1.0) -> int:
        """Write dead letters and await their acknowledgement. Raises BrokerGone or QueueFull."""

    def ready(self, seconds: float = 2.0) -> bool:
        """Whether a broker answers."""


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """What the HTTP door is given. `tokens` empty: everybody may send (the door is on 127.0.0.1). `devices` may send their own
    events, and readings if there is a `pipe`, which is of the loop that serves. `dry_run`: judge, answer, write nothing."""

    writer: Writer
    tokens: tuple[str, ...] = field(default=(), repr=False)
    devices: Devices | None = None
    pipe: Pipe | None = None
    dry_run: bool = False
    pipe_seconds: float = 10.0
    limits: Limits | None = None  # None: a body may be 1 MiB, or as large as one event may be
    max_event_bytes: int = 1_048_576
    queue_seconds: float = 1.0
    head_seconds: float = 10.0
    connections: int = 5_000
    connections_per_source: int = 1_000
    host: str = "127.0.0.1"
    port: int = 0
    metrics: GatewayMetrics | None = None
    registry: CollectorRegistry = REGISTRY
    clock: Callable[[], int] = now_ms
    more: tuple[Route, ...] = ()  # routes of device protocols that stand beside ours


def build_app(config: HttpConfig) -> Starlette:
    """The ASGI application of a configuration."""
    door = _Door(config)
    routes = [
        Route("/v1/events", door.events, methods=["POST"]),
        Route("/v1/readings", door.readings, methods=["POST"]),
        Route("/metrics", door.metrics, methods=["GET"]),
        Route("/healthz", door.healthz, methods=["GET"]),
        Route("/readyz", door.readyz, methods=["GET"]),
    ]
    return Starlette(routes=[*routes, *config.more])


class _Door:
    def __init__(self, config: HttpConfig) -> None:
        self._config = config
        self._metrics = config.metrics or shared()
        self._limits = config.limits or Limits(body_bytes=max(Limits().body_bytes, config.max_event_bytes))
        self._callers = Callers(config.tokens, config.devices)
        self._ready: tuple[float, bool] = (0.0, False)

    async def events(self, request: Request) -> Response:
        """Take a body of events; every outcome is an answer with a named reason."""
        return await self._answered(self._events, request)

    async def readings(self, request: Request) -> Response:
        """Take what a registered device measured."""
        return await self._answered(self._readings, request)

    async def _answered(self, take: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
        started = time.monotonic()
        try:
            response = await take(request)
        except ClientDisconnect:
            response = _answer(408)
        except NotAllowed as refused:
            asked = {"WWW-Authenticate": "Bearer"} if refused.status == _UNAUTHORISED else None
            response = _answer(refused.status, headers=asked)
        except BodyRefused as refused:
            response = self._refuse(refused.status, refused.reason, refused.detail)
        except UnknownForm as unknown:
            response = self._refuse(415, "unknown-form", str(unknown))
        except Exception:
            _log.exception("intake failed")
            response = _answer(500)
        self._metrics.request(GATEWAY, response.status_code, time.monotonic() - started)
        return response

    async def _body(self, request: Request) -> bytes:
        """The body under the limits. Raises BodyRefused."""
        refuse_announced(request.headers.get("content-length"), self._limits)
        body = await read_body(request.stream(), request.headers.get("content-encoding", ""), self._limits)
        self._metrics.body(GATEWAY, len(body))
        return body

    async def _events(self, request: Request) -> Response:
        caller = await self._callers.of(request.headers.get("authorization", ""), peer_of(request))
        body = await self._body(request)
        form = read_form(request.headers.items(), body, request.query_params.get("kind", ""))
        now = self._config.clock()
        arguments = (own(form.items, caller.device), now, self._config.max_event_bytes)
        large = len(body) > _THREAD_BYTES
        verdict = await asyncio.to_thread(judge, *arguments) if large else judge(*arguments)
        if self._dry(request):
            refused = [(one.index, one.reason, one.detail) for one in verdict.refused]
            return _dry_answer(400 if form.unreadable else _status(verdict), verdict.accepted, refused)
        if form.unreadable:
            self._count(verdict, written=False)
            return _events_answer(400, verdict)
        return await self._write(verdict, now)

    async def _readings(self, request: Request) -> Response:
        device = await self._callers.device(request.headers.get("authorization", ""), peer_of(request))
        if device is None or self._config.pipe is None:
            raise NotAllowed(_UNAUTHORISED)
        body, now = await self._body(request), self._config.clock()
        try:
            judged = readings.judge(device, body, now)
        except readings.Unreadable as unreadable:
            return self._refuse(400, unreadable.refused.reason, unreadable.refused.detail)
        if self._dry(request):
            return _dry_answer(readings.status_of("", judged), judged.accepted, judged.refused)
        try:
            outcome = await readings.deliver(self._config.pipe, device, body, now, self._config.pipe_seconds)
        except TimeoutError:
            return _answer(503, headers={"Retry-After": "5"})
        status = readings.status_of(outcome, judged)
        if outcome:
            return _answer(status, outcome, {"Retry-After": "1"})
        return _json(status, _told(judged.accepted, judged.refused))

    def _dry(self, request: Request) -> bool:
        """Whether only to judge: by setting, by `?dry_run=1` or by a header `Dry-Run: 1`."""
        asked = (request.query_params.get("dry_run", ""), request.headers.get("dry-run", ""))
        return self._config.dry_run or any(one.lower() in ("1", "true", "yes") for one in asked)

    async def _write(self, verdict: Verdict, now: int) -> Response:
        writer, wait = self._config.writer, self._config.queue_seconds
        letters = [dead_letter(r.reason, f"[{r.index}] {r.detail}", STAGE, r.raw, at=now) for r in verdict.refused]
        writes = [writer.write(KINDS[code], pairs, wait) for code, pairs in verdict.pairs.items()]
        results = await asyncio.gather(*writes, writer.write_rejected(letters, wait), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        if any(isinstance(failure, BrokerGone) for failure in failed):
            return _answer(503, str(failed[0]), {"Retry-After": "5"})
        if any(isinstance(failure, QueueFull) for failure in failed):
            return _answer(429, str(failed[0]), {"Retry-After": "1"})
        if failed:
            raise failed[0]
        self._count(verdict, written=True)
        return _events_answer(_status(verdict), verdict)

    def _count(self, verdict: Verdict, *, written: bool) -> None:
        for refusal in verdict.refused:
            self._metrics.rejected(GATEWAY, refusal.reason)
        for code, pairs in verdict.pairs.items() if written else ():
            self._metrics.accepted(GATEWAY, code, len(pairs))

    def _refuse(self, status: int, reason: str, detail: str) -> Response:
        self._metrics.rejected(GATEWAY, reason)
        # The rest of such a body is not worth reading: hang up instead.
        return _answer(status, detail, {"Connection": "close"} if status in _HANG_UP else None)

    async def metrics(self, _request: Request) -> Response:
        """Everything the process counts, in the text format of Prometheus."""
        return Response(generate_latest(self._config.registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(self, _request: Request) -> Response:
        """The process is alive."""
        return _json(200, {"ok": True})

    async def readyz(self, _request: Request) -> Response:
        """A broker answers; asked at most once a second, however often this is called."""
        if time.monotonic() - self._ready[0] > _READY_SECONDS:
            self._ready = (time.monotonic(), self._ready[1])
            self._ready = (time.monotonic(), await asyncio.to_thread(self._config.writer.ready))
        ready = self._ready[1]
        return _json(200 if ready else 503, {"ok": ready})


def _status(verdict: Verdict) -> int:
    """202 when something was taken, or nothing was sent; else 413 when size alone stood against it, else 422."""
    if verdict.pairs or not verdict.refused:
        return 202
    return 413 if all(refusal.reason == "too-large" for refusal in verdict.refused) else 422


def _events_answer(status: int, verdict: Verdict) -> Response:
    refused = [(one.index, one.reason, one.detail) for one in verdict.refused]
    return _json(status, _told(verdict.accepted, refused))


def _dry_answer(status: int, accepted: int, refused: readings.Refusals) -> Response:
    """What would become of a body: 200 where it would be 202, for nothing was taken."""
    note = {"dry_run": True, "zh": "试运行：仅校验，未写入", "en": "a dry run: judged only, nothing was written"}
    return _json(200 if status == _TAKEN else status, note | _told(accepted, refused))


def _told(accepted: int, refused: readings.Refusals) -> dict[str, Any]:
    return {"accepted": accepted, "rejected": [_rejected(*one) for one in refused]}


def _rejected(index: int, code: str, detail: str) -> dict[str, Any]:
    reason = REASONS[code]
    answer = {"index": index, "reason": reason.code, "zh": reason.zh, "en": reason.en}
    return answer | {"detail": detail} if detail else answer


def _answer(status: int, detail: str = "", headers: dict[str, str] | None = None) -> Response:
    reason, zh, en = _ANSWERS[status]
    content = {"accepted": 0, "rejected": [], "reason": reason, "zh": zh, "en": en, "detail": detail}
    return _json(status, content, headers)


def _json(status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, headers, "application/json")
