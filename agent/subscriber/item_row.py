"""A line as the row of table `item`: what is kept of it, and whether it is what it says it is."""

import hashlib

from agent.messages import times
from agent.messages.audit import Audit
from agent.messages.envelope import VERSION, Head, Unreadable, decode, grain_seconds
from agent.messages.event import Event
from agent.messages.health import Health
from agent.messages.results import Results
from agent.messages.summary import Gap, Summary

ITEMS: dict[str, type[Summary] | type[Gap] | type[Event] | type[Audit] | type[Results] | type[Health]] = {
    "sum": Summary, "gap": Gap, "evt": Event, "aud": Audit, "res": Results, "hea": Health,
}  # fmt: skip
STREAMS = {Gap: ("summary", 3), Event: ("event", 2), Audit: ("audit", 1), Results: ("result", 2), Health: ("health", 1)}


def time_of(text: str) -> int:
    try:
        return times.parse(text)
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"{text!r} is no time: {error}") from None


def text_of(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(str(error)) from None


def item_row(head: Head, line: bytes, stream: str) -> tuple[object, ...]:
    """The row of table `item`. Unreadable when the line is not what it says it is."""
    if head.v != VERSION:
        raise Unreadable(f"version {head.v}: this subscriber knows {VERSION}")
    if head.st != stream:
        raise Unreadable(f"stream {head.st} on a topic of {stream}")
    if head.of > head.seq:
        raise Unreadable(f"number {head.seq} corrects {head.of}, which comes after it")
    window_us = grain_s = carry_epoch = carry_hi = seen = None
    kind = ITEMS.get(head.k)  # items of later versions are counted and kept, their content is not looked at
    if kind is not None:
        body = decode(line, kind)
        if isinstance(body, Summary):
            seen = body.fr.seen
            if body.w is not None:
                window_us, grain_s = time_of(body.w[0]), body.w[1]
            elif isinstance(body.mono, tuple):
                grain_s = (body.mono[1] - body.mono[0]) // 1_000_000
            if isinstance(body.carry, tuple):
                carry_epoch, carry_hi = body.carry
            _check_stream(head.st, "summary", 3, grain_s)
        else:
            _check_stream(head.st, *STREAMS[type(body)], None)
    digest = hashlib.sha256(line).digest()
    return (
        head.epoch, head.st, head.seq, digest, head.d, head.k, head.of, window_us, grain_s, carry_epoch, carry_hi, seen, text_of(line),
    )  # fmt: skip


def _check_stream(stream: str, first: str, count: int, grain_s: int | None) -> None:
    words = stream.split("/")
    if words[0] != first or len(words) != count:
        raise Unreadable(f"this kind of item does not belong to stream {stream}")
    if grain_s is not None:
        try:
            named_s = grain_seconds(words[2])
        except ValueError as error:
            raise Unreadable(str(error)) from None
        if named_s != grain_s:
            raise Unreadable(f"a window of {grain_s} s in stream {stream}")
