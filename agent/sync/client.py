"""paho's client as it is used here: our socket, no queue, no thread, no reconnecting of its own."""

from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.sync import settings as sync_settings
from agent.sync.link import Link
from agent.sync.session import Will

SESSION_EXPIRY_S = 86_400
# What may come in at once: commands are small and rare.
_RECEIVE_MAXIMUM = 20
_PACKET_BYTES = 262_144


class Client(paho.Client):
    """paho with our socket. `_create_socket` is not public; tests/sync/test_connection.py would fail first if paho renamed it."""

    link: Link

    def _create_socket(self) -> Any:
        return self.link


def make_client(settings: sync_settings.Config, client_id: str, will: Will) -> Client:
    """Its `link` is set before `connect`."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, reconnect_on_failure=False)
    client.max_inflight_messages_set(0)  # nothing is queued inside paho: `Connection.room` holds the broker's limit
    client.will_set(will.topic, will.payload, qos=1, retain=True)
    if settings.user is not None:
        client.username_pw_set(settings.user, settings.password.reveal() if settings.password is not None else None)
    return client


def connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    properties.ReceiveMaximum = _RECEIVE_MAXIMUM
    properties.MaximumPacketSize = _PACKET_BYTES
    return properties
