"""Say all that is known of a model: inputs, outputs, labels, licence, which decoder reads it and why, how a frame is given to it, its operators.

The model is loaded, never run on anything. Exit 3 when it is no TFLite model, is damaged, or the runtime here refuses it; a model that no
decoder knows is explained all the same.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.inference.model import Config
    from agent.pipeline.explanation import ExplainedTensor, Explanation, Input

_OPERATORS_A_LINE = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a .tflite file, or the name of a model of the catalogue")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--decoder", metavar="NAME", help="explain it as this decoder reads it")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="take the labels of this file")
    parser.add_argument("--signature", metavar="NAME", help="which of several named signatures (left out: the first)")


def run(arguments: argparse.Namespace) -> int:
    from agent.pipeline.explaining import explain
    from agent.problems import Exit

    config = _config(arguments)
    explanation, refused = explain(config)
    if arguments.json:
        import msgspec

        plain = msgspec.to_builtins(explanation)
        for told_already in ("labels", "labels_source"):
            del plain["metadata"][told_already]
        plain["config"] = snippet(explanation, config)
        print(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_text(explanation, config)))
    if refused is not None:
        raise refused
    return int(Exit.DONE)


def _config(arguments: argparse.Namespace) -> "Config":
    from agent.catalogue.entries import entries
    from agent.inference.model import Config
    from agent.oneshot.settings import named_model
    from agent.values import RelativePath

    named_model(arguments.model)  # what is neither a file nor a model's name is told as `infer` tells it
    in_catalogue = not Path(arguments.model).exists() and arguments.model in entries()
    return Config(
        path=None if in_catalogue else RelativePath(arguments.model),
        catalogue=arguments.model if in_catalogue else None,
        decoder=arguments.decoder,
        labels=RelativePath(arguments.labels) if arguments.labels else None,
        signature=arguments.signature,
    )


def _text(told: "Explanation", config: "Config") -> Iterator[str]:
    yield f"{told.model}: {told.size_bytes / 1e6:.2f} MB, of which constants {told.constants_bytes / 1e6:.2f} MB"
    yield f"sha256     {told.sha256}"
    yield from _origin(told)
    for tensor in told.inputs:
        yield f"input      {_tensor(tensor)}"
    for tensor in told.outputs:
        yield f"output     {_tensor(tensor)}"
    if told.variables:
        yield f"memory     {told.variables} variables live from run to run: frames must come in order"
    for name, sides in told.signatures.items():
        chosen = ", this one" if name == told.signature and len(told.signatures) > 1 else ""
        yield f"signature  {name}: {', '.join(sides['inputs'])} -> {', '.join(sides['outputs'])}{chosen}"
    yield _labels(told)
    yield from _decoder(told)
    if told.frame is not None:
        yield f"frame      {_frame(told.frame, told.inputs)}"
    yield from _operators(told)
    if told.runtime is not None:
        yield f"runtime    {told.runtime} takes it"
    if told.not_on_gpu is not None:
        yield f"gpu        not for it: {told.not_on_gpu}"
    if told.refused is not None:
        yield f"refused    {told.refused.what}. {told.refused.remedy}"
    yield ""
    yield snippet(told, config)


def _origin(told: "Explanation") -> Iterator[str]:
    said = told.metadata
    if said.source:
        parts = [said.name, said.description, f"by {said.author}" if said.author else ""]
        yield f"says       {'; '.join(_line(part) for part in parts if part) or 'nothing'} ({said.source})"
    else:
        yield "says       nothing of itself: no metadata"
    yield f"licence    {_line(told.licence) if told.licence else 'not said'}"
    extra = [
        f"task {said.task}" if said.task else "",
        f"input {said.input_px[0]}×{said.input_px[1]}" if said.input_px else "",
        f"{said.keypoint_shape[0]} keypoints of {said.keypoint_shape[1]} numbers" if said.keypoint_shape else "",
        {True: "doubles are removed inside", False: "doubles are left in", None: ""}[said.suppressed],
        f"decoder {said.decoder}" if said.decoder else "",
    ]
    if any(extra):
        yield f"task       {', '.join(part for part in extra if part)}"
    if told.converted_from:
        yield f"made with  {_line(told.converted_from)}"


def _tensor(tensor: "ExplainedTensor") -> str:
    sizes = "×".join("?" if place in tensor.open else str(size) for place, size in enumerate(tensor.shape))
    text = f"{tensor.name!r} {sizes or 'of unknown size'} {tensor.dtype}"
    if tensor.open:
        text += f" (? is open, taken as {'×'.join(map(str, tensor.shape))})"
    if tensor.said:
        text += f", said to be {tensor.said!r}"
    if tensor.real is not None:
        low, high = tensor.real
        text += f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}: {low:.4g}..{high:.4g}"
    return f"{text}, a state that is fed back" if tensor.state else text


def _labels(told: "Explanation") -> str:
    if not told.labels_count:
        return "labels     none: give a file with --labels, in the config with `labels`; without, classes are numbers"
    more = " | …" if told.labels_count > len(told.labels_first) else ""
    return f"labels     {told.labels_count} ({told.labels_source}): {' | '.join(told.labels_first)}{more}"


def _decoder(told: "Explanation") -> Iterator[str]:
    if told.decoder is not None:
        gives = f", gives {told.gives}" if told.gives else ""
        yield f"decoder    {told.decoder}{gives}, because: {told.why}"
    elif told.undecided is not None:
        yield f"decoder    not recognised: {told.undecided.what}"
        yield f"           {told.undecided.remedy}"
    if told.problem is not None:
        yield f"           but {told.problem.what}. {told.problem.remedy}"
    for candidate in told.candidates:
        if candidate.decoder != told.decoder or len(told.candidates) > 1:
            yield f"           {candidate.sure + ':':<9} {candidate.decoder}, {candidate.why}"


def _frame(frame: "Input", inputs: Sequence["ExplainedTensor"]) -> str:
    fitted = {"stretch": "stretched", "letterbox": "letterboxed", "crop": "cropped from the middle"}[frame.resize]
    text = f"{frame.width_px}×{frame.height_px} {frame.color}, {fitted}, "
    tensor = next(one for one in inputs if one.name == frame.name)
    if frame.mean is None or frame.std is None:
        if not tensor.dtype.startswith("float"):
            return f"{text}pixels as {frame.said_by} takes them"
        if frame.said_by:
            return f"{text}values from 0 to 1, as {frame.said_by} has them"
        return f"{text}values from 0 to 1: nobody says otherwise, set mean and std if the model's card does"
    mean, std = (", ".join(f"{number:g}" for number in dict.fromkeys(values)) for values in (frame.mean, frame.std))
    if (mean, std) == ("0", "1"):
        return f"{text}values 0..255 as they are, as {frame.said_by} says"
    value = f"pixel / {std}" if mean == "0" else f"(pixel - {mean}) / {std}"
    return f"{text}values {value}, as {frame.said_by} says"


def _operators(told: "Explanation") -> Iterator[str]:
    counted = [f"{name} {count}" for name, count in told.operators.items()]
    for start in range(0, len(counted), _OPERATORS_A_LINE):
        head = f"operators  {sum(told.operators.values())}: " if start == 0 else "           "
        yield head + ", ".join(counted[start : start + _OPERATORS_A_LINE])
    others = [name for name in told.custom if name not in told.unsupported]
    if others:
        yield f"           custom: {', '.join(others)}{', known to this runtime' if told.refused is None else ''}"
    for name, why in told.unsupported.items():
        yield f"           unsupported: {name}, {why}"
    for part in told.damaged:
        yield f"damaged    {part} cannot be read"


def snippet(told: "Explanation", config: "Config") -> str:
    """The table to put into a config. Strings of TOML are those of JSON."""
    lines = ["[lane.X.model.Y]"]
    if config.catalogue is not None:
        lines.append(f"catalogue = {_quoted(config.catalogue)}")
    else:
        lines.append(f"path = {_quoted(told.model)}")
    lines.append(f'sha256 = "{told.sha256}"')
    if told.decoder is not None:
        refused = f"  # not as it is: {_line(told.problem.what)}" if told.problem is not None else ""
        lines.append(f"decoder = {_quoted(told.decoder)}{refused}")
    else:
        names = " or ".join(_quoted(candidate.decoder) for candidate in told.candidates)
        lines.append(f'decoder = "raw"  # not recognised{": " + names if names else ""}')
    if config.labels is not None:
        lines.append(f"labels = {_quoted(str(config.labels))}")
    if len(told.signatures) > 1 and told.signature is not None:
        lines.append(f"signature = {_quoted(told.signature)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _line(text: str) -> str:
    """The first 160 characters, in one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 160 else f"{flat[:157]}…"
