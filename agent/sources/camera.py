"""A camera, a stream or a video file through OpenCV. Frames: uint8 BGR (height, width, 3)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.values import RelativePath, Secret


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[
        str,
        Meta(
            min_length=1,
            description="rtsp://…, http://…, /dev/v4l/by-id/…, or a video file (relative to the config file).",
        ),
    ]
    user: Annotated[str | None, Meta(description="User name, for a camera that asks.")] = None
    password_file: Annotated[RelativePath | None, Meta(description="File that holds the password, nothing else.")] = (
        None
    )
    password_env: Annotated[str | None, Meta(description="Environment variable that holds the password.")] = None
    password: Secret | None = None
    loop: Annotated[bool, Meta(description="A file begins again at its end.")] = False
    pace: Annotated[
        Literal["live", "all"],
        Meta(
            description='Of a file: "live" keeps its own pace and the newest frame wins; "all" gives every frame once.'
        ),
    ] = "live"
    width: Annotated[
        Annotated[int, Meta(ge=16, le=16384)] | None, Meta(description="Width to ask a V4L2 device for.")
    ] = None
    height: Annotated[
        Annotated[int, Meta(ge=16, le=16384)] | None, Meta(description="Height to ask a V4L2 device for.")
    ] = None
    rate_hz: Annotated[
        Annotated[float, Meta(gt=0, le=240)] | None, Meta(description="Frame rate to ask a V4L2 device for.")
    ] = None
    stall_s: Annotated[
        float, Meta(gt=0, le=600, description="No frame for this long: the lane is blind, the source is opened anew.")
    ] = 5.0
