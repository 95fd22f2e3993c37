"""The embedded MQTT broker's own process: `python mqtt_server.py CONFIG.json`, until SIGTERM.

Run by path in an isolated interpreter: it needs amqtt and nothing of ours, and starts in a second.
"""

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from amqtt.broker import Broker


def broker_config(given: dict[str, Any]) -> dict[str, Any]:
    """amqtt's configuration. `acl`: user -> topics that it may publish to; `readers`: users that may subscribe to everything."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{given['port']}", "max_connections": 5000}},
        "plugins": {
            "amqtt.plugins.authentication.FileAuthPlugin": {"password_file": given["passwords"]},
            "amqtt.plugins.topic_checking.TopicAccessControlListPlugin": {
                "publish_acl": given["acl"],
                "acl": {reader: ["#"] for reader in given["readers"]},  # its newer name is refused (0.12.1)
            },
        },
    }


async def serve(given: dict[str, Any]) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker = Broker(broker_config(given))
    await broker.start()
    await stop.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
