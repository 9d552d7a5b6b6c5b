"""Opens the model for what comes, and looks at one input after another."""

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from agent.inference import inputs, model_file, model_graph
from agent.inference.inputs import describe
from agent.inference.model import Config
from agent.oneshot.inputs import Given, Wanted
from agent.pipeline.models import Kind, find_entry, model_path, open_model
from agent.pipeline.runner import Runner, Times
from agent.problems import Exit, Problem
from agent.records import Detections, Frame, SampleWindow

_WHERE = "model"


class Looking:
    """A model that is opened for pictures or for windows when the first of them comes. Closed with `with`.

    Problem (Exit.MODEL): the model is refused.
    """

    def __init__(self, config: Config, *, masks: bool) -> None:
        self._config, self._masks = config, masks
        self._stack = ExitStack()
        self._runners: dict[Kind, Runner] = {}
        self.name = config.catalogue or Path(config.path or "").name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def wanted(self) -> Wanted:
        """What the model takes, seen in its file; one for windows is opened already."""
        shape = _image_shape(self._config)
        if shape is not None:
            channels = next((size for size in (shape[-1], shape[1]) if size in (3, 4)), 1) if len(shape) > 2 else 1
            return Wanted(pictures=True, channels=channels, size=math.prod(shape) if min(shape) > 0 else 0)
        runner = self.runner("window")
        assert runner.windows is not None
        return Wanted(pictures=False, size=runner.windows.size, rows=hasattr(runner.reader, "decode_rows"))

    def runner(self, kind: Kind) -> Runner:
        if kind not in self._runners:
            opened = open_model("model", self._config, masks=self._masks, where=_WHERE, kind=kind)
            self._runners[kind] = runner = self._stack.enter_context(opened)
            if runner.gives == "anomaly":  # a person who asks wants the score, be it high or low
                runner.reader.always = True
        return self._runners[kind]

    def open_for(self, given: Given) -> Runner:
        return self.runner("frame" if isinstance(given.record, Frame) else "window")

    def look(self, given: Given) -> tuple[Detections, Times]:
        """Problem that names the input: it does not fit the model, or the runtime failed."""
        runner = self.open_for(given)
        if given.first and (reset := getattr(runner.session, "reset", None)) is not None:
            reset()
        try:
            return runner.timed(_checked(given, runner))
        except Problem as problem:
            raise problem.at(given.name) from None


def _checked(given: Given, runner: Runner) -> Frame | SampleWindow:
    """Problem (Exit.MODEL): a window of another size than the model's."""
    record = given.record
    if isinstance(record, SampleWindow) and runner.windows is not None:
        size, shape = runner.windows.size, record.samples.shape
        if size not in (shape[-1], record.samples.size):
            raise Problem(
                where=given.name,
                what=f"{record.samples.size} numbers, the model takes {size} ({describe(runner.session.inputs[runner.input_index])})",
                remedy="Save windows of that size; what is made of raw samples before is the model's card to say",
                code=Exit.MODEL,
            )
    return record


def _image_shape(config: Config) -> tuple[int, ...] | None:
    """Of the input that is an image, -1 where it is open; None: there is none. Problem (Exit.MODEL): no model that can be read."""
    path = model_path(config, find_entry(config, _WHERE), _WHERE)
    model, _ = model_file.load(path, sha256=config.sha256, where=_WHERE)
    graph = model_graph.read_graph(model, where=f"{_WHERE} ({path})")
    tensors = graph.inputs
    for signature in graph.signatures:
        if signature.name == config.signature and signature.subgraph < len(graph.subgraphs):
            known = graph.subgraphs[signature.subgraph].tensors
            tensors = tuple(known[place] for place in signature.inputs.values() if place < len(known))
    for tensor in tensors:
        shape = tuple(-1 if place in tensor.open else size for place, size in enumerate(tensor.shape))
        if inputs.image(shape, config.layout) is not None:
            return shape
    return None
