"""The running agent's side of `look`: hands the newest picture of a lane, people hidden in it, to who asks over the socket.

Costs nothing while nobody asks. Who asks sets the lane's `Watch`, so that its thread hands over references; hiding and JPEG are done on the
thread here, at most five times a second a lane. Two seconds after the last question the watch is off.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import SHUT_RDWR, socket

import msgspec

from agent.clock import Clock
from agent.config.pictures import shapes
from agent.log import fact
from agent.mailbox import Closed
from agent.pipeline.showing import Seen, Showing, Watch, encoded, privacy_of, shown
from agent.pipeline.supervisor import LaneState
from agent.records import Inference, LaneSecond
from agent.web import handover
from agent.web.handover import Ask, Found, ModelTold, Told

_QUALITY = 80
_LEAST_BETWEEN_S = 0.2
_WAIT_S = 1.0
# For a picture that is newer. Short: others, of another lane, wait meanwhile.
_NEWER_S = 0.25
_POLL_S = 0.5
_WANTED_US = 2_000_000
_SECONDS = 5
_MOST_FOUND = 200

_log = logging.getLogger(__name__)


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The newest that was made of a lane's pictures; jpeg empty where it may not be shown."""

    seen: Seen
    jpeg: bytes
    width_px: int
    height_px: int


class Looking:
    """states: of the lanes. Its thread runs between `with` and its end."""

    def __init__(self, showing: Showing, states: Callable[[], Mapping[str, LaneState]], clock: Clock) -> None:
        self._showing = showing
        self._states = states
        self._clock = clock
        self._stop = threading.Event()
        self._asked_us: dict[str, int] = {}
        self._made_us: dict[str, int] = {}
        self._shown: dict[str, _Shown] = {}
        self._seconds: dict[str, deque[LaneSecond]] = {name: deque(maxlen=_SECONDS) for name in showing.file.lane}

    def note(self, second: LaneSecond) -> None:
        """On the lane's thread: the counts of its newest seconds, for its rates."""
        self._seconds[second.lane].append(
            msgspec.structs.replace(
                second, inferences=(), events=(), measured={}, latencies={}, crossings=(), live=None
            )
        )

    def serve(self, listener: socket) -> None:
        """Until `end`. One at a time: who looks asks on a new connection each time."""
        listener.settimeout(_POLL_S)
        while not self._stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                self._forget()
                continue
            except OSError:
                return
            with connection, suppress(handover.Gone):
                connection.settimeout(_WAIT_S)
                self._answer(connection, handover.receive(connection))
            self._forget()

    def end(self) -> None:
        """Whoever waits for a picture waits no longer."""
        self._stop.set()
        for watch in self._showing.watches.values():
            watch.newest.close()

    def _answer(self, connection: socket, ask: Ask) -> None:
        lanes = tuple(self._showing.watches)
        lane = ask.lane if ask.lane in lanes else next(iter(lanes), "")
        if not lane:
            handover.answer(connection, Told(lane="", lanes=(), state="", problem="no lane here has pictures"), b"")
            return
        self._asked_us[lane] = self._clock.boot_us()
        try:
            self._look(lane, self._showing.watches[lane], ask.after_us)
        except Exception:  # noqa: BLE001  a mistake here must not end the thread: the page says what the lane does
            _log.exception("a picture could not be made. Please report it")
        handover.answer(connection, *self._told(lane, lanes, ask.after_us))

    def _look(self, name: str, watch: Watch, after_us: int) -> None:
        """Makes the newest picture, waiting for one that is newer than what is known to who asks."""
        watch.wanted = True
        early_us = self._made_us.get(name, 0) + round(_LEAST_BETWEEN_S * 1e6) - self._clock.boot_us()
        if early_us > 0:
            self._clock.wait(self._stop, early_us / 1e6)
        known = self._shown.get(name)
        fresh = known is not None and known.seen.frame.at_us > after_us
        with suppress(Closed):
            seen = watch.newest.take(0.0 if fresh else _NEWER_S)
            if seen is not None:
                self._made_us[name] = self._clock.boot_us()
                self._shown[name] = self._made(name, seen)

    def _made(self, name: str, seen: Seen) -> _Shown:
        jpeg: bytes | None = None
        if seen.hidden.boxes is not None:
            blur = privacy_of(self._showing.file, self._showing.file.lane[name]).blur
            jpeg = encoded(shown(seen.frame, seen.hidden, blur), _QUALITY)
        height, width = seen.frame.pixels.shape[:2]
        return _Shown(seen=seen, jpeg=jpeg or b"", width_px=width, height_px=height)

    def _told(self, name: str, lanes: tuple[str, ...], after_us: int) -> tuple[Told, bytes]:
        state, now_us = self._states()[name], self._clock.boot_us()
        new = self._shown.get(name)
        results = new.seen.results if new is not None else {}
        told = Told(
            lane=name,
            lanes=lanes,
            state=state.state,
            problem=state.problem,
            blur=privacy_of(self._showing.file, self._showing.file.lane[name]).blur,
            models={
                model: ModelTold(
                    runtime=one.runtime,
                    delegate=one.delegate,
                    took_ms=round(results[model].took_ms, 2) if model in results else None,
                    problem=one.problem or one.degraded,
                )
                for model, one in state.models.items()
            },
            rates=self._rates(name),
            shapes=shapes(self._showing.file.lane[name]),
        )
        if new is None:
            return msgspec.structs.replace(told, why="no picture has come yet"), b""
        at_us = new.seen.frame.at_us
        told = msgspec.structs.replace(
            told,
            at_us=at_us,
            age_s=round(max(0, now_us - at_us) / 1e6, 2),
            width_px=new.width_px,
            height_px=new.height_px,
            held_back=new.seen.held_back,
            why=new.seen.hidden.why,
            found=_found(results),
            moved=tuple(_box(box) for box in new.seen.moved) if new.seen.moved is not None else (),
        )
        if at_us <= after_us:
            return told, b""
        return msgspec.structs.replace(told, jpeg_bytes=len(new.jpeg)), new.jpeg

    def _rates(self, name: str) -> dict[str, float]:
        seconds = list(self._seconds[name])
        if len(seconds) < 2:
            return {}
        over_s = (seconds[-1].tick.at_us - seconds[0].tick.at_us) / 1e6
        counts = {
            "seen": [one.seen for one in seconds[1:]],
            "gated": [one.gated for one in seconds[1:]],
            "inferred": [one.inferred for one in seconds[1:]],
            "failed": [one.failed for one in seconds[1:]],
            "dropped": [one.tick.dropped for one in seconds[1:]],
        }
        return {key: round(sum(numbers) / over_s, 2) for key, numbers in counts.items()}

    def _forget(self) -> None:
        """Lanes that nobody looks at any more hand nothing over, and no picture of theirs is held."""
        now_us = self._clock.boot_us()
        for name, asked_us in list(self._asked_us.items()):
            if now_us - asked_us > _WANTED_US:
                del self._asked_us[name]
                self._shown.pop(name, None)
                watch = self._showing.watches[name]
                watch.wanted = False
                with suppress(Closed):
                    watch.newest.take(0.0)


