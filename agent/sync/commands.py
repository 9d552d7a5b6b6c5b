"""`cmd/…`: requests from the other side. Level A knows one, `resend`: the items asked for go out again on `back/`, as the bytes they have always been."""

import msgspec

from agent.messages import commands, topics
from agent.messages.envelope import Unreadable, decode, encode
from agent.store import items, outbox
from agent.store.writer import Store
from agent.sync.session import Message

# What one request brings at most, whatever it asks for.
MAX_RESEND_BYTES = 1 << 20


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """topic, payload: of the answer, None when nobody is to be answered. resend: items to send again, of one stream of one epoch."""

    topic: str | None
    payload: bytes
    correlation: bytes | None
    resend: list[items.Item]
    what: str


def take(message: Message, device: str, store: Store, *, busy: bool) -> Outcome:
    """What becomes of one request. busy: earlier ones are still being answered."""
    parsed = topics.parse(message.topic)
    name = parsed.rest if parsed is not None and parsed.branch == "cmd" else message.topic
    if message.retained:
        return _answer(message, device, "refused", f"{name}: retained requests are refused", name)
    if message.expiry_s is None or message.expiry_s > commands.MAX_EXPIRY_S:
        return _answer(
            message, device, "refused", f"{name}: a request must expire within {commands.MAX_EXPIRY_S} s", name
        )
    if name != "resend":
        return _answer(message, device, "refused", f'unknown command "{name}"; known: resend', name)
    try:
        request = decode(message.payload, commands.ResendRequest)
    except Unreadable as error:
        return _answer(message, device, "invalid", f"resend: {error}", name)
    if any(first > last for first, last in request.args.ranges):
        return _answer(message, device, "invalid", "resend: a range ends before it begins", name)
    if busy:
        return _answer(message, device, "busy", "earlier requests are still being answered", name)
    return _resend(message, device, store, request)


def _resend(message: Message, device: str, store: Store, request: commands.ResendRequest) -> Outcome:
    wanted = request.args
    with store.read() as connection:
        known = outbox.fate(connection, wanted.epoch, wanted.st)
        ranges = [(first, min(last, known.hi)) for first, last in sorted(set(wanted.ranges)) if first <= known.hi]
        found = items.items_at(
            connection, wanted.epoch, wanted.st, ranges, max_bytes=min(wanted.max_bytes, MAX_RESEND_BYTES)
        )
    unique = list({item.id: item for item in found}.values())
    data = commands.ResendAnswer(
        queued=_ranges(unique),
        lost=[
            (max(first, lost_first), min(last, lost_last), why)
            for first, last in ranges
            for lost_first, lost_last, why in known.lost
            if lost_first <= last and lost_last >= first
        ],
        unknown=[(max(first, known.hi + 1), last) for first, last in wanted.ranges if last > known.hi],
    )
    text = f"{len(unique)} items go out on back/{wanted.st}"
    return _answer(message, device, "ok", text, "resend", resend=unique, data=data)


def _ranges(found: list[items.Item]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for item in found:
        if ranges and ranges[-1][1] == item.seq - 1:
            ranges[-1] = (ranges[-1][0], item.seq)
        else:
            ranges.append((item.seq, item.seq))
    return ranges


class _Who(msgspec.Struct):
    id: str = ""
    caller: str = ""


def _answer(
    message: Message,
    device: str,
    code: str,
    text: str,
    name: str,
    *,
    resend: list[items.Item] | None = None,
    data: commands.ResendAnswer | None = None,
) -> Outcome:
    try:
        who = msgspec.json.decode(message.payload, type=_Who)
    except msgspec.DecodeError:
        who = _Who()
    body = commands.Answer(
        id=who.id[:64],
        code=code,  # type: ignore[arg-type]
        msg=text,
        data=msgspec.to_builtins(data) if data is not None else None,
    )
    return Outcome(
        topic=_answer_topic(message, device),
        payload=encode(body),
        correlation=message.correlation,
        resend=resend or [],
        what=f"{name} from {who.caller[:128]!r}: {code}, {text}",
    )


def _answer_topic(message: Message, device: str) -> str | None:
    """Where the caller wants it, unless that would let a request write where only the device itself speaks."""
    topic = message.response_topic
    if not topic or topic.startswith("$") or "+" in topic or "#" in topic or "\0" in topic:
        return None
    own = topics.root(device) + "/"
    if topic.startswith(own) and not topic.startswith(own + "ans/"):
        return None
    return topic
