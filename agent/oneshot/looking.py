"""Opens the model for what comes, and looks at one input after another."""

import math
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from agent.inference import inputs, model_graph
from agent.inference.inputs import describe
from agent.inference.model import Config
from agent.oneshot.inputs import Given, Wanted
from agent.pipeline.models import Kind, Machine, open_model, read_file, trials_folder
from agent.pipeline.runner import Runner, Times
from agent.problems import Exit, Problem
from agent.records import Detections, Frame, SampleWindow

_WHERE = "model"
_KEY = re.compile(rf"\b{_WHERE}(?: \([^)]*\))?\.([a-z_0-9]+)\b")
_OPTIONS = ("decoder", "labels", "threads", "score")


class Looking:
    """A model that is opened for pictures or for windows when the first of them comes. Closed with `with`.

    Problem (Exit.MODEL): the model is refused.
    """

    def __init__(self, config: Config, *, masks: bool) -> None:
        self.config, self._masks = config, masks
        self._machine = Machine(cache=trials_folder())
        self._stack = ExitStack()
        self._runners: dict[Kind, Runner] = {}
        self.name = config.catalogue or Path(config.path or "").name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def wanted(self) -> Wanted:
        """What the model takes, seen in its file; one for windows is opened already."""
        shape = _image_shape(self.config)
        if shape is not None:
            channels = next((size for size in (shape[-1], shape[1]) if size in (3, 4)), 1) if len(shape) > 2 else 1
            return Wanted(pictures=True, channels=channels, size=math.prod(shape) if min(shape) > 0 else 0)
        runner = self.runner("window")
        assert runner.windows is not None
        return Wanted(pictures=False, size=runner.windows.size, rows=hasattr(runner.reader, "decode_rows"))

    def runner(self, kind: Kind) -> Runner:
        if kind not in self._runners:
            # A person who asks wants an anomaly's score, be it high or low, and may not know the threshold yet.
            opened = open_model(
                "model", self.config, machine=self._machine, masks=self._masks, every=True, where=_WHERE, kind=kind
            )
            try:
                self._runners[kind] = self._stack.enter_context(opened)
            except Problem as problem:
                raise for_the_command_line(problem) from None
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


def for_the_command_line(problem: Problem) -> Problem:
    """Keys as they are said there: `model.decoder` is --decoder, `model.mean` is --set mean."""

    def option(key: re.Match[str]) -> str:
        return f"--{key[1]}" if key[1] in _OPTIONS else "--delegate" if key[1] == "delegates" else f"--set {key[1]}"

    where, what, remedy = (_KEY.sub(option, text) for text in (problem.where, problem.what, problem.remedy))
    return Problem(where=where, what=what, remedy=remedy, code=problem.code)


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
    file = read_file(config, _WHERE)
    graph = model_graph.read_graph(file.content, where=f"{_WHERE} ({file.path})")
    if graph.damaged and not graph.inputs:  # a runtime may take it all the same; what it would look at is not known
        raise Problem(
            where=f"{_WHERE} ({file.path})",
            what=f"the model file is damaged: {', '.join(graph.damaged)} cannot be read",
            remedy="Fetch it again and compare its sha256",
            code=Exit.MODEL,
        )
    tensors = graph.inputs
    for signature in graph.signatures:
        if signature.name == config.signature and signature.subgraph < len(graph.subgraphs):
            known = graph.subgraphs[signature.subgraph].tensors
            tensors = tuple(known[place] for place in signature.inputs.values() if place < len(known))
    for tensor in tensors:
        shape = tuple(-1 if place in tensor.open else size for place, size in enumerate(tensor.shape))
        if inputs.image(shape, config.layout) is not None:
            return shape
        if config.layout is not None and inputs.image(shape) is not None:
            raise Problem(
                where="--set layout",
                what=f"the model's input {inputs.written(shape)} is no image in the layout {config.layout}",
                remedy="Leave layout out: it is seen from the shape",
                code=Exit.MODEL,
            )
    return None
