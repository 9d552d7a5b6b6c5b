"""What a device says of itself: JSON, fetched in pieces of at most 64 bytes.

{"v": 1, "fw": "…", "tick_hz": 1000000, "streams": [{"id", "name", "rate_hz", "axes", "type": "int16", "scale", "unit", "n"}]}
Keys that this version does not know are passed over.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.errors import LinkError
from firmware_bridge.packets import VERSION, Describe

_LONGEST_BYTES = 4096


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream of samples: `axes` numbers of `type` each, worth `scale` `unit` a step, `n` samples a frame."""

    id: Annotated[int, Meta(ge=0, le=254)]
    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    rate_hz: Annotated[float, Meta(gt=0, le=1_000_000)]
    axes: Annotated[int, Meta(ge=1, le=64)]
    type: Literal["int16"]
    scale: float
    unit: Annotated[str, Meta(max_length=32)]
    n: Annotated[int, Meta(ge=1, le=121)]

    @property
    def sample_bytes(self) -> int:
        return 2 * self.axes


class Description(msgspec.Struct, frozen=True, kw_only=True):
    v: int
    fw: str
    tick_hz: Annotated[int, Meta(ge=1)]
    streams: tuple[Stream, ...]


def read_description(data: bytes, where: str) -> Description:
    """Typed, or LinkError that names what does not fit."""
    try:
        if msgspec.json.decode(data, type=dict)["v"] != VERSION:
            raise LinkError(
                where=where,
                what=f"the device speaks version {msgspec.json.decode(data, type=dict)['v']} of the link, this side {VERSION}",
                remedy="Update the older of the two",
            )
        return msgspec.json.decode(data, type=Description)
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as error:
        raise LinkError(
            where=where,
            what=f"the device's description does not fit the link: {error}",
            remedy="Compare the firmware's description with docs/serial-protocol.md",
        ) from error


class Assembly:
    """Puts the pieces together, in whatever order and however often they come."""

    def __init__(self) -> None:
        self._data = b""
        self._total: int | None = None

    @property
    def wanted(self) -> int | None:
        """The offset of the next piece; None when it is whole."""
        return None if self._total is not None and len(self._data) >= self._total else len(self._data)

    def take(self, piece: Describe) -> bytes | None:
        """The whole description with its last piece, None before."""
        if piece.total > _LONGEST_BYTES or not piece.data:
            return None
        if piece.offset == 0 and piece.total != self._total:
            self._data, self._total = b"", piece.total
        if piece.total != self._total or piece.offset != len(self._data) or self.wanted is None:
            return None
        self._data += piece.data
        return self._data[: self._total] if self.wanted is None else None
