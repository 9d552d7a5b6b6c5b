"""A `[lane.X.model.Y]` table → a Runner: session, input and decoder put together. Inference and decoding do not know each other."""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.catalogue.entries import Entry
from agent.catalogue.fetch import cache_folder
from agent.decoding import _recognise
from agent.inference import Session, Tensor, backbone, metadata, model_file, model_graph, rescaling
from agent.inference.features_input import FeaturesInput, check_numbers_input
from agent.inference.fixed import Fixed
from agent.inference.inputs import primary
from agent.inference.metadata import Metadata
from agent.inference.model import Config, Delegate
from agent.inference.preprocess import Preprocess, check_image_input
from agent.inference.session import Wanted, open_session
from agent.inference.state import Stateful, find_state
from agent.pipeline.model_facts import (
    family_wants,
    find_entry,
    image_px,
    model_path,
    read_labels,
    read_normalisation,
    read_options,
    recognise,
    shapes,
    without,
)
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


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """A model's file, read. digest: sha256 in hex. entry: of the catalogue, where the config names one."""

    path: Path
    content: bytes
    digest: str
    said: Metadata
    entry: Entry | None


@contextmanager
def open_model(
    name: str,
    config: Config,
    *,
    machine: Machine | None = None,
    masks: bool = False,
    every: bool = False,
    where: str,
    kind: Kind,
) -> Iterator[Runner]:
    """masks: the decoder gives them, for pictures. every: as `Options.every`.

    Problem (Exit.MODEL): the file, its digest, the runtime, an input that does not fit `kind`, no decoder, wrong labels.
    """
    machine = machine or Machine()
    file = read_file(config, where)
    place = f"{where} ({file.path})"
    with open_session(file.content, file.digest, wanted(config, file.said, machine), where=place) as session:
        runner = put_together(name, config, file, session, masks=masks, every=every, where=where, kind=kind)
        runner.turns = machine.turns
        yield runner


def read_file(config: Config, where: str) -> ModelFile:
    """Problem (Exit.MODEL): it is not there, cannot be read, or has another digest than the config's."""
    entry = find_entry(config, where)
    path = model_path(config, entry, where)
    content, digest = model_file.load(path, sha256=config.sha256, where=where)
    return ModelFile(path=path, content=content, digest=digest, said=metadata.read(content), entry=entry)


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


def put_together(
    name: str,
    config: Config,
    file: ModelFile,
    session: Session,
    *,
    masks: bool,
    every: bool = False,
    where: str,
    kind: Kind,
) -> Runner:
    """What recurrent models feed back is hidden, the decoder found, the input made ready. Problem (Exit.MODEL) as `open_model`."""
    said, inner = file.said, session
    given_names, gotten_names = said.input_names, said.output_names
    if config.inputs:
        fixed = Fixed(session, config.inputs, where)
        hidden = {place for place, tensor in enumerate(session.inputs) if tensor not in fixed.inputs}
        given_names, session = without(given_names, hidden), fixed
    pairs = find_state(session.inputs, session.outputs, config.state, where)
    if pairs:
        given_names = without(given_names, {into for _, into in pairs})
        gotten_names = without(gotten_names, {output for output, _ in pairs})
        session = Stateful(session, pairs)
    index = primary(session.inputs, kind, where)
    # Reading it takes 4 to 15 ms: only where a decoder must be found, or the input's range.
    graph = functools.cache(lambda: model_graph.graph_of(file.content))
    inputs = shapes(session.inputs, given_names)
    outputs = shapes(session.outputs, gotten_names, graph() if config.decoder is None else None)
    inputs = (inputs[index], *inputs[:index], *inputs[index + 1 :])
    labels = read_labels(config, said, file.entry, where)
    options = read_options(config, said, labels, inputs[0], masks=masks, every=every)
    tensor, array = session.inputs[index], session.input_array(index)
    _check_size(config, tensor, where)
    if kind == "frame":
        check_image_input(tensor, where, config.layout)
    else:
        check_numbers_input(tensor, where)
    recognised = recognise(config, said, file.entry, inputs, outputs, options, where)
    module = _recognise.load(recognised.decoder, where)
    reader = module.open_decoder(inputs, outputs, options, where)
    frames, windows = None, None
    if kind == "window":
        if options.input_px != (0, 0) and reader.gives in ("detections", "areas"):
            raise Problem(
                where=f"{where}.decoder",
                what=f"{recognised.decoder} reads pictures, and this lane gives windows of samples",
                remedy="Give this lane a camera, or take a model for sensor windows",
                code=Exit.MODEL,
            )
        normalisation, _ = read_normalisation(config, said, None)
        windows = FeaturesInput(tensor, array, normalisation=normalisation, where=where)
    else:
        wants = family_wants(module, inputs, outputs, options)
        place = inner.inputs.index(tensor)
        normalisation, _ = read_normalisation(
            config,
            said,
            wants,
            lambda: rescaling.of_graph(
                file.content, graph(), index=place, name=tensor.name, signature=config.signature
            ),
            lambda: backbone.trained_on(file.content) if tensor.dtype.startswith("float") else None,
        )
        frames = Preprocess(
            tensor,
            array,
            resize=config.resize or wants.resize,
            interpolation=config.interpolation,
            color=config.color,
            layout=config.layout,
            normalisation=normalisation,
            exact=config.mean is not None or config.std is not None,
            border=wants.border,
            where=where,
        )
    return Runner(
        name=name,
        decoder=recognised.decoder,
        why=recognised.why,
        digest=file.digest,
        labels=reader.labels,
        licence=said.licence or (file.entry.licence if file.entry else None),
        session=session,
        choice=getattr(inner, "choice", None),
        reader=reader,
        frames=frames,
        windows=windows,
        input_index=index,
    )


def _check_size(config: Config, tensor: Tensor, where: str) -> None:
    """Problem (Exit.MODEL): the config asks for another size than the file has."""
    height, width = image_px(tensor.shape, config.layout)
    if config.input_px not in (None, (width, height)) and (width, height) != (0, 0):
        raise Problem(
            where=f"{where}.input_px",
            what=f"the file's own size is {width}×{height}, which cannot be changed",
            remedy="Take the key out, or export the model with the size that you want",
            code=Exit.MODEL,
        )


def file_digest(config: Config) -> str | None:
    """sha256 of the model's file in hex; None when it cannot be read."""
    try:
        return model_file.load(model_path(config, find_entry(config, ""), ""), sha256=None, where="")[1]
    except Problem:
        return None


def trials_folder() -> Path:
    """Where trials and measured choices are remembered without a config: beside the fetched models."""
    return cache_folder().with_name("delegates")
