"""Models whose answers a test writes down. They implement `agent.pipeline.lane.Runner`.

Scripted({1_000_000: ["face"], 2_000_000: Problem(...)})   # by the input's time; other inputs: nothing found
"""

from collections.abc import Mapping

import numpy as np

from agent.records import Detections, Frame, SampleWindow


def found(
    *labels: str, score: float = 0.9, box: tuple[float, float, float, float] = (0.25, 0.25, 0.5, 0.5)
) -> Detections:
    return Detections(
        labels=labels,
        scores=np.full(len(labels), score, np.float32),
        boxes=np.tile(np.array(box, np.float32), (len(labels), 1)),
    )


class Scripted:
    runtime = "none"
    delegate = "none"
    digest = "0" * 64
    labels: tuple[str, ...] = ()
    licence = None
    degraded = None

    def __init__(self, answers: Mapping[int, list[str] | Exception]) -> None:
        self._answers = answers
        self.looked_at: list[int] = []

    def look(self, record: Frame | SampleWindow) -> Detections:
        self.looked_at.append(record.at_us)
        answer = self._answers.get(record.at_us, [])
        if isinstance(answer, Exception):
            raise answer
        return found(*answer)
