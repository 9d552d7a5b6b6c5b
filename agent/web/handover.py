"""Between the agent that has the camera and `look`, which shows it: a Unix socket in the data folder, for the user alone.

Whoever looks asks, again and again; while nobody asks nothing is made. A question is one line of JSON (Ask); the answer a line of JSON (Told)
and as many bytes of JPEG as it says.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.problems import Exit, Problem

SOCKET = "look.sock"
TIMEOUT_S = 5.0
_MOST_LINE = 1_000_000
_MOST_JPEG = 32_000_000


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """after_us: of the picture that is there already. lane: None: the first that has pictures."""

    lane: str | None = None
    after_us: int = 0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """box: x0, y0, x1, y1 in 0..1, None: of the whole picture."""

    model: str
    label: str
    score: float
    box: tuple[float, float, float, float] | None
    track: int | None


class ModelTold(msgspec.Struct, frozen=True, kw_only=True):
    runtime: str
    delegate: str
    took_ms: float | None
    problem: str | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """jpeg_bytes: 0: no picture; why says the reason, None: there is nothing new. at_us, age_s: of the picture. rates: inputs a second over the
    last seconds: seen, gated, inferred, failed, dropped. held_back: by the gate, nothing looked at it. shapes: zone, line, mask → name → points, that the running agent has.
    """

    lane: str
    lanes: tuple[str, ...]
    state: str
    problem: str | None
    at_us: int = 0
    age_s: float | None = None
    width_px: int = 0
    height_px: int = 0
    jpeg_bytes: int = 0
    why: str | None = None
    held_back: bool = False
    blur: str = "none"
    found: tuple[Found, ...] = ()
    moved: tuple[tuple[float, float, float, float], ...] = ()
    models: dict[str, ModelTold] = {}
    rates: dict[str, float] = {}
    shapes: dict[str, dict[str, list[tuple[float, float]]]] = {}


class Gone(Exception):
    """The other side went away, or talks otherwise."""


def ask(folder: Path, question: Ask) -> tuple[Told, bytes]:
    """One question to the agent on this data folder. Problem: none runs there."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            with _reached(folder) as place:
                connection.connect(place)
            connection.sendall(msgspec.json.encode(question) + b"\n")
            with connection.makefile("rb") as stream:
                told = msgspec.json.decode(stream.readline(_MOST_LINE), type=Told)
                jpeg = stream.read(min(told.jpeg_bytes, _MOST_JPEG))
    except (FileNotFoundError, ConnectionRefusedError):
        raise _problem(folder, "no agent runs on this data folder, or none that can be looked at") from None
    except PermissionError:
        raise Problem(
            where=str(folder),
            what="the agent runs as another user",
            remedy="Start `look` as that user, or as root",
            code=Exit.NO,
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise _problem(folder, f"the agent does not answer ({error or type(error).__name__})") from None
    if len(jpeg) != told.jpeg_bytes:
        raise _problem(folder, "the agent ended")
    return told, jpeg


def receive(connection: socket.socket) -> Ask:
    """The question of who has just connected. Gone: he left, or it is none."""
    try:
        with connection.makefile("rb") as stream:
            return msgspec.json.decode(stream.readline(_MOST_LINE), type=Ask)
    except (OSError, msgspec.MsgspecError) as error:
        raise Gone from error


def answer(connection: socket.socket, told: Told, jpeg: bytes) -> None:
    """Gone: he left before it was said."""
    try:
        connection.sendall(msgspec.json.encode(told) + b"\n" + jpeg)
    except OSError as error:
        raise Gone from error


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[socket.socket]:
    """A socket that only this user can reach, in place of what an agent left behind. For who holds the folder's lock. OSError: not here."""
    path = folder / SOCKET
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        os.fchmod(listener.fileno(), 0o600)  # before it has a name: at no moment could others connect
        with _reached(folder) as place:
            listener.bind(place)
        try:
            listener.listen(4)
            yield listener
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _reached(folder: Path) -> Iterator[str]:
    """The socket's address, by way of the open folder: an address has room for 107 bytes, and a path is often longer."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def _problem(folder: Path, what: str) -> Problem:
    return Problem(where=str(folder), what=what, remedy="Start it with `edge-agent run CONFIG`", code=Exit.NO)
