"""A lane's pictures, on their way to where somebody may see them: snapshots of events, and the page of `look`.

Both get a picture only when `events.privacy` says where people are in that very picture, and hidden there. The picture of an event is encoded in
the lane, a few milliseconds at the start of an event: the event goes to the store at once, with the digest of what is kept.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from agent.config.file import File, Lane
from agent.config.read import Loaded
from agent.events.privacy import CELLS, LOST_S, Hidden, Hiding, hide
from agent.events.privacy import Config as Privacy
from agent.events.snapshots import Snapshots
from agent.log import Repeated
from agent.mailbox import Latest
from agent.problems import Exit, Problem
from agent.records import Event, Frame, Inference, Media

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a lane hands to who looks: a picture, what was found on it, what of it is hidden, boxes (n, 4) of what moved. results: empty for one that
    the gate held back.
    """

    frame: Frame
    results: Mapping[str, Inference]
    hidden: Hidden
    moved: "NDArray[np.float32] | None"
    held_back: bool


class Watch:
    """Between a lane and who looks at it. wanted: set by who looks, read by the lane at every picture."""

    def __init__(self) -> None:
        self.wanted = False
        self.newest: Latest[Seen] = Latest()


class LaneShowing:
    """Of one run of one lane; owned by its thread. moved: what the gate saw move."""

    def __init__(
        self,
        name: str,
        hiding: Hiding,
        *,
        snapshots: Snapshots | None,
        watch: Watch,
        faults: Repeated,
    ) -> None:
        self._name = name
        self._hiding = hiding
        self._snapshots = snapshots
        self._watch = watch
        self._faults = faults
        self.moved: Callable[[], NDArray[np.float32] | None] = lambda: None

    def take(self, frame: Frame, results: Mapping[str, Inference], events: Sequence[Event]) -> list[Event]:
        """The events, those that want a snapshot with what was kept. results: of this picture, by model."""
        wanted = any(event.snapshot for event in events) and self._snapshots is not None
        if not (self._hiding.on or wanted or self._watch.wanted):
            return list(events)
        hidden = self._hiding.take(frame.at_us, results)
        if self._watch.wanted:
            self._hand(frame, results, hidden, held_back=False)
        if not wanted:
            return list(events)
        try:
            media = self._keep(frame, hidden)
        except Exception:
            logging.getLogger(__name__).exception("snapshot failed. Please report it")
            media = None
        return [msgspec.structs.replace(event, media=media) if event.snapshot else event for event in events]

    def held_back(self, frame: Frame) -> None:
        """The gate held it back, so nobody knows who is in it: with blur nobody sees it."""
        if self._watch.wanted and not self._hiding.on:
            self._hand(frame, {}, self._hiding.take(frame.at_us, {}), held_back=True)

    def _hand(self, frame: Frame, results: Mapping[str, Inference], hidden: Hidden, *, held_back: bool) -> None:
        self._watch.newest.put(
            Seen(frame=frame, results=results, hidden=hidden, moved=self.moved(), held_back=held_back)
        )

    def _keep(self, frame: Frame, hidden: Hidden) -> Media | None:
        assert self._snapshots is not None
        if hidden.boxes is None:
            self._snapshots.counts.hidden += 1
            self._faults.fault(
                self._name,
                f"lane.{self._name}: an event has no snapshot: {hidden.why}. With [privacy] blur, a picture is kept only when people in it are known",
                frame.at_us,
            )
            return None
        jpeg = encoded(shown(frame, hidden, self._hiding.config.blur), self._snapshots.config.jpeg_quality)
        return None if jpeg is None else self._snapshots.offer(self._name, frame.at_us, jpeg)


class Showing:
    """Of the whole agent: what its lanes share. snapshots: None where none are kept (a recording, a look)."""

    def __init__(self, file: File, snapshots: Snapshots | None, logger: logging.Logger) -> None:
        self.file = file
        self._snapshots = snapshots
        self._faults = Repeated(logger)
        self.watches = {name: Watch() for name, lane in file.lane.items() if lane.window is None}

    def lane(self, name: str, labels: Mapping[str, tuple[str, ...]]) -> LaneShowing | None:
        """For a run of the lane. labels: of its models that are open. None: the lane has no pictures."""
        if name not in self.watches:
            return None
        lane = self.file.lane[name]
        whole = {model: labels.get(model) for model, config in lane.model.items() if config.on == "input"}
        lost_s = lane.tracker.lost_s if lane.tracker is not None else LOST_S
        return LaneShowing(
            name,
            Hiding(privacy_of(self.file, lane), whole, lost_s),
            snapshots=self._snapshots,
            watch=self.watches[name],
            faults=self._faults,
        )


def check_recording(loaded: Loaded) -> None:
    """Problem: a lane's pictures are to be blurred, and a recording would keep them as they are."""
    for name, lane in loaded.file.lane.items():
        privacy = privacy_of(loaded.file, lane)
        if lane.window is None and privacy.blur != "none" and not privacy.allow_recording:
            key = ("lane", name, "privacy") if lane.privacy is not None else ("privacy",)
            raise Problem(
                where=loaded.where(*key, "blur"),
                what=f'a recording of {name} would keep persons as they are, and blur is "{privacy.blur}"',
                remedy="Leave the lane out (--lane), or allow it for the time of the recording: allow_recording = true",
                code=Exit.CONFIG,
            )


def privacy_of(file: File, lane: Lane) -> Privacy:
    """Of a lane: its own table, or the file's."""
    return lane.privacy if lane.privacy is not None else file.privacy


def shown(frame: Frame, hidden: Hidden, blur: str) -> "NDArray[np.uint8]":
    """The picture as it may be seen. Only for a picture that may: hidden.boxes is not None."""
    assert hidden.boxes is not None
    return hide(frame.pixels, hidden.boxes, CELLS[blur]) if len(hidden.boxes) else frame.pixels


def encoded(pixels: "NDArray[np.uint8]", quality: int) -> bytes | None:
    """As JPEG without anything beside the picture; None when OpenCV cannot."""
    import cv2

    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes() if done else None
