"""A `[lane.X.model.Y]` table → a Runner: session, input and decoder put together. Inference and decoding do not know each other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.catalogue.entries import Entry, entries, find
from agent.catalogue.fetch import cached
from agent.decoding import Options, Shape, Wants, _recognise
from agent.inference import Session, Tensor, metadata, model_file, rescaling
from agent.inference.features_input import FeaturesInput
from agent.inference.labels import load_labels
from agent.inference.metadata import Metadata, Normalisation
from agent.inference.model import Config, Delegate
from agent.inference.preprocess import Preprocess
from agent.inference.session import Wanted, open_session
from agent.pipeline.runner import Runner
from agent.problems import Exit, Problem

if TYPE_CHECKING:
    from agent.inference.turns import Turns

Kind = Literal["frame", "window"]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What all models of this process share. libraries: the `[delegate]` tables. cache: where trials and measured choices are remembered.

    auto: what `delegates = "auto"` means here, None: measure. turns: so that no session starves another.
    """

    runtime: str = "auto"
    libraries: Mapping[str, Delegate] = {}
    cache: Path | None = None
    auto: tuple[str, ...] | None = None
    turns: "Turns | None" = None


@contextmanager
def open_model(
    name: str, config: Config, *, machine: Machine | None = None, masks: bool = False, where: str, kind: Kind
) -> Iterator[Runner]:
    """masks: the decoder gives them, for pictures.

    Problem (Exit.MODEL): the file, its digest, the runtime, an input that does not fit `kind`, no decoder, wrong labels.
    """
    machine = machine or Machine()
    entry = find_entry(config, where)
    path = model_path(config, entry, where)
    model, digest = model_file.load(path, sha256=config.sha256, where=where)
    said = metadata.read(model)
    with open_session(model, digest, wanted(config, said, machine), where=f"{where} ({path})") as session:
        runner = _runner(name, config, said, entry, session, model, masks=masks, where=where, kind=kind)
        runner.digest, runner.turns = digest, machine.turns
        yield runner


def wanted(config: Config, said: Metadata, machine: Machine) -> Wanted:
    """Where and how the model's session shall be opened."""
    delegates = config.delegates
    if delegates == "auto" and machine.auto is not None:
        delegates = machine.auto
    return Wanted(
        delegates=delegates,
        libraries=machine.libraries,
        threads=config.threads,
        runtime=machine.runtime,
        signature=config.signature,
        input_px=config.input_px or said.input_px,
        cache=machine.cache,
    )


def _runner(
    name: str,
    config: Config,
    said: Metadata,
    entry: Entry | None,
    session: Session,
    model: bytes,
    *,
    masks: bool,
    where: str,
    kind: Kind,
) -> Runner:
    given_names, gotten_names = said.input_names, said.output_names
    if len(session.inputs) != 1:
        raise Problem(
            where=where,
            what=f"the model has {len(session.inputs)} inputs, a lane fills one",
            remedy="Take a model with one input",
            code=Exit.MODEL,
        )
    index = 0
    inputs, outputs = shapes(session.inputs, given_names), shapes(session.outputs, gotten_names)
    inputs = (inputs[index], *inputs[:index], *inputs[index + 1 :])
    options = read_options(config, said, read_labels(config, said, entry, where), inputs[0], masks=masks)
    recognised = recognise(config, said, entry, inputs, outputs, options, where)
    module = _recognise.load(recognised.decoder, where)
    reader = module.open_decoder(inputs, outputs, options, where)
    if (
        kind == "window"
        and not hasattr(reader, "decode_rows")
        and len(inputs[0].shape) == 4
        and reader.gives in ("detections", "areas")
    ):
        raise Problem(
            where=f"{where}.decoder",
            what=f"{recognised.decoder} reads pictures, and this lane gives windows of samples",
            remedy="Give this lane a camera, or take a model for sensor windows",
            code=Exit.MODEL,
        )
    runner = Runner(
        name=name,
        decoder=recognised.decoder,
        why=recognised.why,
        digest="",
        labels=reader.labels,
        licence=said.licence or (entry.licence if entry else None),
        session=session,
        reader=reader,
        input_index=index,
    )
    if kind == "frame":
        wants = family_wants(module, inputs, outputs, options)
        runner.frames = _frames(config, said, wants, session, index, model, where)
    else:
        normalisation, _ = read_normalisation(config, said, None)
        runner.windows = FeaturesInput(
            session.inputs[index], session.input_array(index), normalisation=normalisation, where=where
        )
    return runner


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


def file_digest(config: Config) -> str | None:
    """sha256 of the model's file in hex; None when it cannot be read."""
    try:
        return model_file.load(model_path(config, find_entry(config, ""), ""), sha256=None, where="")[1]
    except Problem:
        return None


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
    config: Config, said: Metadata, labels: tuple[str, ...], given: Shape, *, masks: bool = False
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
        input_px=(given.shape[1], given.shape[2]) if len(given.shape) == 4 else (0, 0),
        task=said.task,
        keypoint_shape=said.keypoint_shape,
        keypoint_names=said.keypoint_names,
        suppressed=said.suppressed,
    )


def _frames(
    config: Config, said: Metadata, wants: Wants, session: Session, index: int, model: bytes, where: str
) -> Preprocess:
    name = session.inputs[index].name
    normalisation, _ = read_normalisation(
        config,
        said,
        wants,
        lambda: rescaling.input_normalisation(model, index=index, name=name, signature=config.signature),
    )
    return Preprocess(
        session.inputs[index],
        session.input_array(index),
        resize=config.resize or wants.resize,
        interpolation=config.interpolation,
        color=config.color,
        normalisation=normalisation,
        exact=config.mean is not None or config.std is not None,
        border=wants.border,
        where=where,
    )


def read_normalisation(
    config: Config, said: Metadata, wants: Wants | None, shown: Callable[[], Normalisation | None] = lambda: None
) -> tuple[Normalisation | None, str]:
    """(the normalisation, who says it). Config before metadata before what the graph shows before what the decoder's family wants; None: as
    the input's own quantisation says, 0..1 for a float one.
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
    return None, ""


def _channels(value: float | tuple[float, ...] | None, absent: float) -> tuple[float, ...]:
    """One number stands for all channels."""
    if value is None:
        return (absent,)
    return value if isinstance(value, tuple) else (float(value),)


def shapes(tensors: tuple[Tensor, ...], names: tuple[str, ...]) -> tuple[Shape, ...]:
    """Tensors as decoders see them. names: what TFLite metadata calls them, or ()."""
    said = names if len(names) == len(tensors) else ("",) * len(tensors)
    return tuple(
        Shape(
            name=tensor.name,
            shape=tensor.shape,
            dtype=tensor.dtype,
            scale=tensor.scale,
            zero_point=tensor.zero_point,
            said=name,
        )
        for tensor, name in zip(tensors, said, strict=True)
    )
