"""Frames on a serial line: COBS (Cheshire and Baker, IEEE/ACM Transactions on Networking 7 (1999) 159) and CRC-16/GENIBUS.

A frame is header, body and CRC, COBS-encoded to at most 254 bytes, then a delimiter 0x00. So short a frame never fills a COBS block, which is
why a code byte 0xFF is an error here. The CRC is big-endian, so that the CRC over a whole good frame is the constant 0x1D0F (after the final
inversion of GENIBUS is undone). Header: u8 type, u8 stream, u16 sequence, u32 tick, little-endian.
"""

import struct
from binascii import crc_hqx

import msgspec

LONGEST = 254  # encoded, before the delimiter
_HEADER = struct.Struct("<BBHI")
_GOOD = 0x1D0F
_SHORTEST = 1 + _HEADER.size + 2


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """One frame's content. tick: the low 32 bits of the device's tick."""

    type: int
    stream: int
    sequence: int
    tick: int
    body: bytes


def cobs_encode(data: bytes) -> bytes:
    """At most 253 bytes in, one more out, none of them zero."""
    encoded = bytearray(b"\0" + data)
    at = 0
    while True:
        following = encoded.find(0, at + 1)
        if following < 0:
            encoded[at] = len(encoded) - at
            return bytes(encoded)
        encoded[at] = following - at
        at = following


def cobs_decode(encoded: bytes) -> bytes | None:
    """None when the blocks do not end where the data ends. At most 254 bytes in, no zero among them."""
    decoded = bytearray(encoded)
    at, end = 0, len(encoded)
    while at < end:
        following = at + decoded[at]
        decoded[at] = 0
        at = following
    return bytes(decoded[1:]) if at == end and end else None


def encode(packet: Packet) -> bytes:
    """The frame with its delimiter."""
    raw = _HEADER.pack(packet.type, packet.stream, packet.sequence, packet.tick) + packet.body
    raw += (crc_hqx(raw, 0xFFFF) ^ 0xFFFF).to_bytes(2, "big")
    if len(raw) > LONGEST - 1:
        raise ValueError(f"a frame of {len(raw)} bytes is longer than {LONGEST - 1}")
    return cobs_encode(raw) + b"\0"


class Receiver:
    """Makes packets of a stream of bytes and counts what was none.

    What comes before the first good frame may be the rest of one that began before we listened: it is `skipped`, in no other count.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._too_long = False
        self._heard = False
        self.good = 0
        self.bad_crc = 0
        self.bad_cobs = 0
        self.too_long = 0
        self.skipped = 0

    def restart(self) -> None:
        """The port was opened anew: what stands half is forgotten, the counts go on."""
        self._rest, self._too_long = b"", False
        self._heard = False

    def feed(self, data: bytes) -> list[Packet]:
        *blocks, rest = (self._rest + data).split(b"\0")
        packets = []
        for block in blocks:
            if self._too_long:
                self._too_long = False
            elif block:
                packet = self._decode(block)
                if packet is not None:
                    packets.append(packet)
        if self._too_long or len(rest) > LONGEST:
            if not self._too_long:
                self._count("too_long")
            # Nothing of it is kept but that it is there: a line of garbage without zeros takes no memory.
            self._too_long, rest = True, b""
        self._rest = rest
        return packets

    def _decode(self, block: bytes) -> Packet | None:
        raw = cobs_decode(block) if len(block) <= LONGEST else None
        if raw is None:
            self._count("bad_cobs" if len(block) <= LONGEST else "too_long")
            return None
        if len(block) < _SHORTEST or crc_hqx(raw, 0xFFFF) != _GOOD:
            self._count("bad_crc")
            return None
        self._heard = True
        self.good += 1
        kind, stream, sequence, tick = _HEADER.unpack_from(raw)
        return Packet(type=kind, stream=stream, sequence=sequence, tick=tick, body=raw[_HEADER.size : -2])

    def _count(self, what: str) -> None:
        name = what if self._heard else "skipped"
        setattr(self, name, getattr(self, name) + 1)
