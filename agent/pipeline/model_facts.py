"""What is known of a model beside its tensors: its file, its labels, how its input is meant, which decoder reads it. The config's word goes
before the file's, the file's before the catalogue's.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from agent.catalogue.entries import Entry, entries, find
from agent.catalogue.fetch import cached
from agent.decoding import Options, Shape, Wants, _recognise
from agent.inference import Tensor
from agent.inference.inputs import image
from agent.inference.labels import load_labels
from agent.inference.makers import maker
from agent.inference.metadata import Metadata, Normalisation
from agent.inference.model import Config
from agent.inference.model_graph import Graph
from agent.problems import Exit, Problem


def recognise(
    config: Config,
    said: Metadata,
    entry: Entry | None,
    inputs: tuple[Shape, ...],
    outputs: tuple[Shape, ...],
    options: Options,
    where: str,
) -> _recognise.Recognised:
    """The decoder, and why. Problem as `_recognise.recognise`."""
    if config.decoder is not None:
        return _recognise.Recognised(decoder=config.decoder, why="the config says so")
    named = said.decoder or (entry.decoder if entry else None)
    return _recognise.recognise(inputs, outputs, options, said=named, where=where)


def family_wants(module: ModuleType, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...], options: Options) -> Wants:
    """How frames are given to this model; some families hold models that differ in it."""
    if hasattr(module, "wants"):
        own: Wants = module.wants(inputs, outputs, options)
        return own
    wants: Wants = module.WANTS
    return wants


def find_entry(config: Config, where: str) -> Entry | None:
    if config.catalogue is None:
        return None
    try:
        return find(config.catalogue, entries())
    except Problem as problem:
        raise Problem(where=f"{where}.catalogue", what=problem.what, remedy=problem.remedy, code=Exit.MODEL) from None


def model_path(config: Config, entry: Entry | None, where: str) -> Path:
    if entry is None:
        return Path(config.path or "")
    path = cached(entry)
    if path is None:
        raise Problem(
            where=f"{where}.catalogue",
            what=f"{entry.name} of the catalogue is not on this machine",
            remedy=f"edge-agent models fetch {entry.name}",
            code=Exit.MODEL,
        )
    return path


def read_labels(config: Config, said: Metadata, entry: Entry | None, where: str) -> tuple[str, ...]:
    """The config's file, else the model's own, else what the catalogue names."""
    if config.labels is not None:
        return load_labels(Path(config.labels), where=f"{where}.labels")
    if said.labels or entry is None or not entry.labels:
        return said.labels
    of = entries().get(entry.labels)
    if of is not None:
        path = cached(of)
        return load_labels(path, where=f"{where}.labels") if path is not None else ()
    return () if entry.labels == "in the file" else tuple(text.strip() for text in entry.labels.split(","))


def read_options(
    config: Config, said: Metadata, labels: tuple[str, ...], given: Shape, *, masks: bool = False, every: bool = False
) -> Options:
    """What a decoder is told. given: the input that frames or windows go to."""
    return Options(
        labels=labels,
        background=config.background,
        softmax=str(config.softmax).lower(),
        score=config.score if config.score is not None else said.score,
        iou=config.iou,
        top=config.top,
        masks=masks,
        every=every,
        input_px=image_px(given.shape, config.layout),
        task=said.task,
        keypoint_shape=said.keypoint_shape,
        keypoint_names=said.keypoint_names,
        suppressed=said.suppressed,
    )


def read_normalisation(
    config: Config,
    said: Metadata,
    wants: Wants | None,
    shown: Callable[[], Normalisation | None] = lambda: None,
    named: Callable[[], Normalisation | None] = lambda: None,
) -> tuple[Normalisation | None, str]:
    """(the normalisation, who says it). Config before metadata before what the graph shows before what the decoder's family wants before what
    the names of the layers tell; None: as the input's own quantisation says, 0..1 for a float one.
    """
    if config.mean is not None or config.std is not None:
        return Normalisation(mean=_channels(config.mean, 0.0), std=_channels(config.std, 1.0)), "the config"
    if said.normalisation and said.normalisation[0] is not None:
        return said.normalisation[0], "its metadata"
    seen = shown()
    if seen is not None:
        return seen, "its graph"
    if wants is not None and wants.mean is not None and wants.std is not None:
        return Normalisation(mean=wants.mean, std=wants.std), "its decoder's family"
    told = named() if said.source != "Ultralytics" else None
    return (told, "the names of its layers") if told is not None else (None, "")


def _channels(value: float | tuple[float, ...] | None, absent: float) -> tuple[float, ...]:
    """One number stands for all channels."""
    if value is None:
        return (absent,)
    return value if isinstance(value, tuple) else (float(value),)


def shapes(tensors: tuple[Tensor, ...], names: tuple[str, ...], graph: Graph | None = None) -> tuple[Shape, ...]:
    """Tensors as decoders see them. names: what TFLite metadata calls them, or (). graph: tells by which op outputs are made."""
    said = names if len(names) == len(tensors) else ("",) * len(tensors)
    return tuple(
        Shape(
            name=tensor.name,
            shape=tensor.shape,
            dtype=tensor.dtype,
            scale=tensor.scale,
            zero_point=tensor.zero_point,
            said=name,
            made_by=maker(graph, tensor.name) if graph is not None else "",
        )
        for tensor, name in zip(tensors, said, strict=True)
    )


def image_px(shape: tuple[int, ...], layout: str | None) -> tuple[int, int]:
    """(height, width) of an image input of this shape, (0, 0) where it is none."""
    found = image(shape, layout)
    return (0, 0) if found is None else (shape[found.rows], shape[found.columns])


def without(names: tuple[str, ...], taken: set[int]) -> tuple[str, ...]:
    """Names of what is left."""
    return tuple(name for place, name in enumerate(names) if place not in taken)
