"""A broker without a network, between the real sender and the real view: it keeps what is retained, and may lose, drop after its acknowledgement,
repeat, or deliver and never acknowledge. Workers of a shared subscription each have a queue; what they do not acknowledge comes again.

broker = SimulatedBroker(random.Random(1)); broker.weather = STORM
connection = SimulatedConnection(broker, "north-farm/gate-07", clock)        # what sync/serve.py and sync/sender.py take for a connection
"""

import random
from collections import deque

import msgspec
from peers.manual_clock import ManualClock

from agent.messages import topics
from agent.sync.session import Acknowledgement, Limits, Message


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of messages. lost: never come to the broker. dropped: acknowledged, and gone (a full queue). unacknowledged: delivered, without PUBACK."""

    lost: float = 0.0
    dropped: float = 0.0
    unacknowledged: float = 0.0
    repeated: float = 0.0


CALM = Weather()


class SimulatedBroker:
    def __init__(self, rng: random.Random, workers: int = 2) -> None:
        self.rng, self.weather = rng, CALM
        self.queues: list[list[tuple[str, bytes]]] = [[] for _ in range(workers)]
        self.retained: dict[str, bytes] = {}
        self.left: list[tuple[str, bytes]] = []  # everything that a device ever handed over
        self.requests: dict[str, deque[Message]] = {}  # device → what waits for it
        self.late: list[tuple[str, bytes]] = []  # wills of sessions that the broker has not given up yet

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Whether it is acknowledged."""
        self.left.append((topic, payload))
        draw, weather = self.rng.random(), self.weather
        if draw < weather.lost:
            return False
        if draw >= weather.lost + weather.dropped:
            self.deliver(topic, payload, retain=retain)
            if self.rng.random() < weather.repeated:
                self.deliver(topic, payload, retain=retain)
        return self.rng.random() >= weather.unacknowledged

    def deliver(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Own topics to every worker, data to one."""
        if retain:
            self.retained[topic] = payload
        own = topic.endswith(("/status", "/birth", "/ledger"))
        for queue in self.queues if own else [self.rng.choice(self.queues)]:
            queue.append((topic, payload))

    def ask(self, device: str, name: str, payload: bytes) -> None:
        self.requests.setdefault(device, deque()).append(
            Message(
                topic=topics.command(device, name), payload=payload, retained=False, expiry_s=600,
                response_topic=topics.answer(device, "t"), correlation=b"c",
            )
        )  # fmt: skip


class SimulatedConnection:
    """One connection of one device. Time goes on while it is polled."""

    def __init__(self, broker: SimulatedBroker, device: str, clock: ManualClock, will: bytes) -> None:
        self._broker, self._device, self._clock, self._will = broker, device, clock, will
        self.limits = Limits(messages=20, packet_bytes=None, topic_aliases=10, keepalive_s=60, session_expiry_s=86_400)
        self.acknowledged: deque[Acknowledgement] = deque()
        self.received: deque[Message] = deque()
        self.refused_topics: dict[str, int] = {}
        self._mid = self._outstanding = 0
        self.open = True

    def room(self) -> int:
        return self.limits.messages - self._outstanding

    def payload_limit(self, topic: str) -> int:
        return 1 << 28

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None, correlation: bytes | None = None, alias: bool = False
    ) -> int:  # fmt: skip
        self._mid += 1
        if self._broker.publish(topic, payload, retain=retain):
            self.acknowledged.append(Acknowledgement(mid=self._mid, code=0))
        else:
            self._outstanding += 1
        return self._mid

    def subscribe(self, filters: list[str]) -> None:
        pass

    def poll(self, timeout_s: float) -> None:
        self._clock.advance(max(0.05, min(timeout_s, 0.1)))
        for topic, will in [one for one in self._broker.late if one[0] == topics.status(self._device)]:
            # A will that comes after the next session has begun overwrites what is retained; the device hears it.
            self._broker.late.remove((topic, will))
            self._broker.deliver(topic, will, retain=True)
            self.received.append(
                Message(topic=topic, payload=will, retained=False, expiry_s=None, response_topic=None, correlation=None)
            )
        waiting = self._broker.requests.get(self._device)
        while waiting:
            self.received.append(waiting.popleft())

    def disconnect(self) -> None:
        self.open = False

    def cut(self) -> None:
        """The broker sees the device go without DISCONNECT."""
        if not self.open:
            return
        self.open = False
        topic = topics.status(self._device)
        if self._broker.rng.random() < 0.5:
            self._broker.late.append((topic, self._will))
        else:
            self._broker.deliver(topic, self._will, retain=True)
