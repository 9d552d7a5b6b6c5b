"""What covers how much of the picture. Outputs, channels last or first:

class numbers   (1, h, w) or (1, h, w, 1), integers, or floats where there are three labels or more: DeepLab with its argmax inside
                (1, h, w) floats without labels, too
scores          (1, h, w, classes): logits or probabilities; the greatest wins
one mask        (1, h, w, 1) or (1, h, w), floats or quantised: probability or logit of the one class; `score` (0.5) parts it from the rest

Class 0 is the background where `background` or its label says so, and always beside one mask. It is not given.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.decoding._anchors import probability
from agent.decoding._boxes import real, written
from agent.decoding._class_maps import Strongest, counts, covered, over_frame
from agent.decoding._map_layout import Layout, map_px, read_layout
from agent.decoding._tensors import holds_probabilities, picture_px
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WANTS = Wants()
_TASK = "semantic"
# DeepLab and its kin, by the classes of Pascal VOC, Cityscapes and ADE20K, see pixels as -1..1.
_DEEPLAB_CLASSES = (19, 21, 151)
_BACKGROUND = ("background", "__background__", "_background_", "bg", "unlabeled", "unlabelled")
# Smaller areas are specks: a class of 21 that a few pixels of noise pick.
_LEAST_SHARE = 0.001
_MASK_SCORE = 0.5
# Pascal VOC's mark for pixels that belong to no class.
_VOID = 255
# Scores are taken on a grid of so many pixels; areas that have fewer of them than the second number, on all of theirs.
_SAMPLES, _LEAST_SAMPLES = 2048, 8


def wants(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Wants:
    """-1..1 for DeepLab's float inputs, 0..1 for others; a quantised input says it itself. Ultralytics' models see a letterbox."""
    if options.task == _TASK:
        return Wants(resize="letterbox", border=114)
    layouts = [read_layout(output, picture_px(inputs[0].shape), options) for output in outputs]
    deeplab = any(layout and (layout.classes in _DEEPLAB_CLASSES or layout.holds == "numbers") for layout in layouts)
    return Wants(mean=(127.5,), std=(127.5,)) if deeplab else WANTS


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like a segmentation: one picture in, one map of the same form out, at least a quarter as large."""
    if options.task not in (None, _TASK) or len(outputs) != 1 or len(inputs) < 1:
        return None
    given = picture_px(inputs[0].shape)
    layout = read_layout(outputs[0], given, options)
    if given is None or layout is None:
        return None
    if options.task == _TASK:
        return Claim(Sure.SAID, "the file says its task is semantic segmentation")
    height, width = map_px(outputs[0].shape, layout)
    if not (_like(height, given[0]) and _like(width, given[1])):
        return None
    # Without a channel axis the input may be a window of samples, and the output the same window, rebuilt.
    if len(inputs[0].shape) == len(outputs[0].shape) == 3 and outputs[0].dtype.startswith("float"):
        return None
    if layout.holds == "numbers":
        whole = outputs[0].dtype in ("int64", "int32")
        return Claim(Sure.SHAPES if whole else Sure.POSSIBLE, f"a map of {height}×{width} class numbers")
    if outputs[0].shape == inputs[0].shape:
        return Claim(Sure.POSSIBLE, f"a picture of {layout.classes} channels out, which may be classes")
    if layout.holds == "scores" and _fits(layout.classes, options):
        return Claim(Sure.SHAPES, f"a map of {height}×{width} with {layout.classes} scores, and as many labels")
    what = f"with {layout.classes} scores a pixel" if layout.holds == "scores" else "of one class"
    return Claim(Sure.POSSIBLE, f"a map of {height}×{width} {what}")


