"""A `[lane.X.model.Y]` table → a Runner: session, input and decoder put together. Inference and decoding do not know each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.catalogue.entries import Entry, entries, find
from agent.catalogue.fetch import cached
from agent.decoding import Options, Shape, _recognise
from agent.inference import Session, Tensor, metadata, model_file
from agent.inference.features_input import FeaturesInput, dequantise
from agent.inference.interpreter import open_session
from agent.inference.metadata import Metadata, Normalisation
from agent.inference.model import Config
from agent.inference.preprocess import Preprocess
from agent.problems import Exit, Problem
from agent.records import Detections, Frame, Placement, SampleWindow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Runner(msgspec.Struct, kw_only=True):
    """A model ready to look at inputs; one thread owns it. digest: sha256 of the file in hex. licence: None when nobody says it."""

    name: str
    decoder: str
    digest: str
    labels: tuple[str, ...]
    licence: str | None
    runtime: str
    delegate: str
    session: Session
    reader: Any  # a decoding.Decoder, or a decoding.RowsDecoder
    frames: Preprocess | None = None
    windows: FeaturesInput | None = None

    def look(self, record: Frame | SampleWindow) -> Detections:
        """Problem: the record is of the other kind, or does not fit the input; the runtime failed."""
        if isinstance(record, Frame) and self.frames is not None:
            placement = self.frames.fill(record.pixels)
            found: Detections = self.reader.decode(self.session.run(), placement)
            return found
        if isinstance(record, SampleWindow) and self.windows is not None:
            return self._look_at_window(record, self.windows)
        raise Problem(
            where=f"model {self.name}",
            what=f"a {type(record).__name__} came to a model for {'frames' if self.frames is not None else 'windows'}",
            remedy="Give the lane the source that the model is for",
            code=Exit.MODEL,
        )

    def _look_at_window(self, window: SampleWindow, windows: FeaturesInput) -> Detections:
        import numpy as np

        given = windows.rows(window.samples if window.features is None else window.features)
        if not hasattr(self.reader, "decode_rows"):
            if len(given) != 1:
                raise windows.misfit(window.samples if window.features is None else window.features)
            windows.fill(given[0])
            found: Detections = self.reader.decode(self.session.run(), Placement())
            return found
        rebuilt = np.stack([self._run_row(row, windows) for row in given])
        anomalies: Detections = self.reader.decode_rows(given, rebuilt)
        return anomalies

    def _run_row(self, row: "NDArray[np.float32]", windows: FeaturesInput) -> "NDArray[np.float32]":
        windows.fill(row)
        return dequantise(self.session.run()[0].reshape(-1), self.session.outputs[0])


@contextmanager
def open_model(
    name: str, config: Config, *, runtime: str = "auto", where: str, kind: Literal["frame", "window"]
) -> Iterator[Runner]:
    """Problem (Exit.MODEL): the file, its digest, the runtime, an input that does not fit `kind`, no decoder, wrong labels."""
    entry = _entry(config, where)
    path = _path(config, entry, where)
    model, digest = model_file.load(path, sha256=config.sha256, where=where)
    said = metadata.read(model)
    with open_session(
        model,
        delegates=("xnnpack",) if config.delegates == "auto" else config.delegates,
        threads=config.threads,
        runtime=runtime,
        where=f"{where} ({path})",
    ) as session:
        if len(session.inputs) != 1:
            raise Problem(
                where=where,
                what=f"the model has {len(session.inputs)} inputs, a lane fills one",
                remedy="Take a model with one input",
                code=Exit.MODEL,
            )
        inputs, outputs = _shapes(session.inputs), _shapes(session.outputs)
        options = _options(config, said, _labels(config, said, entry, where))
        decoder = (
            config.decoder
            or _recognise.recognise(
                inputs, outputs, options, said=said.decoder or (entry.decoder if entry else None), where=where
            ).decoder
        )
        kind_of_decoder = _recognise.load(decoder, where)
        frames, windows = None, None
        if kind == "frame":
            frames = _frames(config, said, kind_of_decoder, session, where)
        else:
            normalisation = _normalisation(config, said, None)
            windows = FeaturesInput(session.inputs[0], session.input_array(0), normalisation=normalisation, where=where)
        reader = kind_of_decoder.open_decoder(inputs, outputs, options, where)
        if kind == "frame" and hasattr(reader, "decode_rows"):
            raise Problem(
                where=f"{where}.decoder",
                what=f"{decoder} compares windows of samples, and this lane gives frames",
                remedy="Give this lane a sensor, or take another decoder",
                code=Exit.MODEL,
            )
        yield Runner(
            name=name,
            decoder=decoder,
            digest=digest,
            labels=reader.labels,
            licence=said.licence or (entry.licence if entry else None),
            runtime=session.runtime,
            delegate=session.delegate,
            session=session,
            reader=reader,
            frames=frames,
            windows=windows,
        )


def file_digest(config: Config) -> str | None:
    """sha256 of the model's file in hex; None when it cannot be read."""
    try:
        return model_file.load(_path(config, _entry(config, ""), ""), sha256=None, where="")[1]
    except Problem:
        return None


