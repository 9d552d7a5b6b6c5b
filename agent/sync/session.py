"""What an MQTT session is made of: plain records, without paho."""

import msgspec


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
    """What the broker's CONNACK allows. messages: unacknowledged at once. packet_bytes: None when it names no maximum."""

    messages: int
    packet_bytes: int | None
    topic_aliases: int
    keepalive_s: int
    session_expiry_s: int
