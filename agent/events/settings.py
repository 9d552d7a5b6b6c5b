"""The tables `[lane.NAME.tracker]`, `[lane.NAME.zone.NAME]` and `[lane.NAME.line.NAME]`. They stand apart from the code, because a config is
checked without NumPy.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.values import Point, Polygon

Anchor = Literal["foot", "centre", "head"]
_ANCHOR = Meta(
    description='The point of an object\'s box that counts: "foot" (middle of the lower edge), "centre", or "head" (middle of the upper edge).'
)
_MARGIN = Meta(
    ge=0,
    le=2,
    description="How far beyond, as a share of the object's own box, it must be to count as over: a box that trembles on the edge counts once.",
)


class Tracker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lost_s: Annotated[
        float, Meta(gt=0, le=60, description="How long an object is expected to come back after it was seen last.")
    ] = 2.0
    confirm_s: Annotated[
        float, Meta(ge=0, le=60, description="How long it must be seen before it gets a number, twice at least.")
    ] = 0.1
    sure: Annotated[
        float, Meta(ge=0, le=1, description="Only a detection with at least this score begins a track.")
    ] = 0.5
    unsure: Annotated[
        float,
        Meta(
            ge=0, le=1, description="One with at least this score still continues a track that was seen a moment ago."
        ),
    ] = 0.1


class Zone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    polygon: Annotated[Polygon, Meta(description="At least three points, x and y as shares of the picture, 0..1.")]
    anchor: Annotated[Anchor, _ANCHOR] = "foot"
    margin: Annotated[float, _MARGIN] = 0.15


class Line(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}, forbid_unknown_fields=True):
    from_: Annotated[Point, Meta(description="Where it begins, x and y as shares of the picture.")]
    to: Annotated[
        Point,
        Meta(
            description="Where it ends. Who crosses it with `from` on the left and `to` on the right hand goes in, the other way out."
        ),
    ]
    anchor: Annotated[Anchor, _ANCHOR] = "foot"
    margin: Annotated[float, _MARGIN] = 0.15
