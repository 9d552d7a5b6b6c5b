"""Recurrent models: outputs that are inputs of the next run.

Which output belongs to which input is said in the config, or follows from shape and type alone, or from names that share words
(`raw_outputs/lstm_c` and `raw_inputs/init_lstm_c`), those of the signature first: TensorFlow calls outputs `StatefulPartitionedCall:1`.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent.inference import Session, Tensor
from agent.inference.inputs import describe, image
from agent.problems import Exit, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pairs = tuple[tuple[int, int], ...]

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# Words that say only which side a tensor stands on, or that it is one.
_SIDES = frozenset(
    [
        "raw",
        "in",
        "out",
        "input",
        "inputs",
        "output",
        "outputs",
        "init",
        "initial",
        "prev",
        "previous",
        "next",
        "new",
        "old",
        "last",
        "current",
        "updated",
        "serving",
        "default",
        "tensor",
        "feed",
        "fetch",
        "arg",
        "args",
        "result",
    ]
)
# A converter's own names: their number is the place among the outputs and says nothing.
_NUMBERED = re.compile("identity|partitionedcall", re.IGNORECASE)
_MOST_ALIKE = 6  # all orders of so many are tried


def find_state(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], given: Mapping[str, str], where: str
) -> tuple[tuple[int, int], ...]:
    """(output, input) places, in the inputs' order. given: output name = input name, of the config, as the graph or the signature calls them;
    nothing else is then a state.

    Problem (Exit.MODEL): a name that there is not, shapes that differ, or names that leave several ways.
    """
    if given:
        return _said(inputs, outputs, given, where)
    if len(inputs) < 2:
        return ()
    groups: dict[tuple[tuple[int, ...], str], list[int]] = {}
    pictures = _pictures(inputs)
    for place, tensor in enumerate(inputs):
        if place not in pictures:
            groups.setdefault((tensor.shape, tensor.dtype), []).append(place)
    pairs: list[tuple[int, int]] = []
    for (shape, dtype), places in groups.items():
        fitting = [place for place, tensor in enumerate(outputs) if (tensor.shape, tensor.dtype) == (shape, dtype)]
        if fitting:
            pairs += _matched(inputs, outputs, places, fitting, where)
    if len(pairs) == len(
        inputs
    ):  # a denoiser's output has the shape of what came in: then its name is of no help to the pair
        unlike = [pair for pair in pairs if not _alike(inputs[pair[1]], outputs[pair[0]])]
        if len(unlike) == 1:
            pairs.remove(unlike[0])
    if len(pairs) == len(inputs):
        raise _ambiguous(inputs, outputs, where, "every input has an output of its shape")
    return tuple(sorted(pairs, key=lambda pair: pair[1]))


def _pictures(inputs: Sequence[Tensor]) -> list[int]:
    """Inputs that hold an image: those of 3 channels, else those that could be grey or have 4."""
    found = [place for place, tensor in enumerate(inputs) if len(tensor.shape) == 4 and image(tensor.shape)]
    in_colour = [place for place in found if 3 in (inputs[place].shape[1], inputs[place].shape[3])]
    return in_colour or found


def _said(inputs: Sequence[Tensor], outputs: Sequence[Tensor], given: Mapping[str, str], where: str) -> Pairs:
    pairs = []
    for output_name, input_name in given.items():
        output, into = (
            next((place for place, tensor in enumerate(tensors) if name in (tensor.name, tensor.signed)), None)
            for tensors, name in ((outputs, output_name), (inputs, input_name))
        )
        if output is None or into is None:
            missing, kind = (output_name, "output") if output is None else (input_name, "input")
            raise _ambiguous(inputs, outputs, where, f"there is no {kind} {missing!r}")
        if outputs[output].shape not in (inputs[into].shape, ()):
            raise _ambiguous(
                inputs,
                outputs,
                where,
                f"{output_name!r} is {describe(outputs[output])} and {input_name!r} {describe(inputs[into])}",
            )
        pairs.append((output, into))
    if len({into for _, into in pairs}) < len(pairs):
        raise _ambiguous(inputs, outputs, where, "two outputs go to one input")
    return tuple(sorted(pairs, key=lambda pair: pair[1]))


def _matched(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], places: list[int], fitting: list[int], where: str
) -> list[tuple[int, int]]:
    """places, fitting: inputs and outputs of one shape and type. The one best way to pair them by name."""
    if len(places) == len(fitting) == 1:
        # One number alone (a threshold, a count) says little: there the names must say it too.
        single = all(size == 1 for size in inputs[places[0]].shape)
        alike = _alike(inputs[places[0]], outputs[fitting[0]])
        return [] if single and not alike else [(fitting[0], places[0])]
    if max(len(places), len(fitting)) > _MOST_ALIKE:
        return _by_equal_words(inputs, outputs, places, fitting, where)
    few, many = sorted((places, fitting), key=len)
    best: list[tuple[int, tuple[int, ...]]] = []
    for order in itertools.permutations(many, len(few)):
        ways = zip(few, order, strict=True)
        pairs = [(one, other) if few is places else (other, one) for one, other in ways]
        best.append((sum(_alike(inputs[into], outputs[output]) for into, output in pairs), order))
    best.sort(reverse=True)
    if best[0][0] == 0 or best[0][0] == best[1][0]:
        raise _ambiguous(inputs, outputs, where, f"several are {describe(inputs[places[0]])}")
    order = best[0][1]
    return list(zip(fitting if few is fitting else order, places if few is places else order, strict=True))


def _by_equal_words(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], places: list[int], fitting: list[int], where: str
) -> list[tuple[int, int]]:
    """Many of one shape: only names whose words are the same but for the side."""
    found = []
    for place in places:
        same = [output for output in fitting if _words(outputs[output]) == _words(inputs[place])]
        if len(same) != 1:
            raise _ambiguous(inputs, outputs, where, f"many are {describe(inputs[place])}")
        found.append((same[0], place))
    return found


def _alike(one: Tensor, other: Tensor) -> int:
    """The letters of the words that both have, each word once; 0: no word in common. Names of equal words are the most alike."""
    first, second = _words(one), _words(other)
    common = sum(len(word) for word in first & second)
    return 4 * common - len(first ^ second) if common else 0


def _words(tensor: Tensor) -> set[str]:
    """Of its name in the signature, else in the graph."""
    name = tensor.signed or tensor.name
    if _NUMBERED.search(name):
        return set()
    return {word for word in map(str.lower, _WORDS.findall(name.partition(":")[0])) if word not in _SIDES}


def _ambiguous(inputs: Sequence[Tensor], outputs: Sequence[Tensor], where: str, why: str) -> Problem:
    gives, takes = (
        ", ".join(f"{(one.signed or one.name)!r} {describe(one)}" for one in tensors) for tensors in (outputs, inputs)
    )
    return Problem(
        where=f"{where}.state",
        what=f"which output is fed back to which input is unknown: {why}; outputs {gives}; inputs {takes}",
        remedy='Name them: state = { "output" = "input" }',
        code=Exit.MODEL,
    )


class Stateful:
    """A session whose states are hidden: after each run they are copied from outputs to inputs. It begins with zeros."""

    def __init__(self, session: Session, pairs: Pairs) -> None:
        """pairs: of `find_state`."""
        self._session = session
        fed = {into for _, into in pairs}
        back = {output for output, _ in pairs}
        self._inputs = [place for place in range(len(session.inputs)) if place not in fed]
        self._outputs = [place for place in range(len(session.outputs)) if place not in back]
        self.inputs = tuple(session.inputs[place] for place in self._inputs)
        self.outputs = tuple(session.outputs[place] for place in self._outputs)
        self.runtime = session.runtime
        self._states = [_State(session, output, into) for output, into in pairs]
        self._zero()

    @property
    def delegate(self) -> str:
        return self._session.delegate

    @property
    def degraded(self) -> str | None:
        return self._session.degraded

    def input_array(self, index: int) -> "NDArray[np.generic]":
        return self._session.input_array(self._inputs[index])

    def run(self) -> "list[NDArray[np.generic]]":
        found = self._session.run()
        for state in self._states:
            state.feed(found)
        return [found[place] for place in self._outputs]

    def reset(self) -> None:
        """As before the first run; also what the model remembers by itself (variable tensors), where the session can."""
        self._zero()
        forget = getattr(self._session, "reset", None)
        if forget is not None:
            forget()

    def _zero(self) -> None:
        for state in self._states:
            state.zero()


class _State:
    """One output that is an input of the next run; another scale or zero point is converted."""

    def __init__(self, session: Session, output: int, into: int) -> None:
        import numpy as np

        self._output = output
        self._from, self._to = session.outputs[output], session.inputs[into]
        self._array: NDArray[Any] = session.input_array(into)
        self._same = (self._from.dtype, self._from.scale, self._from.zero_point) == (
            self._to.dtype,
            self._to.scale,
            self._to.zero_point,
        )
        self._real = np.empty(0 if self._same else self._array.shape, np.float32)

    def zero(self) -> None:
        self._array[...] = self._to.zero_point

    def feed(self, outputs: "Sequence[NDArray[Any]]") -> None:
        import numpy as np

        given = outputs[self._output]
        if self._same:
            np.copyto(self._array, given)
            return
        real = self._real
        np.subtract(given, np.float32(self._from.zero_point), out=real)
        np.multiply(real, np.float32((self._from.scale or 1.0) / (self._to.scale or 1.0)), out=real)
        np.add(real, np.float32(self._to.zero_point), out=real)
        if np.issubdtype(self._array.dtype, np.integer):
            kind = np.iinfo(self._array.dtype)
            np.clip(np.rint(real, out=real), kind.min, kind.max, out=real)
        np.copyto(self._array, real, casting="unsafe")
