"""A sensor on a serial port, through `firmware_bridge`. Gives the port's reads and writes; `Unpack` makes chunks of samples of them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.values import RelativePath


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    driver: Annotated[
        Literal["link"], Meta(description="How the device talks: `link` is the protocol of docs/serial-protocol.md.")
    ] = "link"
    port: Annotated[
        RelativePath, Meta(description="The port; a name in /dev/serial/by-id stays the same over replugging.")
    ]
    baud: Annotated[int, Meta(ge=300, le=12_000_000, description="Bits a second.")] = 921_600
    stream: Annotated[str | None, Meta(description="Which stream of the device; left out: its first.")] = None
    stall_s: Annotated[
        float, Meta(gt=0, le=600, description="No sample for this long: the lane is blind, the port is opened anew.")
    ] = 3.0
