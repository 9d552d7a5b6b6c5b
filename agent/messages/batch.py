"""`back/`: original items, one a line (NDJSON), of one stream of one epoch, compressed by zlib (RFC 1950).

The first byte tells which it is: 0x78 is zlib, `{` is plain. A batch may be split, merged and repeated: its lines are the items' own bytes.
"""

import zlib
from collections.abc import Iterator, Sequence

from agent.messages.envelope import Unreadable

MAX_PACKED_BYTES = 64_000
MAX_UNPACKED_BYTES = 1 << 20  # of a message after decompression: a reader refuses more
_ZLIB_FIRST = 0x78


def pack(lines: Sequence[bytes], max_bytes: int = MAX_PACKED_BYTES, *, compress: bool = True) -> tuple[bytes, int]:
    """One message and how many of the first lines are in it: at least one, also when that one alone is larger than `max_bytes`.

    lines: item bytes without newline. ValueError when there are none.
    """
    if not lines:
        raise ValueError("no lines to pack")
    count = raw = 0
    # Alike items shrink to about a sixth: more than eight times the limit is rarely worth trying. The reader's limit stands above all.
    limit = min(MAX_UNPACKED_BYTES, max_bytes * (8 if compress else 1))
    for line in lines:
        if count and raw + len(line) + 1 > limit:
            break
        count, raw = count + 1, raw + len(line) + 1
    while True:
        text = b"\n".join(lines[:count]) + b"\n"
        payload = zlib.compress(text, 6) if compress else text
        if len(payload) <= max_bytes or count == 1:
            return payload, count
        # Compressed size is nearly proportional to the number of alike lines: aim a little below.
        count = max(1, min(count - 1, int(count * max_bytes / len(payload) * 0.97)))


def unpack(payload: bytes) -> list[bytes]:
    """The lines of a message, plain or compressed, empty lines left out. Unreadable when it is damaged or too large."""
    if payload[:1] and payload[0] == _ZLIB_FIRST:
        payload = _decompress(payload)
    elif len(payload) > MAX_UNPACKED_BYTES:
        raise Unreadable(f"{len(payload)} bytes: more than 1 MiB")
    return list(_lines(payload))


def _decompress(payload: bytes) -> bytes:
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(payload, MAX_UNPACKED_BYTES)
        if reader.unconsumed_tail or not reader.eof:
            # One more byte tells "exactly at the limit" from "beyond it", and a message that was cut off.
            text += reader.decompress(reader.unconsumed_tail, 1)
    except zlib.error as error:
        raise Unreadable(f"not zlib: {error}") from None
    if len(text) > MAX_UNPACKED_BYTES:
        raise Unreadable("more than 1 MiB after decompression")
    if not reader.eof or reader.unused_data:
        raise Unreadable("the compressed message is cut off, or something follows it")
    return text


def _lines(text: bytes) -> Iterator[bytes]:
    for line in text.split(b"\n"):
        if line.strip():
            yield line
