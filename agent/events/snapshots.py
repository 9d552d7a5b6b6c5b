"""Pictures of events, kept on the device: `snapshots/LANE-BOOT-MICROSECONDS.jpg` in the data folder, and a reference in the event.

A picture is complete or not there: it is written beside its place, put on the medium, then renamed. The oldest go first, by `quota`, by
`keep_days`, and before the disk has less than `store.keep_free`: results come before pictures. No fault of the disk leaves this file; what
could not be kept is counted, and said once.
"""

import hashlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import msgspec
from msgspec import Meta

from agent.clock import Clock
from agent.log import Repeated
from agent.mailbox import Bounded, Closed
from agent.records import Media
from agent.values import Bytes

FOLDER = "snapshots"
_PART = ".part"
_PLACES = 32
_LOOK_S = 10.0
_END_S = 2.0
# The oldest make room from here on, so that the store seldom has less than keep_free.
_FREE_TIMES = 1.1
_DAY_S = 86_400

_log = logging.getLogger(__name__)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    quota: Annotated[Bytes, Meta(description="All snapshots together; the oldest go first.")] = Bytes(200_000_000)
    keep_days: Annotated[
        Annotated[float, Meta(gt=0, le=36500)] | None,
        Meta(description="Older ones are deleted. Left out: they stay while there is room."),
    ] = 30.0
    jpeg_quality: Annotated[
        int, Meta(ge=10, le=100, description="Of JPEG: 85 makes about 50 kB of a picture of 1280 × 720.")
    ] = 85


class Counts(msgspec.Struct, kw_only=True):
    """Since the start. dropped: too many at once. failed: the disk. hidden: not made, because nobody knew where people are in the picture."""

    written: int = 0
    dropped: int = 0
    failed: int = 0
    hidden: int = 0
    removed: int = 0


class _File(NamedTuple):
    """boot_us: of this boot, when it was written. utc_s: of one from before, None when it was not known."""

    name: str
    size: int
    boot_us: int | None
    utc_s: float | None


