"""A plain MQTT 5 listener on paho that writes down everything, as the far side of a sync.

with listener(broker.port, "edge/v1/#") as heard:
    heard.wait(lambda: len(heard.items()) == 40)
    heard.items()          # {(epoch, stream, seq): {bytes that arrived, …}}
    heard.copies           # how many item lines came in all
    heard.ledgers()        # every ledger, in order
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.messages import batch, envelope, ledger, topics

WAIT_S = 20.0


class Heard:
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.messages: list[tuple[float, str, bytes, bool]] = []  # monotonic seconds, topic, payload, retained

    def wait(self, condition: Callable[[], bool], limit_s: float = WAIT_S) -> None:
        """Until it holds; fails the test when it does not in time."""
        with self.changed:
            assert self.changed.wait_for(condition, limit_s), "it was not heard in time"

    def payloads(self, branch: str, *, retained: bool | None = None) -> list[bytes]:
        with self.changed:
            found = list(self.messages)
        return [
            payload
            for _, topic, payload, was_retained in found
            if (parsed := topics.parse(topic)) is not None
            and parsed.branch == branch
            and (retained is None or retained == was_retained)
        ]

    def lines(self, branch: str) -> list[bytes]:
        return [line for payload in self.payloads(branch) for line in batch.unpack(payload)]

    def items(self) -> dict[tuple[str, str, int], set[bytes]]:
        found: dict[tuple[str, str, int], set[bytes]] = {}
        for line in (*self.lines("live"), *self.lines("back")):
            head = envelope.decode(line, envelope.Head)
            found.setdefault((head.epoch, head.st, head.seq), set()).add(line)
        return found

    @property
    def copies(self) -> int:
        return len(self.lines("live")) + len(self.lines("back"))

    def ledgers(self) -> list[ledger.Ledger]:
        return [envelope.decode(payload, ledger.Ledger) for payload in self.payloads("ledger")]

    def states(self) -> list[tuple[int, str]]:
        """(session, state) of every status that came."""
        return [(body["sess"], body["s"]) for body in map(msgspec.json.decode, self.payloads("status"))]


@contextmanager
def listener(port: int, *filters: str, receive_maximum: int = 1000) -> Iterator[Heard]:
    heard = Heard()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    ready = threading.Event()

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        with heard.changed:
            heard.messages.append((time.monotonic(), message.topic, bytes(message.payload), message.retain))
            heard.changed.notify_all()

    client.on_message = on_message
    client.on_subscribe = lambda *_: ready.set()
    properties = paho.Properties(paho.PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.ReceiveMaximum = receive_maximum
    client.connect("127.0.0.1", port, properties=properties)
    client.loop_start()
    try:
        client.subscribe([(one, 1) for one in filters])
        assert ready.wait(WAIT_S)
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()
