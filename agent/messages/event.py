"""`event/{lane}`: a rule that began or ceased to hold. Media stay on the device; a reference and a digest travel."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from agent.messages.envelope import Count, Item, Name, Text

Share = Annotated[float, Meta(ge=0, le=1)]


class Media(msgspec.Struct, frozen=True, kw_only=True):
    ref: str
    digest: str
    bytes: Count


class Event(Item, frozen=True, kw_only=True):
    """t: [when, end or null]; null: time unknown, and mono has the same in microseconds of boot time (of boot `boot`). box: x0, y0, x1, y1 in
    0..1 of the frame. score has the model's own unit (an anomaly's exceeds 1).
    """

    k: Literal["evt"] = "evt"
    t: tuple[Text, Text | None] | None
    mono: tuple[Count, Count | None] | UnsetType = UNSET
    rule: Name
    sev: str
    phase: Literal["start", "end", "whole"]
    track: int | None
    model: str | None
    label: str | None
    score: float | None
    box: tuple[Share, Share, Share, Share] | None
    zone: str | None
    line: str | UnsetType = UNSET
    media: Media | None
