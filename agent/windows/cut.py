"""Cuts a stream of samples into windows of `length_s`, a new one every `hop_s`; a gap empties the window.

Lengths are counted in samples of the device's own rate, so every window has the same number. Readings (`measured`) are the samples that are
new in a window, per axis: x, y, z of three axes, the stream's name of one, else the name with the axis's number. Of n, sum, sum of squares,
min and max come the mean, the RMS and the extremes. Samples that a gap takes out of a window before it was full are in no reading.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from agent.problems import Exit, Problem
from agent.records import Gap, SampleChunk, SampleWindow
from agent.windows.features import FEATURES, LEAST_SAMPLES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    length_s: Annotated[float, Meta(gt=0, le=600, description="How much time one window holds.")]
    hop_s: Annotated[float, Meta(gt=0, le=600, description="A new window begins every so often.")]
    features: Annotated[
        Literal["none", "log-bands"],
        Meta(description="What the model looks at: the samples, or the logarithm of 64 spectral bands an axis."),
    ] = "none"


class Cut:
    """One stream's windows, a pure function of the records it is given.

    gaps: how often the window was emptied: by a Gap, by lost samples, by a stream that changed its rate or axes.
    """

    def __init__(self, config: Config, where: str = "") -> None:
        self._config = config
        self._where = where
        self._features = FEATURES.get(config.features)
        self._shape: tuple[str, float, int] | None = None
        self._names: tuple[str, ...] = ()
        self._length = self._hop = 0
        self._samples: NDArray[np.float32] | None = None
        self._due = 0  # how many samples must stand in `_samples` for the next window to end
        self._measured_to = 0  # so many of them are in an earlier window's readings
        self.gaps = 0

    def take(self, record: SampleChunk | Gap) -> list[SampleWindow]:
        """The windows that end in this chunk. Problem when the window is too short for its features at the device's rate."""
        import numpy as np

        if isinstance(record, Gap):
            self._empty()
            return []
        shape = (record.stream, record.period_us, record.samples.shape[1])
        if shape != self._shape:
            self._empty()
            self._fit(shape)
        elif record.lost:
            self._empty()
        before = 0 if self._samples is None else len(self._samples)
        self._samples = record.samples if self._samples is None else np.concatenate((self._samples, record.samples))
        windows = []
        while len(self._samples) >= self._due:
            last = self._due - 1 - before  # place of the window's last sample in this chunk
            windows.append(self._window(record.at_us + round(last * record.period_us), record.unit))
            before -= self._advance()
        return windows

    def _window(self, at_us: int, unit: str) -> SampleWindow:
        assert self._samples is not None
        samples = self._samples[self._due - self._length : self._due]
        new = self._samples[self._measured_to : self._due].astype("float64")
        measured = {
            name: (len(new), float(axis.sum()), float((axis * axis).sum()), float(axis.min()), float(axis.max()))
            for name, axis in zip(self._names, new.T, strict=True)
        }
        return SampleWindow(
            at_us=at_us,
            samples=samples,
            features=None if self._features is None else self._features(samples),
            units=tuple((name, unit) for name in self._names),
            measured=measured,
        )

    def _advance(self) -> int:
        """Makes the next window the due one; how many samples it needs no more."""
        assert self._samples is not None
        self._measured_to = self._due
        self._due += self._hop
        gone = min(self._due - self._length, self._measured_to)
        self._samples = self._samples[gone:]
        self._due -= gone
        self._measured_to -= gone
        return gone

    def _empty(self) -> None:
        if self._samples is not None:
            self.gaps += 1
        self._samples = None
        self._due, self._measured_to = self._length, 0

    def _fit(self, shape: tuple[str, float, int]) -> None:
        stream, period_us, axes = shape
        self._length = max(1, round(self._config.length_s * 1e6 / period_us))
        self._hop = max(1, round(self._config.hop_s * 1e6 / period_us))
        least = LEAST_SAMPLES.get(self._config.features, 1)
        if self._length < least:
            raise Problem(
                where=f"{self._where}.length_s" if self._where else "length_s",
                what=f"a window of {self._config.length_s:g} s has {self._length} samples at {1e6 / period_us:g} Hz, "
                f"{self._config.features} needs {least}",
                remedy=f"Set length_s to {least * period_us / 1e6:.3g} or more",
                code=Exit.CONFIG,
            )
        if axes == 1:
            self._names = (stream,)
        else:
            self._names = ("x", "y", "z") if axes == 3 else tuple(f"{stream}-{axis}" for axis in range(axes))
        self._shape = shape
        self._due, self._measured_to = self._length, 0
