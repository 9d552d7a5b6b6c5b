"""Cuts a stream of samples into windows of `length_s`, a new one every `hop_s`; a gap empties the window."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    length_s: Annotated[float, Meta(gt=0, le=600, description="How much time one window holds.")]
    hop_s: Annotated[float, Meta(gt=0, le=600, description="A new window begins every so often.")]
    features: Annotated[
        Literal["none", "log-bands"],
        Meta(description="What the model looks at: the samples, or the logarithm of 64 spectral bands an axis."),
    ] = "none"
