"""All that can be known of a model file without running it: what it holds, what it says of itself, how it would be read here and why."""

from contextlib import suppress
from typing import Literal

import msgspec

from agent.decoding import Options, Shape, Wants, _recognise
from agent.inference import Tensor, backbone, model_graph, rescaling
from agent.inference.inputs import image, primary
from agent.inference.metadata import Metadata
from agent.inference.model import Config
from agent.inference.model_graph import Graph, TensorFact
from agent.inference.session import Wanted, open_session
from agent.inference.state import find_state
from agent.pipeline import model_facts
from agent.pipeline.explanation import Candidate, ExplainedTensor, Explanation, Input, Wrong
from agent.pipeline.models import ModelFile, read_file
from agent.problems import Problem

_LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
_FIRST_LABELS = 8


class _Opened(msgspec.Struct, frozen=True, kw_only=True):
    """Tensors as the runtime has them, or, where it refuses the model, as the file says. states: (output, input) places that are fed back.

    given: the place of the input that is filled, None where that is not known: `unfilled` says why.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    runtime: str | None = None
    refused: Problem | None = None
    states: tuple[tuple[int, int], ...] = ()
    given: int | None = None
    unfilled: Problem | None = None


class _Reading(msgspec.Struct, kw_only=True):
    """wants: None where no decoder is recognised."""

    decoder: str | None = None
    why: str | None = None
    gives: str | None = None
    undecided: Wrong | None = None
    problem: Wrong | None = None
    candidates: tuple[Candidate, ...] = ()
    wants: Wants | None = None


def explain(config: Config) -> tuple[Explanation, Problem | None]:
    """The explanation, and why the runtime refuses the model, if it does. Of several signatures without a choice the first is explained.

    Problem (Exit.MODEL): no file, no TFLite file, or too damaged to be explained; `labels` of the config cannot be read; no such decoder.
    """
    file = read_file(config, "")
    graph = model_graph.read_graph(file.content, where=str(file.path))
    several = [signature.name for signature in graph.signatures]
    signature = config.signature or (several[0] if len(several) > 1 else None)
    config = msgspec.structs.replace(config, signature=signature)
    opened = _with_states(_open(file, config, graph), config)
    if opened.refused is not None and graph.damaged:
        raise opened.refused
    labels = model_facts.read_labels(config, file.said, file.entry, "")
    reading = _read(config, file, graph, opened, labels)
    inputs = model_facts.shapes(opened.inputs, file.said.input_names)
    outputs = model_facts.shapes(opened.outputs, file.said.output_names)
    explanation = Explanation(
        model=str(file.path),
        sha256=file.digest,
        size_bytes=len(file.content),
        runtime=opened.runtime,
        refused=_wrong(opened.refused),
        inputs=tuple(
            _tensor(one, graph, place in {into for _, into in opened.states}) for place, one in enumerate(inputs)
        ),
        outputs=tuple(
            _tensor(one, graph, place in {out for out, _ in opened.states}) for place, one in enumerate(outputs)
        ),
        signatures={one.name: {"inputs": tuple(one.inputs), "outputs": tuple(one.outputs)} for one in graph.signatures},
        signature=signature,
        metadata=msgspec.structs.replace(file.said, labels=()),
        licence=file.said.licence or (file.entry.licence if file.entry else None),
        labels_count=len(labels),
        labels_first=labels[:_FIRST_LABELS],
        labels_source=_labels_source(config, file.said, labels),
        decoder=reading.decoder,
        why=reading.why,
        gives=reading.gives,
        undecided=reading.undecided,
        problem=reading.problem,
        candidates=reading.candidates,
        frame=_frame(config, file, graph, opened, reading.wants),
        operators=graph.operators,
        custom=graph.custom,
        unsupported=_unsupported(graph, opened.refused),
        not_on_gpu=_not_on_gpu(graph),
        variables=graph.variables,
        constants_bytes=graph.constants_bytes,
        converted_from=graph.description,
        damaged=graph.damaged,
    )
    return explanation, opened.refused


def _open(file: ModelFile, config: Config, graph: Graph) -> _Opened:
    # It is only looked at: the plain CPU takes nearly all that a CPU takes. What is compiled for other hardware is tried there.
    try:
        return _tensors_of(file, config, "auto" if graph.for_edge_tpu else ("cpu",))
    except Problem as problem:
        refused = problem
    # XNNPACK has some custom ops (MediaPipe's transposed convolution) and keeps variables that nobody fills: it runs what the plain CPU refuses.
    if not graph.for_edge_tpu and not graph.damaged:
        with suppress(Problem):
            return _tensors_of(file, config, ("xnnpack",))
    return _Opened(
        inputs=tuple(_as_tensor(fact) for fact in graph.inputs),
        outputs=tuple(_as_tensor(fact) for fact in graph.outputs),
        refused=refused,
    )


def _tensors_of(file: ModelFile, config: Config, delegates: tuple[str, ...] | Literal["auto"]) -> _Opened:
    """Problem (Exit.MODEL): none of the delegates takes the model."""
    wanted = Wanted(delegates=delegates, signature=config.signature, input_px=config.input_px or file.said.input_px)
    with open_session(file.content, file.digest, wanted, where=str(file.path)) as session:
        return _Opened(inputs=session.inputs, outputs=session.outputs, runtime=session.runtime)


def _as_tensor(fact: TensorFact) -> Tensor:
    single = len(fact.scales) == 1 and len(fact.zero_points) == 1
    return Tensor(
        name=fact.name,
        shape=fact.shape,
        dtype=fact.dtype,
        scale=fact.scales[0] if single else 0.0,
        zero_point=fact.zero_points[0] if single else 0,
        open=fact.open,
    )


def _with_states(opened: _Opened, config: Config) -> _Opened:
    """With what is fed back, and the input that is filled."""
    pairs: tuple[tuple[int, int], ...] = ()
    free = [place for place, one in enumerate(opened.inputs) if not _is_fixed(one, config)]
    try:
        found = find_state([opened.inputs[place] for place in free], opened.outputs, config.state, "")
        pairs = tuple((output, free[into]) for output, into in found)
        rest = [place for place in free if place not in {into for _, into in pairs}]
        given = rest[primary([opened.inputs[place] for place in rest], "frame", "")]
        return msgspec.structs.replace(opened, states=pairs, given=given)
    except Problem as problem:
        return msgspec.structs.replace(opened, states=pairs, unfilled=problem)


def _is_fixed(tensor: Tensor, config: Config) -> bool:
    """The config says what it always gets."""
    return tensor.name in config.inputs or tensor.signed in config.inputs


def _read(config: Config, file: ModelFile, graph: Graph, opened: _Opened, labels: tuple[str, ...]) -> _Reading:
    """Which decoder, why, and whether it takes the model."""
    if opened.given is None:
        return _Reading(undecided=_wrong(opened.unfilled))
    fed, back = {into for _, into in opened.states}, {out for out, _ in opened.states}
    shapes = model_facts.shapes(opened.inputs, file.said.input_names)
    others = [
        one
        for place, one in enumerate(shapes)
        if place not in fed and place != opened.given and not _is_fixed(opened.inputs[place], config)
    ]
    inputs = (shapes[opened.given], *others)
    every = model_facts.shapes(opened.outputs, file.said.output_names, graph)
    outputs = tuple(one for place, one in enumerate(every) if place not in back)
    options = model_facts.read_options(config, file.said, labels, inputs[0])
    reading = _Reading(candidates=_candidates(inputs, outputs, options))
    try:
        recognised = model_facts.recognise(config, file.said, file.entry, inputs, outputs, options, "")
    except Problem as problem:
        reading.undecided = _wrong(problem)
        return reading
    module = _recognise.load(recognised.decoder, "")
    reading.decoder, reading.why = recognised.decoder, recognised.why
    reading.wants = model_facts.family_wants(module, inputs, outputs, options)
    try:
        reading.gives = module.open_decoder(inputs, outputs, options, "").gives
    except Problem as problem:
        reading.problem = _wrong(problem)
    return reading


def _candidates(inputs: tuple[Shape, ...], outputs: tuple[Shape, ...], options: Options) -> tuple[Candidate, ...]:
    found = sorted(_recognise.claims(inputs, outputs, options).items(), key=lambda pair: -pair[1].sure)
    return tuple(Candidate(decoder=name, sure=claim.sure.name.lower(), why=claim.why) for name, claim in found)


def _frame(config: Config, file: ModelFile, graph: Graph, opened: _Opened, wants: Wants | None) -> Input | None:
    """None: the model takes no pictures."""
    tensor = opened.inputs[opened.given] if opened.given is not None else None
    picture = image(tensor.shape, config.layout) if tensor is not None else None
    if tensor is None or picture is None or opened.given is None:
        return None
    place, name = opened.given, tensor.name
    normalisation, said_by = model_facts.read_normalisation(
        config,
        file.said,
        wants,
        lambda: rescaling.of_graph(file.content, graph, index=place, name=name, signature=config.signature),
        lambda: backbone.trained_on(file.content),
    )
    if not tensor.dtype.startswith("float") and said_by != "the config":
        normalisation, said_by = None, "its quantisation" if tensor.scale else "its type"
    elif normalisation is None and wants not in (None, Wants()):
        said_by = "its decoder's family"
    channels = 1 if picture.channels is None else tensor.shape[picture.channels]
    return Input(
        name=name,
        width_px=tensor.shape[picture.columns],
        height_px=tensor.shape[picture.rows],
        channels=channels,
        resize=config.resize or (wants.resize if wants is not None else "stretch"),
        color="grey" if channels == 1 else config.color,
        mean=normalisation.mean if normalisation is not None else None,
        std=normalisation.std if normalisation is not None else None,
        said_by=said_by,
    )


def _tensor(shape: Shape, graph: Graph, state: bool) -> ExplainedTensor:
    fact = next((fact for fact in (*graph.inputs, *graph.outputs) if fact.name == shape.name), None)
    limits = _LIMITS.get(shape.dtype) if shape.scale else None
    return ExplainedTensor(
        name=shape.name,
        shape=shape.shape,
        dtype=shape.dtype,
        said=shape.said if shape.said != shape.name else "",
        open=fact.open if fact is not None else (),
        scale=shape.scale or None,
        zero_point=shape.zero_point if shape.scale else None,
        real=tuple(round((limit - shape.zero_point) * shape.scale, 6) for limit in limits) if limits else None,
        state=state,
    )


def _labels_source(config: Config, said: Metadata, labels: tuple[str, ...]) -> str:
    if config.labels is not None:
        return str(config.labels)
    if said.labels:
        return said.labels_source if said.labels_source == "Ultralytics" else f"{said.labels_source} in the model"
    return "the catalogue" if labels else ""


def _unsupported(graph: Graph, refused: Problem | None) -> dict[str, str]:
    """Ops that the runtime here has not, and what to do. A runtime names only the first of the custom ops that it lacks."""
    found = dict.fromkeys(graph.flex, "an op of TensorFlow itself: convert without SELECT_TF_OPS")
    if graph.for_edge_tpu and refused is not None:
        found[model_graph.EDGE_TPU] = 'compiled for the Edge TPU: needs delegates = ["edgetpu"] and the hardware'
    for name in [*graph.custom, *graph.operators]:
        if refused is not None and name not in found and f" {name} " in f"{refused.what} ".replace(".", " "):
            found[name] = "this runtime lacks it"
    return found


def _not_on_gpu(graph: Graph) -> str | None:
    """LiteRT's CompiledModel refuses variables, and dies of the post-processing op."""
    if graph.post_processed:
        return f"it ends in {model_graph.POST_PROCESS}"
    return "it has a memory of its own" if graph.variables else None


def _wrong(problem: Problem | None) -> Wrong | None:
    return None if problem is None else Wrong(what=problem.what, remedy=problem.remedy)
