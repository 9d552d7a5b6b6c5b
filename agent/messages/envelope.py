"""What every body has, how bodies become bytes, and how streams and grains are named.

v version; d device as "site/name"; k kind of item; epoch one numbering run; st stream; seq number in (epoch, stream), from 1, without
holes; of the seq of the first sending that this item corrects, else its own; rev information only; at when the bytes were made; boot and
tq are those of the rows, not of the sender; cfg digest of the config.
"""

import re
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

VERSION: Literal[1] = 1
_GRAINS = {60: "m1", 3_600: "h1", 86_400: "d1"}
_GRAIN = re.compile(r"s([1-9][0-9]{0,6})")
_ENCODER = msgspec.json.Encoder()

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Device = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}$", description="site/name")]
Stream = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}(/[a-z0-9][a-z0-9_-]{0,62}){0,2}$")]
Epoch = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$", description="128 random bits, hexadecimal")]
Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, Meta(min_length=20, max_length=32, description="UTC, RFC 3339, ends with Z")]
Undated = Annotated[
    dict[Name, tuple[Count, Count]],
    Meta(description="lane: ticks and results of boots whose time is not known yet; complete is not said meanwhile"),
]
Body = TypeVar("Body")


class Unreadable(ValueError):
    """Bytes that are not the body they should be; the text says why."""


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """s: where the time came from; e: its error in milliseconds. none: unknown, and `at` is only the latest time that is known to have passed."""

    s: Literal["gnss", "ptp", "ntp", "rtc", "manual", "none"]
    e: Count


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The least that is read of an item before its kind is known."""

    v: int
    d: Device
    k: str
    epoch: Epoch
    st: Stream
    seq: Number
    of: Number


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What summaries, gaps and events have in common. The subclass fixes `k`."""

    v: Literal[1] = VERSION
    d: Device
    k: str
    epoch: Epoch
    st: Stream
    seq: Number
    of: Number
    rev: Count = 0
    at: Text
    tq: Quality
    boot: Number


def encode(body: msgspec.Struct) -> bytes:
    """The one way in which a body becomes bytes; the digest of an item is the SHA-256 of these."""
    return _ENCODER.encode(body)


@cache
def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind)


def decode(data: bytes, kind: type[Body]) -> Body:
    """The body of this kind. Unreadable when it is not JSON, lacks a key or has another version."""
    wanted: Any = kind
    try:
        body: Body = _decoder(wanted).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from None
    return body


def grain_text(seconds: int) -> str:
    """60 → m1, 3600 → h1, 86400 → d1, any other n → s{n}."""
    if seconds < 1:
        raise ValueError(f"a grain of {seconds} s: it is at least one second")
    return _GRAINS.get(seconds, f"s{seconds}")


def grain_seconds(text: str) -> int:
    """m1 → 60. ValueError for what names no grain, or names m1, h1, d1 by their seconds."""
    for seconds, name in _GRAINS.items():
        if text == name:
            return seconds
    match = _GRAIN.fullmatch(text)
    if match is None or int(match[1]) in _GRAINS:
        raise ValueError(f"{text!r} is no grain: m1, h1, d1 or s and a number of seconds, as in s5")
    return int(match[1])


def summary_stream(lane: str, grain_s: int) -> str:
    return f"summary/{lane}/{grain_text(grain_s)}"


def event_stream(lane: str) -> str:
    return f"event/{lane}"
