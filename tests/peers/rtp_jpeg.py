"""A baseline JPEG as RTP packets (RFC 2435), as a camera of that kind sends it: the scan in fragments, its tables beside it.

picture = parse(cv2.imencode(".jpg", pixels)[1].tobytes())
for packet in packets(picture, sequence=0, timestamp=0, source=1): ...

A receiver makes the JPEG's head again from type, size and quantisation tables; the Huffman tables are those of the JPEG standard, annex K,
which OpenCV writes too.
"""

import struct
from dataclasses import dataclass

CLOCK_HZ = 90_000
PAYLOAD_TYPE = 26
_MAX_PAYLOAD_BYTES = 1400
_TABLES_IN_BAND = 255  # Q: each picture brings its own
_SOI, _SOF0, _SOS, _DQT = 0xD8, 0xC0, 0xDA, 0xDB
# Sampling of the first component: RFC 2435's type.
_TYPES = {0x21: 0, 0x22: 1}  # 4:2:2, 4:2:0


@dataclass(frozen=True, kw_only=True)
class Picture:
    type: int
    width_px: int
    height_px: int
    tables: bytes  # two of 64 bytes, in zigzag order: brightness, colour
    scan: bytes


def parse(jpeg: bytes) -> Picture:
    """ValueError: not a baseline JPEG of 4:2:2 or 4:2:0 with two tables of 8 bits, whole in blocks of 8 pixels, at most 2040 a side."""
    tables: dict[int, bytes] = {}
    kind = width_px = height_px = -1
    for marker, body in _segments(jpeg):
        if marker == _DQT:
            while body:
                if body[0] >> 4:
                    raise ValueError("a quantisation table of 16 bits")
                tables[body[0] & 15], body = body[1:65], body[65:]
        elif marker == _SOF0:
            _, height_px, width_px, components = struct.unpack(">BHHB", body[:6])
            samplings = [body[6 + 3 * number + 1] for number in range(components)]
            if components != 3 or samplings[0] not in _TYPES or samplings[1:] != [0x11, 0x11]:
                raise ValueError(f"sampling {[f'{sampling:x}' for sampling in samplings]}")
            kind = _TYPES[samplings[0]]
        elif marker == _SOS:
            break
    if kind < 0 or sorted(tables) != [0, 1]:
        raise ValueError("no baseline JPEG with two quantisation tables")
    if width_px % 8 or height_px % 8 or max(width_px, height_px) > 2040:
        raise ValueError(f"{width_px}x{height_px}")
    return Picture(type=kind, width_px=width_px, height_px=height_px, tables=tables[0] + tables[1], scan=_scan(jpeg))


def packets(picture: Picture, *, sequence: int, timestamp: int, source: int) -> list[bytes]:
    """RTP packets of at most 1400 bytes behind their 12 of head; the last one has the marker. sequence: of the first."""
    found: list[bytes] = []
    offset = 0
    while offset < len(picture.scan):
        head = struct.pack(">I", offset)  # the first byte is type-specific: 0, progressively scanned
        head += bytes([picture.type, _TABLES_IN_BAND, picture.width_px // 8, picture.height_px // 8])
        if offset == 0:
            head += struct.pack(">BBH", 0, 0, len(picture.tables)) + picture.tables
        fragment = picture.scan[offset : offset + _MAX_PAYLOAD_BYTES - len(head)]
        offset += len(fragment)
        marker = 0x80 if offset == len(picture.scan) else 0
        number = (sequence + len(found)) & 0xFFFF
        rtp = struct.pack(">BBHII", 0x80, marker | PAYLOAD_TYPE, number, timestamp & 0xFFFFFFFF, source)
        found.append(rtp + head + fragment)
    return found


def goodbye(source: int) -> bytes:
    """The RTCP packets of a sender that leaves: an empty receiver report, BYE (RFC 3550, 6.1 and 6.6)."""
    return struct.pack(">BBHI", 0x80, 201, 1, source) + struct.pack(">BBHI", 0x81, 203, 1, source)


def _segments(jpeg: bytes) -> list[tuple[int, bytes]]:
    """(marker, body) up to and with the start of the scan."""
    if jpeg[:2] != bytes([0xFF, _SOI]):
        raise ValueError("no JPEG")
    found: list[tuple[int, bytes]] = []
    at = 2
    while not found or found[-1][0] != _SOS:
        _, marker, length = struct.unpack_from(">BBH", jpeg, at)
        found.append((marker, jpeg[at + 4 : at + 2 + length]))
        at += 2 + length
    return found


def _scan(jpeg: bytes) -> bytes:
    """What follows the scan's head, without the end marker."""
    begin = 2 + sum(4 + len(body) for _, body in _segments(jpeg))
    return jpeg[begin:-2]
