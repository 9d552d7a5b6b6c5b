"""A folder of images, in name order. Frames: uint8 BGR (height, width, 3)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.values import RelativePath


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: Annotated[RelativePath, Meta(description="The folder.")]
    rate_hz: Annotated[float, Meta(gt=0, le=240, description="Images a second.")] = 5.0
    loop: Annotated[bool, Meta(description="Begins again at the end.")] = False
    pace: Annotated[
        Literal["live", "all"],
        Meta(description='"live" keeps `rate_hz` and the newest image wins; "all" gives every image once.'),
    ] = "live"
    stall_s: Annotated[float, Meta(gt=0, le=600, description="No image for this long: the lane is blind.")] = 5.0
