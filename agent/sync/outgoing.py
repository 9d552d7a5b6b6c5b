"""A message on its way, and what became of messages."""

import msgspec

from agent.sync.stream import Stream


class Counts(msgspec.Struct, kw_only=True):
    """Since the agent started. messages, items: acknowledged. unheard: messages that nobody subscribed to, acknowledged too."""

    messages: int = 0
    items: int = 0
    resent: int = 0
    unheard: int = 0
    refused: int = 0
    corrupt: int = 0
    too_large: int = 0


class Out(msgspec.Struct):
    """A message, ready or on its way. kind, wire_bytes: as the data budget counts it."""

    topic: str
    payload: bytes
    expiry_s: int | None
    ids: list[int]
    first: int  # number of its first item
    stream: Stream | None  # None: asked for by cmd/resend
    kind: str
    wire_bytes: int
