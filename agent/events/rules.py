"""Rules over one lane: a label is seen for a while, an event starts; it is gone for a while, the event ends."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.values import NAME_PATTERN, Polygon

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]


class Zone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    polygon: Annotated[Polygon, Meta(description="At least three points, x and y as shares of the picture, 0..1.")]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lane: Annotated[Name, Meta(description="The lane it watches.")]
    label: Annotated[str, Meta(min_length=1, description="The label that must be seen.")]
    model: Annotated[Name | None, Meta(description="Of this model only; left out: of any model of the lane.")] = None
    zone: Annotated[Name | None, Meta(description="Only with the foot of its box in this zone of the lane.")] = None
    score: Annotated[Annotated[float, Meta(ge=0)] | None, Meta(description="Only with at least this score.")] = None
    for_s: Annotated[float, Meta(ge=0, description="It must hold this long before the event starts.")] = 0.0
    clear_s: Annotated[float, Meta(ge=0, description="It must be gone this long before the event ends.")] = 5.0
    severity: Annotated[Literal["info", "warn", "alarm"], Meta(description="How much it matters.")] = "info"
