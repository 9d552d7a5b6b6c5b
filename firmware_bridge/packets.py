"""What the frames say: the bodies of docs/serial-protocol.md, to and from bytes. All numbers little-endian."""

import struct

import msgspec

from firmware_bridge.framing import Packet

SAMPLES, DESCRIBE, CLOCK, STATUS = 1, 2, 3, 4
OWN_STREAM = 255  # of every frame that carries no samples
VERSION = 1
DESCRIPTION_CHUNK = 64

_DESCRIBE = struct.Struct("<HH")
_CLOCK = struct.Struct("<IQI")
_STATUS = struct.Struct("<IIH")


class Describe(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of the description, at `offset` of `total` bytes."""

    offset: int
    total: int
    data: bytes

    def to_bytes(self) -> bytes:
        return _DESCRIBE.pack(self.offset, self.total) + self.data


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """The device's 64-bit tick at the moment in which it had the whole request; session is new at each start of the device."""

    cookie: int
    tick: int
    session: int

    def to_bytes(self) -> bytes:
        return _CLOCK.pack(self.cookie, self.tick, self.session)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Once a second, at the device's start, and before the answer to a describe request of offset 0. dropped: samples since its start."""

    session: int
    dropped: int
    version: int

    def to_bytes(self) -> bytes:
        return _STATUS.pack(self.session, self.dropped, self.version)


def read_answer(packet: Packet) -> Describe | Clock | Status | None:
    """What a device's frame says; None for samples, unknown types and bodies of another length than theirs."""
    body = packet.body
    if packet.type == DESCRIBE and len(body) >= _DESCRIBE.size:
        offset, total = _DESCRIBE.unpack_from(body)
        return Describe(offset=offset, total=total, data=body[_DESCRIBE.size :])
    if packet.type == CLOCK and len(body) == _CLOCK.size:
        cookie, tick, session = _CLOCK.unpack(body)
        return Clock(cookie=cookie, tick=tick, session=session)
    if packet.type == STATUS and len(body) == _STATUS.size:
        session, dropped, version = _STATUS.unpack(body)
        return Status(session=session, dropped=dropped, version=version)
    return None


def describe_request(offset: int) -> bytes:
    return struct.pack("<H", offset)


def clock_request(cookie: int) -> bytes:
    return struct.pack("<I", cookie)


def read_clock_request(packet: Packet) -> int | None:
    """The cookie of a host's clock request."""
    if packet.type == CLOCK and len(packet.body) == 4:
        return int.from_bytes(packet.body, "little")
    return None