def _like(size: int, given: int) -> bool:
    """A map as large as the input, a half or a quarter of it. Eighths are FOMO's grids, but (n - 1) / 8 + 1 is DeepLab's alone."""
    halves = size in {-(-given // part) for part in (1, 2, 4)}
    return halves or (given % 8 == 1 and size in ((given - 1) // 8 + 1, (given - 1) // 16 + 1))


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): no output that is a map, or several; labels that do not fit the channels."""
    given = picture_px(inputs[0].shape) if inputs else None
    layouts = [read_layout(output, given, options) for output in outputs]
    maps = [index for index, layout in enumerate(layouts) if layout is not None]
    if len(maps) > 1 and options.labels:
        maps = [index for index in maps if _fits(layouts[index].classes, options)]  # type: ignore[union-attr]
    if len(maps) != 1:
        raise Problem(
            where=f"{where}.decoder",
            what="segmentation reads one output of 1×height×width, with classes as its last or second axis, "
            f"this model gives {written([output.shape for output in outputs])}",
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    layout = layouts[maps[0]]
    assert layout is not None
    labels, background = _labels(layout, options, where)
    return Segmentation(maps[0], outputs[maps[0]], layout, labels, background, options)


def _fits(classes: int, options: Options) -> bool:
    return len(options.labels) in (classes, classes - 1) and classes > 1


def _labels(layout: Layout, options: Options, where: str) -> tuple[tuple[str, ...], int | None]:
    """A text a class, and the number of the background. Problem (Exit.MODEL) when their counts differ."""
    labels = options.labels
    if layout.holds == "mask":
        # Two labels are those of the background and of the mask; its number is 1 then.
        return (labels if len(labels) == 2 else ("background", *(labels or ("foreground",)))), 0
    if (
        options.background
        and labels
        and labels[0].lower() not in _BACKGROUND
        and layout.classes in (0, len(labels) + 1)
    ):
        labels = ("background", *labels)
    if layout.classes and labels and len(labels) != layout.classes:
        raise Problem(
            where=f"{where}.labels",
            what=f"{len(labels)} labels for {layout.classes} classes",
            remedy="Give the labels of this model, one a line"
            + (", or set background = true: class 0 is one" if len(labels) == layout.classes - 1 else ""),
            code=Exit.MODEL,
        )
    background = options.background or (bool(labels) and labels[0].lower() in _BACKGROUND)
    return labels or tuple(str(index) for index in range(layout.classes)), 0 if background else None


class Segmentation:
    """A result a class, the largest first, `top` at most: its label, index (the class number), value = its share of the frame.

    Areas below 0.001 of the frame are not given. Score: the mean probability of its pixels (of a grid of 2,048 of the frame), 1 where
    the model gives class numbers only; `score` is the least of it (for one mask: of each pixel). A letterbox' border is no part of the frame;
    what a crop left out belongs to no class. Class numbers without a label are their own label, but 255 is no class.
    """

    def __init__(
        self,
        index: int,
        output: Shape,
        layout: Layout,
        labels: tuple[str, ...],
        background: int | None,
        options: Options,
    ) -> None:
        self.labels = labels
        self.gives: Gives = "areas"
        self.keypoint_names: tuple[str, ...] = ()
        self._index = index
        self._output = output
        self._layout = layout
        self._background = background
        self._mask_score = _MASK_SCORE if options.score is None else options.score
        self._least = 0.0 if options.score is None or layout.holds != "scores" else options.score
        self._top = options.top
        self._masks = options.masks
        self._softmax = options.softmax
        self._strongest = Strongest()
        self._numbers: NDArray[np.uint8] | None = None

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        raw = outputs[self._index][0]
        if self._layout.holds != "scores":
            raw = raw.reshape(map_px(self._output.shape, self._layout))
        classes = self._classes(raw)
        rows, columns, whole = covered(classes.shape, placement)
        part = classes[rows, columns]
        count = counts(part)
        if self._background is not None:
            count[self._background] = 0
        if len(self.labels) <= _VOID:
            count[_VOID] = 0
        found = np.flatnonzero(count >= max(1, _LEAST_SHARE * whole))
        found = found[np.argsort(-count[found], kind="stable")]
        scores = self._scores(raw, part, found, rows, columns)
        kept = (scores >= np.float32(self._least)).nonzero()[0][: self._top]
        found, scores = found[kept], scores[kept]
        return Detections(
            labels=tuple(self._label(index) for index in found.tolist()),
            indexes=tuple(found.tolist()),
            scores=scores,
            values=np.minimum(count[found] / whole, 1).astype(np.float64),
            masks=self._drawn(part, found, classes.shape, placement) if self._masks else None,
        )

    def _label(self, index: int) -> str:
        return self.labels[index] if index < len(self.labels) and self.labels[index] else str(index)

    def _classes(self, raw: "NDArray[Any]") -> "NDArray[np.uint8]":
        """(h, w) class numbers of the whole map."""
        import numpy as np

        if self._layout.holds == "scores":
            return self._strongest.of(raw, channels_first=self._layout.channels_first)
        if self._layout.holds == "mask":
            seen: NDArray[np.bool_] = raw >= self._threshold(raw)
            return seen.view(np.uint8)
        if raw.dtype == np.uint8:
            return raw
        if raw.dtype.kind == "f" or self._output.scale:
            raw = np.nan_to_num(np.rint(real(raw, self._output)), nan=_VOID, posinf=_VOID, neginf=_VOID)
            raw = np.clip(raw, 0, _VOID)
        if self._numbers is None or self._numbers.shape != raw.shape:
            self._numbers = np.empty(raw.shape, np.uint8)
        np.copyto(self._numbers, raw, casting="unsafe")
        return self._numbers

    def _threshold(self, raw: "NDArray[Any]") -> Any:
        """`score` in the numbers of a mask: as it is, as a logit, and quantised."""
        import numpy as np

        least = self._mask_score
        if not self._plain(raw):
            odds = min(max(least, 1e-6), 1 - 1e-6)
            least = float(np.log(odds / (1 - odds)))
        return np.float32(least / self._output.scale + self._output.zero_point if self._output.scale else least)

    def _plain(self, raw: "NDArray[Any]") -> bool:
        """Whether the numbers are probabilities already."""
        import numpy as np

        if self._softmax != "auto":
            return self._softmax == "false"
        held = holds_probabilities(self._output)
        if held is not None:
            return held
        values = raw.reshape(-1)
        least, greatest = np.fmin.reduce(values), np.fmax.reduce(values)
        return not (least < -0.001 or greatest > 1.001)

    def _scores(
        self, raw: "NDArray[Any]", part: "NDArray[np.uint8]", found: "NDArray[np.intp]", rows: slice, columns: slice
    ) -> "NDArray[np.float32]":
        """(n,) float32: the mean probability of each class found, over a grid of pixels; of small areas, over all of theirs."""
        import numpy as np

        if self._layout.holds == "numbers" or not found.size:
            return np.ones(len(found), np.float32)
        plain = self._plain(raw) if self._layout.holds == "mask" else None
        step = max(1, round((part.size / _SAMPLES) ** 0.5))
        y, x = np.mgrid[0 : part.shape[0] : step, 0 : part.shape[1] : step].reshape(2, -1)
        seen = part[y, x]
        sums = np.bincount(seen, self._probability(raw, y + rows.start, x + columns.start, seen, plain), 256)
        numbers = np.bincount(seen, minlength=256)
        small = found[numbers[found] < _LEAST_SAMPLES]
        if small.size:
            is_small = np.zeros(256, np.bool_)
            is_small[small] = True
            y, x = np.divmod(np.flatnonzero(is_small[part]), part.shape[1])
            seen = part[y, x]
            all_sums = np.bincount(seen, self._probability(raw, y + rows.start, x + columns.start, seen, plain), 256)
            sums[small], numbers[small] = all_sums[small], np.bincount(seen, minlength=256)[small]
        return np.clip(np.nan_to_num(sums[found] / numbers[found]), 0, 1).astype(np.float32)

    def _probability(
        self,
        raw: "NDArray[Any]",
        y: "NDArray[np.intp]",
        x: "NDArray[np.intp]",
        classes: "NDArray[np.uint8]",
        plain: bool | None,
    ) -> "NDArray[np.float32]":
        """(n,) of the class that each of these pixels has."""
        import numpy as np

        if self._layout.holds == "mask":
            values = real(raw[y, x], self._output)
            return values if plain else probability(values)
        # A row a class: NumPy is slow at sums along a short last axis.
        picked = raw[:, y, x] if self._layout.channels_first else np.ascontiguousarray(raw[y, x].T)
        values = np.minimum(np.maximum(real(picked, self._output), -1e6), 1e6)
        own: NDArray[np.float32] = values[classes, np.arange(len(classes))]
        if self._softmax == "false" or (self._softmax == "auto" and self._are_probabilities(values)):
            return own
        # The class of a pixel is its greatest: no exponent is above 0, but beside what is no number.
        values -= own
        with np.errstate(over="ignore"):
            share: NDArray[np.float32] = 1 / np.exp(values, out=values).sum(axis=0)
        return share

    def _are_probabilities(self, values: "NDArray[np.float32]") -> bool:
        held = holds_probabilities(self._output)
        return held if held is not None else bool(values.min() >= -0.001 and values.max() <= 1.001)

    def _drawn(
        self, part: "NDArray[np.uint8]", found: "NDArray[np.intp]", shape: tuple[int, int], placement: Placement
    ) -> "NDArray[np.bool_]":
        import numpy as np

        masks = [over_frame(part == index, shape, placement) for index in found.tolist()]
        return np.stack(masks) if masks else np.zeros((0, *over_frame(part > 255, shape, placement).shape), np.bool_)
