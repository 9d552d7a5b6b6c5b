"""A model ready to look: input, session and decoder put together. Inference and decoding do not know each other."""

import itertools
import time
from typing import TYPE_CHECKING, Any

import msgspec

from agent.decoding import Gives
from agent.inference import Session
from agent.inference.delegates import ON_CPU
from agent.inference.features_input import FeaturesInput, dequantise
from agent.inference.preprocess import Preprocess
from agent.problems import Exit, Problem
from agent.records import Detections, Frame, Placement, SampleWindow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.inference.turns import Turns


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Of one look: filling the input, the model alone, reading its outputs."""

    preprocess_ms: float
    invoke_ms: float
    decode_ms: float


class Runner(msgspec.Struct, kw_only=True):
    """One thread owns it. digest: sha256 of the file in hex. licence: None when nobody says it. why: how the decoder was found.

    turns: shared by all sessions of the process, so that none waits for ever where there are more of them than cores; None: no turns.
    """

    name: str
    decoder: str
    why: str
    digest: str
    labels: tuple[str, ...]
    licence: str | None
    session: Session
    reader: Any  # a decoding.Decoder, or a decoding.RowsDecoder
    frames: Preprocess | None = None
    windows: FeaturesInput | None = None
    input_index: int = 0
    choice: Any = None  # what was tried, refused and why, where the session knows
    turns: "Turns | None" = None

    @property
    def runtime(self) -> str:
        return self.session.runtime

    @property
    def delegate(self) -> str:
        """What runs it now."""
        return self.session.delegate

    @property
    def degraded(self) -> str | None:
        """Why it does not run where it was opened; None: it does."""
        return self.session.degraded

    @property
    def gives(self) -> Gives:
        gives: Gives = self.reader.gives
        return gives

    @property
    def image_px(self) -> tuple[int, int]:
        """Width and height of its image input; 0, 0 for a model of windows."""
        return (0, 0) if self.frames is None else self.frames.size_px

    def reset(self) -> None:
        """A recurrent model forgets what it saw."""
        forget = getattr(self.session, "reset", None)
        if forget is not None:
            forget()

    def look(self, record: Frame | SampleWindow) -> Detections:
        """Problem: the record is of the other kind, or does not fit the input; the runtime failed."""
        if isinstance(record, Frame) and self.frames is not None:
            placement = self.frames.fill(record.pixels)
            return self._decode(self._run(), placement)
        if isinstance(record, SampleWindow) and self.windows is not None:
            return self._look_at_window(record, self.windows)
        raise self._wrong_kind(record)

    def timed(self, record: Frame | SampleWindow) -> tuple[Detections, Times]:
        """As `look`, with what each part took. A window that is run an axis at a time counts as invoke."""
        if isinstance(record, SampleWindow):
            began = time.perf_counter_ns()
            found = self.look(record)
            took_ms = (time.perf_counter_ns() - began) / 1e6
            return found, Times(preprocess_ms=0.0, invoke_ms=took_ms, decode_ms=0.0)
        if self.frames is None:
            raise self._wrong_kind(record)
        at = [time.perf_counter_ns()]
        placement = self.frames.fill(record.pixels)
        at.append(time.perf_counter_ns())
        outputs = self._run()
        at.append(time.perf_counter_ns())
        found = self._decode(outputs, placement)
        at.append(time.perf_counter_ns())
        parts = [(after - before) / 1e6 for before, after in itertools.pairwise(at)]
        return found, Times(preprocess_ms=parts[0], invoke_ms=parts[1], decode_ms=parts[2])

    def _run(self) -> "list[NDArray[Any]]":
        if self.turns is None or self.session.delegate not in ON_CPU:  # a GPU at work needs no core
            return self.session.run()
        with self.turns.turn():
            return self.session.run()

    def _decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        found: Detections
        if hasattr(self.reader, "decode_rows"):  # compares what went in with what came out
            given = dequantise(self.session.input_array(self.input_index).reshape(1, -1), self._input)
            rebuilt = dequantise(outputs[0].reshape(1, -1), self.session.outputs[0])
            found = self.reader.decode_rows(given, rebuilt)
        else:
            found = self.reader.decode(outputs, placement)
        return found

    def _look_at_window(self, window: SampleWindow, windows: FeaturesInput) -> Detections:
        import numpy as np

        given = windows.rows(window.samples if window.features is None else window.features)
        if not hasattr(self.reader, "decode_rows"):
            if len(given) != 1:
                raise windows.misfit(window.samples if window.features is None else window.features)
            windows.fill(given[0])
            found: Detections = self.reader.decode(self._run(), Placement())
            return found
        rebuilt = np.stack([self._run_row(row, windows) for row in given])
        anomalies: Detections = self.reader.decode_rows(given, rebuilt)
        return anomalies

    def _run_row(self, row: "NDArray[np.float32]", windows: FeaturesInput) -> "NDArray[np.float32]":
        windows.fill(row)
        return dequantise(self._run()[0].reshape(-1), self.session.outputs[0])

    @property
    def _input(self) -> Any:
        return self.session.inputs[self.input_index]

    def _wrong_kind(self, record: Frame | SampleWindow) -> Problem:
        return Problem(
            where=f"model {self.name}",
            what=f"a {type(record).__name__} came to a model for {'frames' if self.frames is not None else 'windows'}",
            remedy="Give the lane the source that the model is for",
            code=Exit.MODEL,
        )
