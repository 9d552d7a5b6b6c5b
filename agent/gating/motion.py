"""Lets a frame pass when something moved, at most `rate_hz`, and at least one every `every_s`."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rate_hz: Annotated[float, Meta(gt=0, le=120, description="At most this many frames a second pass.")] = 5.0
    every_s: Annotated[
        float, Meta(gt=0, description="At least one frame in this time passes, also when nothing moves.")
    ] = 60.0
    sensitivity: Annotated[float, Meta(gt=0, le=1, description="Share of the picture that must have changed.")] = 0.002
