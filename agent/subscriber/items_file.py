"""Reads a file of items (`edge-agent export --items`) as the messages it stands for: one body a line, birth first, ledger last."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.messages import topics
from agent.messages.batch import MAX_UNPACKED_BYTES
from agent.subscriber.errors import SubscriberError


class _Body(msgspec.Struct):
    """What tells which body a line is."""

    d: str
    k: str | None = None
    st: str | None = None
    streams: dict[str, msgspec.Raw] | None = None
    older: list[msgspec.Raw] | None = None
    cmds: dict[str, msgspec.Raw] | None = None


class Read(msgspec.Struct):
    """whole: the file ended with a ledger. strange: lines that are no body."""

    lines: int = 0
    strange: int = 0
    whole: bool = False


def messages(path: Path, read: Read) -> Iterator[tuple[str, bytes]]:
    """(topic, payload) pairs, in the file's order. `read` is filled on the way; a file that was cut off gives what is whole of it.

    SubscriberError: it cannot be opened.
    """
    try:
        with path.open("rb") as probe:
            packed = probe.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            while True:
                line = file.readline(MAX_UNPACKED_BYTES + 1)
                if not line.endswith(b"\n"):
                    return  # the end, or half a line
                found = _message(line[:-1])
                if found is None:
                    read.strange += bool(line.strip())
                    continue
                read.lines += 1
                read.whole = found[0].endswith("/ledger")
                yield found
    except (EOFError, zlib.error):
        return
    except OSError as error:
        raise SubscriberError(
            where=str(path),
            what=f"the file cannot be read ({error.strerror or error})",
            remedy="Name a file that `export --items` wrote",
        ) from None


def _message(line: bytes) -> tuple[str, bytes] | None:
    try:
        body = msgspec.json.decode(line, type=_Body)
        if body.k is not None and body.st is not None:
            return topics.back(body.d, body.st), line
        if body.streams is not None and body.older is not None:
            return topics.ledger(body.d), line
        if body.cmds is not None:
            return topics.birth(body.d), line
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None
    return None
