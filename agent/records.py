"""What travels along a lane: frozen records. Times are microseconds on CLOCK_BOOTTIME (`at_us`), never a wall clock."""

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Record(msgspec.Struct, frozen=True, kw_only=True):
    at_us: int


class Frame(Record, frozen=True, kw_only=True, dict=True):
    """One picture, as its source has it: bgr (height, width, 3) uint8, or i420 (height * 3 / 2, width) uint8: Y plane, then U and V, of half the
    width and height, side by side in memory (video range, as cameras send it; width and height even).

    encoded: the camera's own JPEG, where the source has it. small_luma: (smaller height, smaller width) uint8, the brightness of the same picture,
    where the camera scales it itself.
    """

    bgr: "NDArray[np.uint8] | None" = None
    i420: "NDArray[np.uint8] | None" = None
    encoded: bytes | None = None
    small_luma: "NDArray[np.uint8] | None" = None

    @cached_property
    def pixels(self) -> "NDArray[np.uint8]":
        """(height, width, 3) uint8, BGR. Converted at the first use: a frame that the gate holds back is never."""
        if self.bgr is not None:
            return self.bgr
        import cv2

        assert self.i420 is not None
        return cv2.cvtColor(self.i420, cv2.COLOR_YUV2BGR_I420)  # type: ignore[return-value]

    @property
    def luma(self) -> "NDArray[np.uint8] | None":
        """Uint8, of the picture's size or smaller, where the source has it at no cost."""
        if self.small_luma is not None:
            return self.small_luma
        return None if self.i420 is None else self.i420[: self.i420.shape[0] * 2 // 3]


class Read(Record, frozen=True, kw_only=True):
    """Bytes as they came from a port, one read."""

    data: bytes


class Write(Record, frozen=True, kw_only=True):
    """Bytes as they went to a port: the clock fit needs its own requests."""

    data: bytes


class SampleChunk(Record, frozen=True, kw_only=True):
    """Consecutive samples of one sensor stream. at_us: of the first sample. samples: (n, axes) float32 in `unit`.

    lost: samples missing between the previous chunk and this one.
    """

    stream: str
    period_us: float
    unit: str
    samples: "NDArray[np.float32]"
    lost: int = 0


class SampleWindow(Record, frozen=True, kw_only=True):
    """What a sensor model looks at. at_us: of the last sample. samples: (n, axes) float32; features: (axes, bands) float32 or None.

    measured: per reading name (n, sum, sum of squares, min, max) over the window's new samples.
    """

    samples: "NDArray[np.float32]"
    features: "NDArray[np.float32] | None" = None
    units: tuple[tuple[str, str], ...] = ()
    measured: dict[str, tuple[int, float, float, float, float]] = {}


class Gap(Record, frozen=True, kw_only=True):
    """A time in which the lane has no input, and why: stall, unplugged, recorder, samples."""

    why: str


class Tick(Record, frozen=True, kw_only=True):
    """Once a second of lane time. `at_us` is its end, on a whole second of boot time unless a partial tick closes early.

    alive_us: how much of it the source was open and its newest record no older than the stall time. dropped: inputs replaced or refused
    before the lane could take them.
    """

    alive_us: int
    dropped: int


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where the frame lies in a model's input, as shares of the input: x, y, width, height.

    letterbox: the inner box; crop: the frame is larger than the input (x, y below 0, width or height above 1).
    """

    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0


class Detections(msgspec.Struct, frozen=True, kw_only=True):
    """What one model found on one input; n may be 0. boxes: (n, 4) float32 x0, y0, x1, y1 in 0..1, clipped to the frame, or None.

    labels: n texts. indexes: n class numbers, or () where the output has no classes. scores: (n,) float32.
    values: (n,) float64 (an anomaly's score, an area's ratio, a measured number) or None. keypoints: (n, k, 3) float32 x, y, score or None.
    vectors: (n, d) float32 (embeddings; raw numbers) or None. masks: (n, height, width) bool over the whole frame at any
    resolution, or None; made for pictures only, never stored. tracks: (n,) which object each is, 0 where that is not known, or None.
    """

    labels: tuple[str, ...]
    scores: "NDArray[np.float32]"
    boxes: "NDArray[np.float32] | None" = None
    values: "NDArray[np.float64] | None" = None
    keypoints: "NDArray[np.float32] | None" = None
    indexes: tuple[int, ...] = ()
    vectors: "NDArray[np.float32] | None" = None
    masks: "NDArray[np.bool_] | None" = None
    tracks: "NDArray[np.int64] | None" = None

    def __len__(self) -> int:
        return len(self.labels)


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one input: what it found, or why it failed. took_ms: preprocess, invoke and decode."""

    model: str
    at_us: int
    detections: Detections | None
    took_ms: float


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that stays on the device: its place in the data folder, "sha256:…" of its file, and that file's size."""

    ref: str
    digest: str
    bytes: int


class Event(Record, frozen=True, kw_only=True):
    """A rule that began or ceased to hold. phase: start, end. snapshot: its rule wants the picture kept; media: it was."""

    rule: str
    severity: str
    phase: str
    model: str | None = None
    label: str | None = None
    score: float | None = None
    box: tuple[float, float, float, float] | None = None
    zone: str | None = None
    line: str | msgspec.UnsetType = msgspec.UNSET
    track: int | None = None
    snapshot: bool = False
    media: Media | None = None


class Crossing(Record, frozen=True, kw_only=True):
    """What a tracked object did, each once. at_us: when it was so first, which may lie before the lane's previous tick.

    kind: born (got its number), entered and left (a zone), in and out (over a line); after a restart that it did not outlive: interrupted (the
    object), interrupted_in (in a zone). place: the zone or line. dwell_us: how long it was in the zone.
    """

    kind: str
    track: int
    model: str
    label: str
    place: str | None = None
    dwell_us: int | None = None


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """Objects of a lane when it last closed a tick. same_boot: boot time has gone on since."""

    state: bytes
    same_boot: bool


class LaneSecond(msgspec.Struct, frozen=True, kw_only=True):
    """All that a lane did since its previous tick, in order: one job for the store, whole or not at all.

    seen = gated + inferred + failed + dropped. models: per model (inferred, failed). latencies: per model log bins of milliseconds.
    occupied: zone → label → objects in it at the tick. live: the objects that go on after it, to be kept for a restart; b"": none, None: as before.
    """

    lane: str
    tick: Tick
    seen: int
    gated: int
    inferred: int
    failed: int
    inferences: tuple[Inference, ...]
    events: tuple[Event, ...]
    models: dict[str, tuple[int, int]]
    measured: dict[str, tuple[int, float, float, float, float]]
    latencies: dict[str, dict[int, int]]
    crossings: tuple[Crossing, ...] = ()
    occupied: dict[str, dict[str, int]] = {}
    live: bytes | None = None


# What a source hands to its mailbox, and a recording to its lane.
Input = Frame | Read | Write | Gap
