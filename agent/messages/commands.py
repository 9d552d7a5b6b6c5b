"""`cmd/{name}`: a request, never retained, with an expiry of at most an hour, a response topic and correlation data."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent.messages.envelope import VERSION, Count, Epoch, Number, Stream

MAX_EXPIRY_S = 3_600


class ResendArguments(msgspec.Struct, frozen=True, kw_only=True):
    """ranges: [first, last] of one stream of one epoch, both included. max_bytes: of item bytes, before compression."""

    epoch: Epoch
    st: Stream
    ranges: Annotated[list[tuple[Number, Number]], Meta(min_length=1, max_length=200)]
    max_bytes: Number


class ResendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """cmd/resend: the items come on back/{stream}, as the bytes that they have always been."""

    v: Literal[1] = VERSION
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    caller: Annotated[str, Meta(min_length=1, max_length=128)]
    args: ResendArguments


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """On the request's response topic. resend: data {"queued":[…],"held":[…],"lost":[[first,last,why]],"unknown":[…]}."""

    v: Literal[1] = VERSION
    id: str
    code: Literal["ok", "accepted", "refused", "invalid", "busy", "expired", "failed"]
    msg: str
    data: dict[str, Any] | None


class ResendAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`data` of an answer to resend: a final word for every number asked for."""

    queued: list[tuple[Count, Count]] = []
    held: list[tuple[Count, Count]] = []
    lost: list[tuple[Count, Count, str]] = []
    unknown: list[tuple[Count, Count]] = []