@contextmanager
def open_looking(looking: Looking, folder: Path) -> Iterator[None]:
    """Listens in the data folder. Where that cannot be, the agent runs without: nobody can look."""
    with _listener(folder) as listener:
        if listener is None:
            yield
            return
        thread = threading.Thread(target=looking.serve, args=(listener,), name="looking", daemon=True)
        thread.start()
        try:
            yield
        finally:
            looking.end()
            with suppress(OSError):
                listener.shutdown(SHUT_RDWR)  # ends the wait for somebody to come
            thread.join(_WAIT_S)


@contextmanager
def _listener(folder: Path) -> Iterator[socket | None]:
    with ExitStack() as stack:
        listener = None
        try:
            listener = stack.enter_context(handover.listening(folder))
        except OSError as error:
            _log.warning(fact("nobody can look: no socket in the data folder", folder=folder, error=error))
        yield listener


def _found(results: Mapping[str, Inference]) -> tuple[Found, ...]:
    found = []
    for model, inference in results.items():
        of = inference.detections
        if of is None:
            continue
        for place in range(min(len(of), _MOST_FOUND)):
            score = of.values[place] if of.values is not None else of.scores[place]
            track = int(of.tracks[place]) if of.tracks is not None else 0
            box = _box(of.boxes[place]) if of.boxes is not None else None
            found.append(
                Found(model=model, label=of.labels[place], score=round(float(score), 4), box=box, track=track or None)
            )
    return tuple(found)


def _box(box: Iterable[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (round(float(edge), 4) for edge in box)
    return x0, y0, x1, y1
