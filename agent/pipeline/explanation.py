"""What `explain` says of a model file, in the order in which people ask."""

import msgspec

from agent.inference.metadata import Metadata


class ExplainedTensor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """real: the lowest and highest number that its quantisation can say. open: places of sizes that the file leaves open. said: its name in
    TFLite metadata. state: it is fed back from run to run.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    said: str = ""
    open: tuple[int, ...] = ()
    scale: float | None = None
    zero_point: int | None = None
    real: tuple[float, ...] | None = None
    state: bool = False


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """sure: "possible", "shapes" or "said" (the file says so)."""

    decoder: str
    sure: str
    why: str


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """How a frame is given. mean, std: on 0..255; None: 0..1 in a float input, else as the quantisation means it. said_by: who says so, ""
    for nobody.
    """

    name: str
    width_px: int
    height_px: int
    channels: int
    resize: str
    color: str
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    said_by: str


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    remedy: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """decoder: None where none is recognised: then `undecided` says why. refused: why the runtime here does not take the model.

    problem: why the decoder would not read it as it is (a wrong count of labels). unsupported: ops that no runtime here has, and what to do.
    not_on_gpu: why a GPU does not run it, None where nothing in the file is against it.
    """

    model: str
    sha256: str
    size_bytes: int
    runtime: str | None
    refused: Wrong | None
    inputs: tuple[ExplainedTensor, ...]
    outputs: tuple[ExplainedTensor, ...]
    signatures: dict[str, dict[str, tuple[str, ...]]]
    signature: str | None
    metadata: Metadata
    licence: str | None
    labels_count: int
    labels_first: tuple[str, ...]
    labels_source: str
    decoder: str | None
    why: str | None
    gives: str | None
    undecided: Wrong | None
    problem: Wrong | None
    candidates: tuple[Candidate, ...]
    frame: Input | None
    operators: dict[str, int]
    custom: tuple[str, ...]
    unsupported: dict[str, str]
    not_on_gpu: str | None
    variables: int
    constants_bytes: int
    converted_from: str
    damaged: tuple[str, ...]
