"""The embedded MQTT broker's own process: `python mqtt_server.py CONFIG.toml`, until SIGTERM.

Run by path in an isolated interpreter: it needs the broker and nothing of ours, and starts at once.
"""

import logging
import sys

from iotcore.iotcore import IotCoreBroker

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)  # it tells every packet as an error
    IotCoreBroker(config_path=sys.argv[1]).run_forever()
