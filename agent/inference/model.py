"""The `[lane.X.model.Y]` table: which file, how its input is filled, how its output is read."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.values import NAME_PATTERN, RelativePath

# What `delegates` can name beside the `[delegate]` tables.
DELEGATES = ("gpu", "edgetpu", "xnnpack", "cpu")


class Delegate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[delegate.NAME]` table: hardware of this machine that a vendor's library drives. Models name it in `delegates`."""

    library: Annotated[
        str,
        Meta(
            description="The external delegate, a shared library: its path, or a name that the system's loader finds (`libvx_delegate.so`)."
        ),
    ]
    options: Annotated[dict[str, str | int | float | bool], Meta(description="Handed to the library as they are.")] = {}


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: Annotated[RelativePath | None, Meta(description="The .tflite file. Either this or `catalogue`.")] = None
    catalogue: Annotated[
        Annotated[str, Meta(pattern=NAME_PATTERN)] | None,
        Meta(description="A model of the catalogue (`edge-agent models list`)."),
    ] = None
    sha256: Annotated[
        Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None,
        Meta(description="The file's digest: another file is refused."),
    ] = None
    decoder: Annotated[
        str | None, Meta(description="How the outputs are read; left out: recognised from the model.")
    ] = None
    labels: Annotated[
        RelativePath | None, Meta(description="A file of labels, one a line; left out: the model's own.")
    ] = None
    background: Annotated[bool, Meta(description="Class 0 is the background.")] = False
    every_s: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Look at an input at most this often; left out: at every one."),
    ] = None
    on: Annotated[
        Annotated[str, Meta(pattern=NAME_PATTERN)],
        Meta(
            description="What it looks at: `input`; `motion`: squares around what the lane's gate saw move and around what is followed, so that small "
            "objects in a large picture are seen; or the name of an earlier model of the lane: then the crops of that model's detections."
        ),
    ] = "input"
    margin: Annotated[
        float,
        Meta(
            ge=0,
            le=2,
            description="Crops grow by so much of their size at every side, where `on` names a model or is `motion`.",
        ),
    ] = 0.0
    regions: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(
            description='With `on = "motion"`: at most so many squares an input, in turn where there are more; left out: 4.'
        ),
    ] = None
    whole_s: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description='With `on = "motion"`: so often it looks at the whole picture as well; left out: 10.'),
    ] = None
    delegates: Annotated[
        Annotated[tuple[Annotated[str, Meta(pattern=NAME_PATTERN)], ...], Meta(min_length=1)] | Literal["auto"],
        Meta(
            description="What it shall run on, in order of preference: gpu, edgetpu, xnnpack, cpu or names of `[delegate]` tables. "
            '"auto" measures what this machine has and takes the fastest whose answers are those of the CPU.'
        ),
    ] = "auto"
    threads: Annotated[int, Meta(ge=1, le=64, description="Threads of one run.")] = 1
    signature: Annotated[
        str | None, Meta(description="Which of the file's named signatures is run; needed where it has several.")
    ] = None
    state: Annotated[
        dict[str, str],
        Meta(
            description="Recurrent models: output name = input name, fed back at the next input; left out: found by name and shape."
        ),
    ] = {}
    inputs: Annotated[
        dict[str, float | tuple[float, ...]],
        Meta(
            description="Further inputs that always get the same numbers (a threshold, a picture's size): input name = number, or list of numbers."
        ),
    ] = {}
    layout: Annotated[
        Literal["nhwc", "nchw"] | None,
        Meta(description="Order of the image input's dimensions; left out: seen from its shape."),
    ] = None
    input_px: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=8192)], Annotated[int, Meta(ge=1, le=8192)]] | None,
        Meta(description="Width and height of the image input where the file leaves them open."),
    ] = None
    resize: Annotated[
        Literal["stretch", "letterbox", "crop"] | None,
        Meta(description="How a frame is fitted; left out: as the decoder wants it."),
    ] = None
    interpolation: Annotated[Literal["linear", "area", "linear-area"], Meta(description="How pixels are scaled.")] = (
        "linear-area"
    )
    color: Annotated[Literal["rgb", "bgr", "grey"], Meta(description="Order of the input's channels.")] = "rgb"
    mean: Annotated[
        float | tuple[float, ...] | None,
        Meta(
            description="Subtracted from pixels 0..255, one number or one a channel; left out: metadata, then quantisation."
        ),
    ] = None
    std: Annotated[
        Annotated[float, Meta(gt=0)] | tuple[Annotated[float, Meta(gt=0)], ...] | None,
        Meta(description="Divides after `mean`, likewise."),
    ] = None
    softmax: Annotated[
        bool | Literal["auto"], Meta(description="Whether the outputs are logits that want one; auto looks at them.")
    ] = "auto"
    score: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="Least score of a result; left out: the decoder's or the model's own."),
    ] = None
    iou: Annotated[Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="Boxes that overlap more are one.")] = (
        None
    )
    top: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="At most so many results an input.")] = None