def _entry(config: Config, where: str) -> Entry | None:
    if config.catalogue is None:
        return None
    try:
        return find(config.catalogue, entries())
    except Problem as problem:
        raise Problem(where=f"{where}.catalogue", what=problem.what, remedy=problem.remedy, code=Exit.MODEL) from None


def _path(config: Config, entry: Entry | None, where: str) -> Path:
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


def _labels(config: Config, said: Metadata, entry: Entry | None, where: str) -> tuple[str, ...]:
    """The config's file, else the model's own, else what the catalogue names."""
    if config.labels is not None:
        return model_file.load_labels(Path(config.labels), where=f"{where}.labels")
    if said.labels or entry is None or not entry.labels:
        return said.labels
    of = entries().get(entry.labels)
    if of is not None:
        path = cached(of)
        return model_file.load_labels(path, where=f"{where}.labels") if path is not None else ()
    return () if entry.labels == "in the file" else tuple(text.strip() for text in entry.labels.split(","))


def _options(config: Config, said: Metadata, labels: tuple[str, ...]) -> Options:
    return Options(
        labels=labels,
        background=config.background,
        softmax=str(config.softmax).lower(),
        score=config.score if config.score is not None else said.score,
        iou=config.iou,
        top=config.top,
    )


def _frames(config: Config, said: Metadata, decoder: ModuleType, session: Session, where: str) -> Preprocess:
    wants = decoder.WANTS
    return Preprocess(
        session.inputs[0],
        session.input_array(0),
        resize=config.resize or wants.resize,
        interpolation=config.interpolation,
        color=config.color,
        normalisation=_normalisation(config, said, wants),
        exact=config.mean is not None or config.std is not None,
        border=wants.border,
        where=where,
    )


def _normalisation(config: Config, said: Metadata, wants: Any) -> Normalisation | None:
    """Config before metadata before what the decoder's family wants; None: as the input's own quantisation says."""
    if config.mean is not None or config.std is not None:
        return Normalisation(mean=_channels(config.mean, 0.0), std=_channels(config.std, 1.0))
    if said.normalisation and said.normalisation[0] is not None:
        return said.normalisation[0]
    if wants is not None and wants.mean is not None:
        return Normalisation(mean=wants.mean, std=wants.std)
    return None


def _channels(value: float | tuple[float, ...] | None, absent: float) -> tuple[float, ...]:
    """One number stands for all channels."""
    if value is None:
        return (absent,)
    return value if isinstance(value, tuple) else (float(value),)


def _shapes(tensors: tuple[Tensor, ...]) -> tuple[Shape, ...]:
    return tuple(
        Shape(
            name=tensor.name,
            shape=tensor.shape,
            dtype=tensor.dtype,
            scale=tensor.scale,
            zero_point=tensor.zero_point,
        )
        for tensor in tensors
    )
