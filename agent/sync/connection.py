"""One MQTT 5 session on paho 2: a fresh client for each connection, driven by `poll` on the caller's thread.

paho is given no backlog and no thread of its own. After a reconnect it would send its whole queue at once, beyond any window; and it applies
none of the limits that a CONNACK carries (receive maximum, maximum packet size, topic aliases), so they are applied here. When a link counts as
dead is in silence.py.
"""

import select
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.clock import Clock
from agent.problems import Problem
from agent.sync import granted, refusals, tls
from agent.sync import settings as sync_settings
from agent.sync.address import Address, read_address
from agent.sync.client import Client, PublishProperties, connect, make_client, subscribe
from agent.sync.link import Interrupted, open_link
from agent.sync.paho_socket import UNCOUNTED, Counter
from agent.sync.session import Acknowledgement, Message, Will
from agent.sync.silence import Silence
from agent.sync.wake import Wake

# Fixed header 5, lengths and packet id 6, expiry and alias 8, property length 4, and some to spare.
_HEADER_BYTES = 32
_MQTT_MAXIMUM_BYTES = 268_435_455


class Connection:
    """An accepted connection. Only the thread that opened it calls it; `acknowledged` and `received` are filled by `poll`."""

    def __init__(self, client: Client, address: Address, clock: Clock, wake: Wake, where: str) -> None:
        self._client = client
        self._address = address
        self._clock = clock
        self._wake = wake
        self._where = where
        self._accepted = False
        self._lost: Problem | None = None
        self._refused: Problem | None = None
        self._silence = Silence(address, clock, where)
        self._aliases: dict[str, int] = {}
        self._mqtt5 = client.protocol == paho.MQTTv5
        self._properties = PublishProperties(has_properties=self._mqtt5)
        self.acknowledged: deque[Acknowledgement] = deque()
        self.received: deque[Message] = deque()
        self.session_present = False
        self.outstanding = 0  # PUBLISH packets without PUBACK
        self.limits = granted.read(None, keepalive_s=client.keepalive, mqtt5=self._mqtt5)
        self._asked: dict[int, list[str]] = {}  # packet id → topics of a SUBSCRIBE
        self.refused_topics: dict[str, int] = {}  # that this device may not subscribe to, and the reason code
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe

    @property
    def certificate_until_s(self) -> float | None:
        """Until when the broker's certificate is valid, seconds since 1970; None without TLS."""
        return self._client.link.certificate_until_s()

    @property
    def sent_bytes(self) -> int:
        return self._client.link.sent_bytes

    @property
    def received_bytes(self) -> int:
        return self._client.link.received_bytes

    @property
    def has_acknowledged(self) -> bool:
        """Whether the broker took any message."""
        return self._silence.has_acknowledged

    def room(self) -> int:
        """How many more messages the broker takes now."""
        return self.limits.messages - self.outstanding

    def payload_limit(self, topic: str) -> int:
        """Bytes of payload that a message on this topic may have by the broker's maximum packet size."""
        most = self.limits.packet_bytes
        return _MQTT_MAXIMUM_BYTES if most is None else most - len(topic.encode()) - _HEADER_BYTES

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None, correlation: bytes | None = None,
        alias: bool = False,
    ) -> int:  # fmt: skip
        """Hands over one QoS 1 message, which `poll` sends; returns the id that its PUBACK will carry. The caller asks `room` and `payload_limit` first.

        alias: a topic that comes often; it goes as a number after its first time, as far as the broker keeps numbers. retain: if the broker does.
        Problem: the link is lost.
        """
        self._raise_if_lost()
        number = self._aliases.get(topic, 0)
        known = number > 0
        if alias and not known and len(self._aliases) < self.limits.topic_aliases:
            number = self._aliases[topic] = len(self._aliases) + 1
        properties = self._properties.of(expiry_s, number, correlation)
        retain = retain and self.limits.retains
        info = self._client.publish("" if known else topic, payload, qos=1, retain=retain, properties=properties)
        self._raise_if_lost()
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._ended("it could not be written to")
        self._silence.published(self.outstanding)
        self.outstanding += 1
        return info.mid

    def subscribe(self, topics: list[str]) -> None:
        """QoS 1. In MQTT 5 what this device itself publishes does not come back. What the broker refuses comes to stand in `refused_topics`."""
        self._asked.update(subscribe(self._client, topics))
        self._raise_if_lost()

    def poll(self, timeout_s: float) -> None:
        """Waits until something came in, the wake-up is set or the time is over; reads, writes, pings. Problem: the link is lost."""
        self._raise_if_lost()
        link = self._client.link
        link.flush()
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(link, select.POLLIN | (select.POLLOUT if self._writing else 0))
        ready = dict(poll.poll(0 if link.pending() else max(0.0, timeout_s) * 1000))
        if self._wake.fileno() in ready:
            self._wake.clear()
        events = ready.get(link.fileno(), 0)
        if events & ~select.POLLOUT or link.pending():
            self._client.loop_read()
        if self._client.socket() is not None and self._client.want_write():
            self._client.loop_write()
        if self._client.socket() is not None:
            self._client.loop_misc()
        link.flush()
        self._raise_if_lost()
        self._check_silence()

    @property
    def _writing(self) -> bool:
        """Something waits for the socket."""
        return bool(self._client.want_write()) or self._client.link.waits

    def disconnect(self) -> None:
        """DISCONNECT in good order: the broker drops the will. The socket is closed when the `with` ends."""
        self._client.disconnect()

    def _check_silence(self) -> None:
        if self._accepted:
            self._lost = self._silence.judge(
                self.received_bytes, self.limits.keepalive_s, outstanding=self.outstanding, writing=self._writing
            )
            self._raise_if_lost()

    def _raise_if_lost(self) -> None:
        if self._refused is not None:
            raise self._refused
        if self._lost is not None:
            raise self._lost

    def _ended(self, how: str) -> Problem:
        error = self._client.link.error
        if isinstance(error, ssl.SSLError):
            return tls.explain(error, self._address, self._where)
        detail = f" ({error.strerror or error})" if error is not None else ""
        if not self._accepted:
            return Problem(
                where=f"{self._where}.url",
                what=f"{self._address} ended the connection before it answered{detail}",
                remedy=f"Check that {self._wanted}, and that a TLS port is reached by mqtts://.",
            )
        return Problem(
            where=f"{self._where}.url",
            what=f"the connection to {self._address} ended: {how}{detail}",
            remedy="A new connection is tried.",
        )

    @property
    def _wanted(self) -> str:
        if self._mqtt5:
            return 'an MQTT 5 broker listens there (older ones need `protocol = "3.1.1"`)'
        return 'a broker of MQTT 3.1.1 listens there (`protocol = "5"` otherwise)'

    def _on_connect(
        self,
        _client: paho.Client,
        _data: Any,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._refused = refusals.connack(reason.value, refusals.words(properties), self._address, self._where)
            if reason.value == refusals.NO_RETAIN and self._client.retains:
                self._refused = granted.RetainRefusedError.of(self._refused)
            return
        limits = granted.read(
            properties, keepalive_s=self._client.keepalive, mqtt5=self._mqtt5, retains=self._client.retains
        )
        self._refused = granted.problem(limits, self._address, self._where)
        if self._refused is None:
            self._accepted, self.session_present, self.limits = True, flags.session_present, limits

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: Any,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._lost is not None:
            return
        if flags.is_disconnect_packet_from_server:
            self._lost = refusals.disconnect(reason.value, refusals.words(properties), self._address, self._where)
        else:
            self._lost = self._ended("the other side closed it" if self._client.link.error is None else "it broke")

    def _on_publish(
        self, _client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        self.outstanding -= 1
        self._silence.acknowledged()
        self.acknowledged.append(Acknowledgement(mid=mid, code=reason.value))

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        for topic, reason in zip(self._asked.pop(mid, []), reasons, strict=False):
            if reason.is_failure:
                self.refused_topics[topic] = reason.value

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        properties = message.properties
        self.received.append(
            Message(
                topic=message.topic,
                payload=bytes(message.payload),
                retained=message.retain,
                expiry_s=getattr(properties, "MessageExpiryInterval", None),
                response_topic=getattr(properties, "ResponseTopic", None),
                correlation=getattr(properties, "CorrelationData", None),
            )
        )


@contextmanager
def open_connection(
    settings: sync_settings.Config,
    *,
    client_id: str,
    will: Will,
    clock: Clock,
    wake: Wake,
    closing: Callable[[], bool] = lambda: False,
    timeout_s: float = 2.0,
    where: str = "mqtt",
    counter: Counter = UNCOUNTED,
    retain: bool = True,
) -> Iterator[Connection]:
    """Connects and waits for CONNACK. timeout_s: for each of name look-up, TCP, TLS, CONNACK; `wake` with `closing` ends the wait at once.

    Problem: why there is no connection, with the remedy; Interrupted: closing. Leaving the `with` closes the socket; without `disconnect`
    before, the broker then publishes the will. counter: is told of each socket from its first packet to its last. retain: the
    will is to be retained; RetainRefusedError: this broker takes none that is.
    """
    address = read_address(settings, where)
    context = tls.open_context(settings, where) if address.tls else None
    client = make_client(settings, client_id, will, retain=retain)
    link = open_link(
        address, context, clock=clock, wake=wake, closing=closing, timeout_s=timeout_s, where=where, counter=counter
    )
    client.link = link
    try:
        connection = Connection(client, address, clock, wake, where)
        connect(client, settings, address.host, address.port)
        end_us = clock.boot_us() + round(timeout_s * 1e6)
        while not connection._accepted:
            if closing():
                raise Interrupted
            left_s = (end_us - clock.boot_us()) / 1e6
            if left_s <= 0:
                raise Problem(
                    where=f"{where}.url",
                    what=f"{address} accepted the connection but sent no CONNACK in {timeout_s:g} s",
                    remedy=f"Check that {connection._wanted} and is not overloaded; it is tried again.",
                )
            connection.poll(left_s)
        yield connection
    finally:
        link.close()
