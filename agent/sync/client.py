"""paho's client as it is used here: our socket, no queue, no thread, no reconnecting of its own."""

from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.sync import settings as sync_settings
from agent.sync.credentials import password
from agent.sync.paho_socket import Link
from agent.sync.session import Will
from agent.sync.settings import KEEPALIVE_S

SESSION_EXPIRY_S = 86_400
# What may come in at once: commands are small and rare.
_RECEIVE_MAXIMUM = 20
_PACKET_BYTES = 262_144
# Managed brokers take no more in one SUBSCRIBE.
MOST_FILTERS = 8


class Client(paho.Client):
    """paho with our socket. `_create_socket` is not public; tests/sync/test_connection.py would fail first if paho renamed it."""

    link: Link
    retains = True  # the will is to be retained

    def _create_socket(self) -> Any:
        return self.link


def make_client(settings: sync_settings.Config, client_id: str, will: Will, *, retain: bool = True) -> Client:
    """Its `link` is set before `connect`. retain: the will is to be retained."""
    if settings.protocol == "5":
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
    else:  # the session is kept as in MQTT 5, for as long as the broker likes
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv311, reconnect_on_failure=False, clean_session=False,
        )  # fmt: skip
    client.max_inflight_messages_set(0)  # nothing is queued inside paho: `Connection.room` holds the broker's limit
    client.will_set(will.topic, will.payload, qos=1, retain=retain)
    client.retains = retain
    if settings.user is not None:
        secret = password(settings)
        client.username_pw_set(settings.user, secret.reveal() if secret is not None else None)
    return client


def connect(client: Client, settings: sync_settings.Config, host: str, port: int) -> None:
    """Sends CONNECT on the client's link; the session of before goes on."""
    if settings.protocol == "5":
        client.connect(
            host,
            port,
            keepalive=settings.keepalive_s or KEEPALIVE_S,
            clean_start=False,
            properties=_connect_properties(),
        )
    else:
        client.connect(host, port, keepalive=settings.keepalive_s or KEEPALIVE_S)


class _Packed(Properties):
    """Properties that come again and again: their bytes are made once."""

    def __init__(self, made: Properties) -> None:
        super().__init__(made.packetType)  # type: ignore[no-untyped-call]
        # paho lets no other attribute be set the usual way.
        self.__dict__["_bytes"] = made.pack()  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        return bytes(self.__dict__["_bytes"])


class PublishProperties:
    """Of PUBLISH packets. Made once for each expiry and alias: paho takes longer to make or pack one than to send it."""

    def __init__(self, *, has_properties: bool) -> None:
        """has_properties: False for MQTT 3.1.1, which knows none."""
        self._has = has_properties
        self._made: dict[tuple[int | None, int], Properties] = {}

    def of(self, expiry_s: int | None, alias: int, correlation: bytes | None) -> Properties | None:
        if not self._has or (expiry_s is None and not alias and correlation is None):
            return None
        made = self._made.get((expiry_s, alias)) if correlation is None else None
        if made is None:
            made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if expiry_s is not None:
                made.MessageExpiryInterval = expiry_s
            if alias:
                made.TopicAlias = alias
            if correlation is not None:
                made.CorrelationData = correlation
            else:
                made = self._made[expiry_s, alias] = _Packed(made)
        return made


def subscribe(client: Client, topics: list[str]) -> dict[int, list[str]]:
    """QoS 1. MQTT 5: what this device itself publishes does not come back. → by packet id, which its SUBACK will carry, the topics asked for."""
    asked: dict[int, list[str]] = {}
    for place in range(0, len(topics), MOST_FILTERS):
        some = topics[place : place + MOST_FILTERS]
        if client.protocol == paho.MQTTv5:
            options = SubscribeOptions(qos=1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE)
            _, mid = client.subscribe([(topic, options) for topic in some])
        else:
            _, mid = client.subscribe([(topic, 1) for topic in some])
        if mid is not None:
            asked[mid] = some
    return asked


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    properties.ReceiveMaximum = _RECEIVE_MAXIMUM
    properties.MaximumPacketSize = _PACKET_BYTES
    return properties
