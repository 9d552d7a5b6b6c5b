"""What an MQTT session is made of: plain records, without paho."""

import msgspec

from agent.sync.allowance import Report


class Will(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker publishes, retained, when this connection ends without DISCONNECT."""

    topic: str
    payload: bytes


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """A PUBACK. code: MQTT 5 reason code; below 0x80 the broker has it."""

    mid: int
    code: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message that came in. expiry_s: what is left of it, None when it never expires."""

    topic: str
    payload: bytes
    retained: bool
    expiry_s: int | None
    response_topic: str | None
    correlation: bytes | None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker's CONNACK allows. messages: unacknowledged at once. packet_bytes: None when it names no maximum.

    session_expiry_s: how long it keeps the session of an absent device. wildcards: in subscriptions.
    """

    messages: int
    packet_bytes: int | None
    topic_aliases: int
    keepalive_s: int
    session_expiry_s: int
    qos: int = 1
    retains: bool = True
    wildcards: bool = True


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the link now. since_us: boot time of the last change between connected and not. problem: why not, or what ails it.

    messages, items: acknowledged by the broker since the start; resent: asked for again; unheard: messages that nobody subscribed to;
    refused: messages the broker did not take (their items stay to be sent); corrupt: items whose bytes had changed on the disk;
    retry_s: the wait before the next attempt, null while connected. remarks: what works less well with this broker. budget: null without one.
    """

    connected: bool
    broker: str
    since_us: int
    problem: str | None = None
    session: int | None = None
    connects: int = 0
    retry_s: float | None = None
    messages: int = 0
    items: int = 0
    resent: int = 0
    unheard: int = 0
    refused: int = 0
    corrupt: int = 0
    too_large: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    remarks: tuple[str, ...] = ()
    budget: Report | None = None
