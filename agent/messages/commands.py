"""`cmd/{name}`: a request, never retained, with an expiry of at most an hour, a response topic and correlation data.

(caller, id) names a request for a day: the same one again gets the same answer and has no second effect; another one under the same id is
refused. exp: until when it is meant, UTC, at most an hour ahead: it takes the place of the message's expiry over MQTT 3.1.1, which knows none,
and over bridges that lose it. Without a response topic the answer goes to ans/{caller}, where the caller is a name.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from agent.messages.envelope import VERSION, Count, Epoch, Number, Stream, Text

MAX_EXPIRY_S = 3_600


# Command → version of its arguments. Birth lists them.
COMMANDS = {"resend": 1, "ping": 1, "status": 1, "birth": 1, "ledger": 1}


class NoArguments(msgspec.Struct, frozen=True, kw_only=True):
    """ping, status and birth take none."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """cmd/ping: is it there. cmd/status: lanes, link, backlog, as `edge-agent status` shows them. cmd/birth: birth is published again."""

    v: Literal[1] = VERSION
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    caller: Annotated[str, Meta(min_length=1, max_length=128)]
    args: NoArguments = NoArguments()
    exp: Text | UnsetType = UNSET


class LedgerArguments(msgspec.Struct, frozen=True, kw_only=True):
    """epoch, st: of this epoch, of this stream only. after: [epoch, stream] where the last answer ended."""

    epoch: Epoch | None = None
    st: Stream | None = None
    after: tuple[Epoch, Stream] | None = None


class LedgerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """cmd/ledger: the ledger is published again, and the answer holds entries whole: totals, ranges, folded epochs."""

    v: Literal[1] = VERSION
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    caller: Annotated[str, Meta(min_length=1, max_length=128)]
    args: LedgerArguments = LedgerArguments()
    exp: Text | UnsetType = UNSET


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
    exp: Text | UnsetType = UNSET


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """On the request's response topic. data: of resend {"queued":[…],"held":[…],"lost":[[first,last,why]],"unknown":[…],"later":[…]},
    of status what `edge-agent status --json` says of lanes and link, of ledger {"epochs":[…],"after":null,"of":[running epoch, n]}.
    """

    v: Literal[1] = VERSION
    id: str
    code: Literal["ok", "accepted", "refused", "invalid", "busy", "expired", "failed"]
    msg: str
    data: dict[str, Any] | None


class ResendAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`data` of an answer to resend: a final word for every number asked for."""

    queued: list[tuple[Count, Count]] = []  # on their way on back/, also those that were held until now
    held: list[tuple[Count, Count]] = []  # still kept back: the budget has no room for them now
    lost: list[tuple[Count, Count, str]] = []
    unknown: list[tuple[Count, Count]] = []  # never given here
    later: list[tuple[Count, Count]] = []  # beyond max_bytes: to be asked for again
