"""Whether commits are gone from the middle of SQLite's write-ahead log, which SQLite itself takes for its end and says nothing about.

The log    a header of 32 bytes, then frames: page number, pages of the database after this commit (0: not a commit's last frame), two salts, two
           checksums, all big-endian, and the page. Salts change when the log begins anew; checksums go on from frame to frame.
A cut      leaves at most one commit behind the last whole one: the next is written only after the last is on the medium. Where two commits
           follow one another behind what SQLite accepts, what was acknowledged is gone, and its numbers would be given again.
"""

import struct
from pathlib import Path

_HEADER, _FRAME = 32, 24
_LITTLE, _BIG = 0x377F0682, 0x377F0683

Sums = tuple[int, int]


def has_foreign_header(wal: Path) -> bool:
    """SQLite takes a log whose header it does not know for an empty one. One of zeros alone, or a part of a header, was never on the medium."""
    try:
        with wal.open("rb") as file:
            head = file.read(_HEADER)
            if len(head) < _HEADER:
                return False
            if not any(head):
                return any(any(part) for part in iter(lambda: file.read(1 << 16), b""))
    except FileNotFoundError:
        return False
    (magic,) = struct.unpack(">I", head[:4])
    return magic not in (_LITTLE, _BIG) or _sums(head[:24], magic, (0, 0)) != struct.unpack(">II", head[24:])


def lost_commits(wal: Path) -> bool:
    """Whether two commits in a row stand behind the frames that SQLite accepts. While a connection has it open that has read something."""
    accepted = _accepted(wal)
    try:
        with wal.open("rb") as file:
            head = file.read(_HEADER)
            if accepted is None or len(head) < _HEADER or not any(head):
                return False
            magic, _, page_bytes = struct.unpack(">III", head[:12])
            file.seek(_HEADER + accepted * (_FRAME + page_bytes))
            before: Sums | None = None  # of a commit, and of what follows it without a break
            while len(frame := file.read(_FRAME + page_bytes)) == _FRAME + page_bytes:
                _, pages = struct.unpack(">II", frame[:8])
                said: Sums = struct.unpack(">II", frame[16:24])
                if frame[8:16] != head[16:24]:
                    before = None  # of a log before this one, or damaged itself
                    continue
                follows = before is not None and _sums(frame[:8] + frame[_FRAME:], magic, before) == said
                if follows and pages:
                    return True
                before = said if follows or pages else None
    except FileNotFoundError:
        pass
    return False


def _accepted(wal: Path) -> int | None:
    """How many frames SQLite took when it opened the log: they stand in its index, in the machine's byte order."""
    try:
        index = wal.with_name(wal.name.removesuffix("-wal") + "-shm").read_bytes()[:20]
    except OSError:
        return None
    return struct.unpack("=I", index[16:20])[0] if len(index) == 20 else None


def _sums(data: bytes, magic: int, before: Sums) -> Sums:
    one, other = before
    words = struct.unpack(f"{'>' if magic == _BIG else '<'}{len(data) // 4}I", data)
    for place in range(0, len(words), 2):
        one = (one + words[place] + other) & 0xFFFFFFFF
        other = (other + words[place + 1] + one) & 0xFFFFFFFF
    return one, other
