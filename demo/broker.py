"""An MQTT 5 broker in a process of its own: iotcore, configured by a TOML file, on 127.0.0.1 at a free port."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TRIES = 20
# rumqttd's form: https://github.com/bytebeamio/rumqtt/blob/main/rumqttd/rumqttd.toml. It does not take port 0.
_TOML = """id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 200
dynamic_filters = true
"""


@contextmanager
def open_broker(folder: Path) -> Iterator[int]:
    """Yields its port. Somebody may take a port between our looking and its binding: then another one is tried."""
    from iotcore import Broker

    for _ in range(_TRIES):
        port = _free_port()
        path = folder / "broker.toml"
        path.write_text(_TOML.format(port=port))
        broker = Broker(config_path=str(path))
        try:
            broker.start()
        except (OSError, RuntimeError):
            broker.stop()
            continue
        try:
            yield port
        finally:
            broker.stop()
        return
    raise OSError(f"no free port for the broker in {_TRIES} tries")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
