"""The table `[lane.NAME.picture]`. It stands apart from pictures.py, because a config is checked without NumPy."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

State = Literal["black", "white", "covered", "frozen", "defocused", "moved", "night"]
STATES: tuple[State, ...] = ("black", "white", "covered", "frozen", "defocused", "moved", "night")
# Events of a lane's picture have rule names of their own, which no rule of the config may have: picture-black, picture-frozen…
RULE_PREFIX = "picture-"


class Picture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    watch: Annotated[
        tuple[State, ...],
        Meta(
            description="What is told of the camera's picture, in `status`, in health messages and as events; [] tells nothing."
        ),
    ] = STATES
    after_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="It must be so for this long before it is told; a moved camera three times as long.",
        ),
    ] = 5.0
    clear_s: Annotated[float, Meta(ge=0, le=3600, description="No longer so for this long, and it is over.")] = 5.0
    frozen_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="Pictures that come, and are the same bit by bit for this long, are frozen."),
    ] = 10.0
    black_below: Annotated[float, Meta(ge=0, le=255, description="Mean grey level below which it is black.")] = 8.0
    white_above: Annotated[float, Meta(ge=0, le=255, description="Mean grey level above which it is white.")] = 247.0
    flat_below: Annotated[
        float, Meta(ge=0, le=255, description="Deviation of grey levels below which something covers the lens.")
    ] = 4.0
    sharp_ratio: Annotated[
        float, Meta(ge=0, le=1, description="Share of its usual sharpness below which it is out of focus.")
    ] = 0.25
    shift_ratio: Annotated[
        float, Meta(gt=0, le=1, description="Share of its width by which it must have shifted to count as moved.")
    ] = 0.03