class Snapshots:
    """`offer` is called by lanes and never waits. A thread of its own writes, between `with` and its end."""

    def __init__(
        self,
        data: Path,
        config: Config,
        *,
        boot: int,
        clock: Clock,
        keep_free: int,
        free_bytes: Callable[[Path], int],
    ) -> None:
        """data: the data folder. boot: the store's number of this boot. free_bytes: of a folder's disk."""
        self.config = config
        self.counts = Counts()
        self._folder = data / FOLDER
        self._boot = boot
        self._clock = clock
        self._keep_free = keep_free
        self._free_bytes = free_bytes
        self._waiting: Bounded[tuple[str, bytes]] = Bounded(_PLACES)
        self._files: deque[_File] = deque()
        self._held_bytes = 0
        self._faults = Repeated(_log)
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What waits is written, for at most 2 s."""
        self._waiting.close()
        self._thread.join(_END_S)

    def told(self) -> dict[str, int]:
        """For `status`: files and bytes that are kept, and the counts."""
        return {"files": len(self._files), "bytes": self._held_bytes, **msgspec.structs.asdict(self.counts)}

    def offer(self, lane: str, at_us: int, jpeg: bytes) -> Media | None:
        """What an event says of it; None when there was no room in the queue. One picture of a lane and moment is one file."""
        name = f"{lane}-{self._boot}-{at_us}.jpg"
        try:
            taken = self._waiting.put((name, jpeg), 0.0)
        except Closed:
            taken = False
        if not taken:
            self.counts.dropped += 1
            self._say("dropped", "too many snapshots at once: some are not kept. Raise `clear_s` of the rule")
            return None
        digest = hashlib.sha256(jpeg).hexdigest()
        return Media(ref=f"{FOLDER}/{name}", digest=f"sha256:{digest}", bytes=len(jpeg))

    def _run(self) -> None:
        self._guarded(self._begin)
        while True:
            try:
                job = self._waiting.take(_LOOK_S)
            except Closed:
                return
            if job is not None:
                self._guarded(lambda job=job: self._keep(*job))  # type: ignore[misc]
            self._guarded(self._trim)

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError as error:
            self._say("disk", f"{self._folder}: {error.strerror or error}. No snapshots are kept until this is mended")
        except Exception:  # noqa: BLE001  a mistake here must not end the keeping of later ones
            _log.exception("snapshots failed. Please report it")

    def _begin(self) -> None:
        """What a killed agent left half written goes; the rest is taken over."""
        if not self._folder.is_dir():
            return
        found = []
        for path in self._folder.iterdir():
            if path.name.endswith(_PART):
                path.unlink(missing_ok=True)
            elif path.suffix == ".jpg":
                facts = path.stat()
                found.append((facts.st_mtime, path.name, facts.st_size))
        for utc_s, name, size in sorted(found):
            self._files.append(_File(name, size, None, utc_s or None))
            self._held_bytes += size

    def _keep(self, name: str, jpeg: bytes) -> None:
        if len(jpeg) > self.config.quota:
            self.counts.failed += 1
            self._say("quota", f"one picture of {len(jpeg)} bytes is more than snapshots.quota. Raise it")
            return
        while not self._has_room(len(jpeg)) and self._files:
            self._remove_oldest()
        if not self._has_room(len(jpeg)):
            self.counts.failed += 1
            self._say("room", "no snapshots are kept: less than store.keep_free is free. Make room on the disk")
            return
        try:
            self._write(name, jpeg)
        except OSError:
            self.counts.failed += 1
            raise
        self.counts.written += 1
        self._files.append(_File(name, len(jpeg), self._clock.boot_us(), None))
        self._held_bytes += len(jpeg)
        for place in ("room", "disk"):
            self._faults.gone(place, "snapshots are kept again")

    def _has_room(self, size: int) -> bool:
        return self._free_bytes(self._folder.parent) - size >= self._keep_free * _FREE_TIMES

    def _write(self, name: str, jpeg: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        part = self._folder / f"{name}{_PART}"
        try:
            file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                view = memoryview(jpeg)
                while view:
                    view = view[os.write(file, view) :]
                if not self._clock.reading().known:
                    os.utime(file, (0, 0))  # a later boot must not take the machine's idle clock for a date
                os.fsync(file)
            finally:
                os.close(file)
            part.replace(self._folder / name)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def _trim(self) -> None:
        while self._files and (
            self._held_bytes > self.config.quota or self._is_old(self._files[0]) or not self._has_room(0)
        ):
            self._remove_oldest()

    def _is_old(self, file: _File) -> bool:
        if self.config.keep_days is None:
            return False
        now_us = self._clock.boot_us()
        if file.boot_us is not None:
            age_s = (now_us - file.boot_us) / 1e6
        else:
            reading = self._clock.reading()
            if file.utc_s is None or not reading.known:
                return False
            age_s = (now_us + reading.utc_offset_us) / 1e6 - file.utc_s
        return age_s > self.config.keep_days * _DAY_S

    def _remove_oldest(self) -> None:
        file = self._files.popleft()
        self._held_bytes -= file.size
        (self._folder / file.name).unlink(missing_ok=True)
        self.counts.removed += 1

    def _say(self, place: str, text: str) -> None:
        self._faults.fault(place, text, self._clock.boot_us())


def purge(data: Path, before_utc_s: float, lane: str | None = None) -> tuple[int, int]:
    """(deleted, without a date) of the snapshots of stopped agents: those written before that moment, of one lane or of all. What is deleted is
    overwritten first, which a file system that copies on writing does not honour. OSError.
    """
    gone = undated = 0
    for path in sorted((data / FOLDER).glob("*.jpg")):
        facts = path.stat()
        if lane is not None and path.stem.rsplit("-", 2)[0] != lane:
            continue
        if not facts.st_mtime:
            undated += 1
        elif facts.st_mtime < before_utc_s:
            with path.open("r+b") as file:
                file.write(bytes(facts.st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            gone += 1
    return gone, undated
