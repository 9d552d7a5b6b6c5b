"""Writes what lanes took, in order, so that `replay` runs it again. The folder's form: docs/recordings.md.

Frames are encoded in a pool of their own: PNG takes 7 ms at 640×360, 47 ms at 1080p, too long for a lane. A frame's file is complete
before its line stands in input.jsonl; lines are flushed at each tick: a recording that was killed replays up to its last tick.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from agent.clock import Reading
from agent.config.write import toml
from agent.log import fact
from agent.mailbox import Bounded, Closed
from agent.problems import Exit, Problem
from agent.records import Frame, Gap, Input, Read, Tick, Write
from agent.store.folder import free_bytes

# Records of a lane that may wait for the disk, and frames among them (6 MB each at 1080p); more leave a `gap` with why "recorder".
_PLACES = 256
_FRAMES = 16
_FLUSH_S = 10.0
_THIN = {".png": [16, 1]}  # cv2.IMWRITE_PNG_COMPRESSION: level 1

Line = dict[str, Any]
Entry = tuple[Line, Future[Path] | None]


class LaneRecorder:
    """One lane's part. `note` is called on the lane thread with each record that it takes; it never fails and never waits for the disk."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor, check_room: Callable[[], None]) -> None:
        """check_room: OSError when the disk is to take no more."""
        self._folder = folder
        self._check_room = check_room
        self._frames = folder / "frames"
        self._pool = pool
        self._entries: Bounded[Entry] = Bounded(_PLACES)
        self._count = 0
        self.waiting = 0  # frames that are not written yet
        self._missed = False
        self._over = False
        self._lock = threading.Lock()
        self._bytes = {"read": 0, "write": 0}
        with suppress(OSError):  # then nothing can be opened in it, which is said
            folder.mkdir(parents=True, exist_ok=True)
        self._raw: dict[str, IO[bytes]] = {}
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._write, name=f"recorder-{folder.name}", daemon=True)
        self._thread.start()

    def note(self, record: Input | Tick) -> None:
        with self._lock:  # the recording may end on another thread
            if self._over:
                return
            room = _PLACES - len(self._entries)
            # A tick closes what came before it: the gap stands behind it, where records come again.
            missed = self._missed and not isinstance(record, Tick)
            if room < 1 + missed or (isinstance(record, Frame) and self.waiting >= _FRAMES):
                self._missed = True
                return
            try:
                if missed:
                    self._entries.put(({"at_us": record.at_us, "k": "gap", "why": "recorder"}, None), 0.0)
                    self._missed = False
                self._entries.put(self._entry(record), 0.0)
            except (OSError, Closed) as error:  # Closed: the disk failed in the writing thread, which has said so
                self._fail(error)

    def _entry(self, record: Input | Tick) -> Entry:
        if isinstance(record, Frame):
            self._count += 1
            self.waiting += 1
            suffix = ".jpg" if record.encoded is not None else ".png"
            name = f"{self._count:06}{suffix}"
            encoded = self._pool.submit(_save, self._frames / name, record)
            kind = "frame" if record.i420 is None or record.encoded is not None else "planes"
            line = {"at_us": record.at_us, "k": kind, "file": name}
            return line if record.small_luma is None else {**line, "luma": _luma_of(name)}, encoded
        if isinstance(record, (Read, Write)):
            kind = "read" if isinstance(record, Read) else "write"
            line = {"at_us": record.at_us, "k": kind, "from": self._bytes[kind], "bytes": len(record.data)}
            self._append(kind, record.data)
            return line, None
        if isinstance(record, Gap):
            return {"at_us": record.at_us, "k": "gap", "why": record.why}, None
        return {"at_us": record.at_us, "k": "tick", "dropped": record.dropped, "alive_us": record.alive_us}, None

    def _append(self, kind: str, data: bytes) -> None:
        if kind not in self._raw:
            self._raw[kind] = (self._folder / f"{kind}.bin").open("wb", buffering=0)
        self._raw[kind].write(data)
        self._bytes[kind] += len(data)

    def _fail(self, error: Exception) -> None:
        """The lane goes on, its recording ends here."""
        self._over = True
        if self.problem is None and not isinstance(error, Closed):
            self.problem = f"{self._folder}: {error}"
            logging.getLogger(__name__).warning(fact("recording stopped", folder=self._folder, error=error))
        self._entries.close(error)

    def _write(self) -> None:
        try:
            with (self._folder / "input.jsonl").open("wb") as lines:
                self._write_lines(lines)
        except Exception as error:  # noqa: BLE001  the disk, or a picture that cannot be encoded
            with self._lock:
                self._fail(error)

    def _write_lines(self, lines: IO[bytes]) -> None:
        encoder = msgspec.json.Encoder()
        while True:
            try:
                entry = self._entries.take(1.0)
            except Closed:
                return
            if entry is None:
                continue
            line, encoded = entry
            if encoded is not None:
                encoded.result(_FLUSH_S)
                with self._lock:
                    self.waiting -= 1
            lines.write(encoder.encode(line) + b"\n")
            if line["k"] == "tick":
                lines.flush()
                self._check_room()

    def close(self) -> None:
        """What was noted until now is written; later records are not taken."""
        with self._lock:
            self._over = True
        self._entries.close()
        self._thread.join(_FLUSH_S)
        for raw in self._raw.values():
            raw.close()


