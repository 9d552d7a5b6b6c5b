"""The table `[lane.NAME.tracker]`. It stands apart from tracker.py, because a config is checked without NumPy."""

from typing import Annotated

import msgspec
from msgspec import Meta


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
