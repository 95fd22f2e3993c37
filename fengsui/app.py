"""The whole engine, top to bottom: which stages there are, what each reads, and how a Faust worker carries chunks to them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
from faust.types.auth import AuthProtocol

from fengsui.settings import Settings
from streams.controls import Controls
from streams.detect import Detect
from streams.dispatch import Dispatch
from streams.feedback import Feedback
from streams.regional import Regional
from streams.runtime import Runtime
from streams.stage import Stage
from streams.task import TaskOptions
from streams.transport import transport_for
from topics.catalogue import CONTROLS


def build(settings: Settings) -> tuple[faust.App, Runtime]:
    """The Faust app and the runtime that owns its tasks; nothing runs yet."""
    client = settings.kafka_client()
    controls = Controls(client, settings.topic_prefix, CONTROLS)
    options = TaskOptions(
        client,
        settings.topic_prefix,
        settings.group,
        settings.partitions,
        checkpoint_seconds=settings.checkpoint_seconds,
    )
    lateness, most = settings.allowed_lateness_ms, settings.max_event_bytes

    # An event's way: events.* -> detect -> clues -> dispatch -> clue-log -> feedback -> rekeyed -> regional -> models -> detect
    stages: dict[str, tuple[tuple[str, ...], Callable[[int], Stage]]] = {
        "detect": (Detect.topics, lambda partition: Detect(partition, settings.partitions, lateness, most)),
        "regional": (Regional.topics, lambda partition: Regional(partition, settings.partitions, lateness)),
        "dispatch": (Dispatch.topics, Dispatch),
        "feedback": (Feedback.topics, Feedback),
    }
    runtime = Runtime(stages, options, controls)
    app = faust_app(settings, runtime)
    return app, runtime


def faust_app(settings: Settings, runtime: Runtime) -> faust.App:
    """A Faust app in the workers' group: it is given partitions; its consumer hands each fetched chunk to the task it is for."""
    prefix = settings.topic_prefix
    app = faust.App(
        settings.group,
        broker=[f"kafka://{server}" for server in settings.kafka.split(",")],
        datadir=str(Path(settings.data_dir) / "faust"),
        store="memory://",
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        topic_disable_leader=True,  # no table has a leader topic to keep
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=2 * 1024 * 1024,
        broker_session_timeout=6.0,  # a dead worker's partitions move within ten seconds, not a minute
        broker_heartbeat_interval=2.0,
        broker_rebalance_timeout=10.0,  # how long the group waits for a member that the broker still believes in
        broker_request_timeout=60.0,
        broker_commit_interval=10.0,  # of the offsets that lag tools see; progress is in our transactions
        stream_wait_empty=False,
        web_enabled=False,
        **_security(settings),
    )
    app.transport = transport_for(runtime, prefix)(app.conf.broker_consumer, app, loop=None)
    app.topics.add(app.topic(*(prefix + topic for topic in runtime.topics), acks=False))  # what the group shares out

    @app.on_partitions_assigned.connect
    async def assigned(_: Any, /, *given: Any, **__: Any) -> None:
        # Without any, Faust seeks nowhere: nobody would ask for positions, and old tasks would fence new owners.
        if not given[0]:
            await runtime.positions(set())

    return app


def _security(settings: Settings) -> dict[str, Any]:
    if settings.kafka_security_protocol == "PLAINTEXT":
        return {}
    import ssl

    cafile = str(settings.kafka_ca_file) if settings.kafka_ca_file else None
    context = ssl.create_default_context(cafile=cafile) if settings.kafka_security_protocol.endswith("SSL") else None
    if not settings.kafka_security_protocol.startswith("SASL"):
        return {"broker_credentials": faust.SSLCredentials(context)}
    credentials = faust.SASLCredentials(
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        mechanism=settings.kafka_sasl_mechanism,
        ssl_context=context,
    )
    credentials.protocol = AuthProtocol(settings.kafka_security_protocol)
    return {"broker_credentials": credentials}
