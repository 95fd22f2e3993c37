"""The embedded broker's configuration: one node that is broker and controller, on the loopback address only."""

from pathlib import Path

from fengsui.embedded.ports import LOOPBACK

NODE_ID = 1
_MIB = 1024 * 1024
_ASCII_END = 128


def properties(data: Path, broker_port: int, controller_port: int) -> dict[str, str]:
    """Kafka's `server.properties` for one node with its log below `data`."""
    return {
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        "controller.quorum.voters": f"{NODE_ID}@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{broker_port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{broker_port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(data.resolve()),
        **_TOPICS,
        **_GROUPS,
        **_SMALL,
    }


_TOPICS = {
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "message.max.bytes": str(5 * _MIB),  # above the event topics' 4 MiB, so that each topic's own limit decides
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
}

_GROUPS = {
    "group.initial.rebalance.delay.ms": "0",  # the first worker need not wait for others
    "group.min.session.timeout.ms": "1000",
    # A dead worker's open transaction holds back all readers of committed records: look each five seconds, not each ten. Not
    # earlier: a broker that has just come up leaves out the markers of partitions that have no leader yet (ADR 11).
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "5000",
}

_SMALL = {
    # After kill -9 a new broker waits for its dead self's session to run out; the default is nine seconds.
    "broker.session.timeout.ms": "2500",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": str(16 * _MIB),  # the default of 128 MiB is a quarter of the heap
    "log.index.size.max.bytes": str(_MIB),  # two such files are mapped for each of some hundred segments
    "log.segment.bytes": str(256 * _MIB),
    "metric.reporters": "",
}


def render(config: dict[str, str]) -> str:
    """A Java properties file, in ASCII: Java reads other letters only as escapes.

    >>> render({"log.dirs": "C:\\\\a"})
    'log.dirs=C:\\\\\\\\a\\n'
    """
    return "".join(f"{key}={_escaped(value)}\n" for key, value in config.items())


def _escaped(value: str) -> str:
    r"""UTF-16 code units as Java wants them.

    >>> _escaped("/data/烽燧")
    '/data/\\u70fd\\u71e7'
    """
    doubled = value.replace("\\", "\\\\")
    units = doubled.encode("utf-16-be").hex(" ", 2).split()
    return "".join(chr(int(unit, 16)) if int(unit, 16) < _ASCII_END else f"\\u{unit}" for unit in units)
