"""Where the objects of a lane are: what its gate and its region crops look at. Of a model with a tracker the tracks, of others what they found last."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.gating import Gate
from agent.records import Frame, Inference, SampleWindow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.events.tracker import Tracker


class Whereabouts:
    """trackers: by model; they are the loop's own, which feeds them."""

    def __init__(self, trackers: "Mapping[str, Tracker]") -> None:
        self._trackers = trackers
        self._found: dict[str, NDArray[np.float32]] = {}

    def take(self, inference: Inference) -> None:
        found = inference.detections
        if found is not None and found.boxes is not None:
            self._found[inference.model] = found.boxes

    def passes(self, gate: Gate, record: Frame | SampleWindow) -> bool:
        """What the gate says of an input, told of the objects before."""
        gate.warm = any(len(tracker.live(record.at_us)) for tracker in self._trackers.values())
        gate.tracked(self.boxes(record.at_us))
        return gate.take(record)

    def boxes(self, at_us: int) -> "NDArray[np.float32]":
        """(n, 4) in 0..1, of all models: tracks in the order of their birth, then what was found last, the first model first."""
        import numpy as np

        tracks = [tracker.live(at_us) for tracker in self._trackers.values()]
        parts = [np.clip(part, 0, 1) for part in [*tracks, *self._found.values()] if len(part)]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, 4), np.float32)

    def places(self, gate: Gate | None, at_us: int) -> "NDArray[np.float32]":
        """(n, 4) in 0..1: where objects are, then where the gate saw something move in the newest frame."""
        import numpy as np

        boxes = self.boxes(at_us)
        return boxes if gate is None else np.concatenate([boxes, gate.boxes])