class Recorder:
    """A recording of several lanes: `lane(name)` gives each its part, `clock` notes what was learned about UTC.

    After `close` nothing more is taken; the lanes go on.
    """

    def __init__(self, folder: Path, keep_free: int, free_bytes: Callable[[Path], int]) -> None:
        self.folder = folder
        self._keep_free = keep_free
        self._free_bytes = free_bytes
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="recorder-png")
        self._lanes: dict[str, LaneRecorder] = {}
        self._lock = threading.Lock()
        self._over = False
        self._clock = (folder / "clock.jsonl").open("ab", buffering=0)

    def lane(self, name: str) -> LaneRecorder:
        """The lane's recorder; the same one after the lane was restarted."""
        with self._lock:
            if name not in self._lanes:
                self._lanes[name] = LaneRecorder(self.folder / name, self._pool, self._check_room)
                if self._over:
                    self._lanes[name].close()
            return self._lanes[name]

    def _check_room(self) -> None:
        """A recording grows by gigabytes an hour: it ends before the results have no room."""
        if self._free_bytes(self.folder) < self._keep_free:
            raise OSError(f"less than {self._keep_free / 1e6:.1f} MB are free (store.keep_free)")

    def clock(self, reading: Reading) -> None:
        if self._over:
            return
        try:
            self._clock.write(msgspec.json.encode(reading) + b"\n")
        except OSError as error:
            logging.getLogger(__name__).warning(fact("clock not recorded", folder=self.folder, error=error))

    def close(self) -> None:
        with self._lock:
            self._over = True
            lanes = list(self._lanes.values())
        for lane in lanes:
            lane.close()
        self._pool.shutdown()
        self._clock.close()


@contextmanager
def open_recorder(
    folder: Path,
    head: Line,
    config_text: str,
    *,
    keep_free: int = 0,
    free_bytes: Callable[[Path], int] = free_bytes,
) -> Iterator[Recorder]:
    """Makes the folder and its head files. head: what recording.toml says, beside its format. Problem when the folder cannot be written.

    keep_free: with less room than this on its disk the recording ends; the lanes go on.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text(config_text, encoding="utf-8")
        (folder / "recording.toml").write_text(toml({"format": 1, **head}), encoding="utf-8")
        recorder = Recorder(folder, keep_free, free_bytes)
    except OSError as error:
        raise Problem(
            where=str(folder),
            what=f"the recording cannot be written: {error.strerror or error}",
            remedy="Name a folder that this user may write",
            code=Exit.COMMAND_LINE,
        ) from error
    try:
        yield recorder
    finally:
        recorder.close()


def check_new(folder: Path) -> None:
    """Problem when there is something in the folder already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Problem(
            where=str(folder),
            what="it holds something already",
            remedy="Name a new folder: a recording is never written over",
            code=Exit.COMMAND_LINE,
        )


def _save(path: Path, frame: Frame) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(frame.encoded or _png(frame.pixels if frame.i420 is None else frame.i420))
    if frame.small_luma is not None:
        path.with_name(_luma_of(path.name)).write_bytes(_png(frame.small_luma))
    return path


def _luma_of(name: str) -> str:
    return f"{name.partition('.')[0]}-luma.png"


def _png(picture: Any) -> bytes:
    import cv2

    return cv2.imencode(".png", picture, _THIN[".png"])[1].tobytes()
