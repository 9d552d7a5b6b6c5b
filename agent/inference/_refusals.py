"""What a runtime says of a model that it does not take, as one line that names the op and what to do."""

import re

from agent.problems import Exit, Problem

_LONGEST = 200
_SOURCE_LINE = re.compile(r"^\S+\.(?:cc|h|cpp):\d+:?\s+")
_NODE = re.compile(r"Node number \d+ \(([^)]+)\)")
_CUSTOM = re.compile(r"unresolved custom op:\s*([^\s]+?)\.?(?:\s|$)", re.IGNORECASE)
_VERSION = re.compile(r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'")


def model_problem(where: str, error: Exception) -> Problem:
    """Why a model is refused. where: of the model in the config."""
    what, remedy = _explained(error)
    return Problem(where=where, what=f"the model is refused: {what}", remedy=remedy, code=Exit.MODEL)


def run_problem(where: str, error: Exception) -> Problem:
    """Why a run failed of a model that was taken."""
    return Problem(
        where=where,
        what=f"a run of the model failed: {_with_op(error)}",
        remedy="Convert the model again, or try another of delegates",
        code=Exit.MODEL,
    )


def _explained(error: Exception) -> tuple[str, str]:
    text = str(error)
    custom, version, node = _CUSTOM.search(text), _VERSION.search(text), _NODE.search(text)
    if custom and custom[1].startswith("edgetpu-custom-op"):
        return (
            "it is compiled for the Edge TPU (edgetpu-custom-op)",
            'It needs delegates = ["edgetpu"] and the hardware; elsewhere take the file as it was before edgetpu_compiler',
        )
    if custom:
        return (
            f"it has the custom op {custom[1]}",
            "This runtime lacks the op: convert the model without it, or use a runtime that has it",
        )
    if node and node[1].startswith("Flex"):
        return (
            f"it has TensorFlow's own op {node[1].removeprefix('Flex')} ({node[1]})",
            "This runtime lacks the op: convert the model without SELECT_TF_OPS",
        )
    if version:
        return (
            f"it has the op {version[1]} in version {version[2]}",
            "This runtime lacks the op in that version: take a newer runtime, or convert with an older TensorFlow",
        )
    return _with_op(error), "The file is damaged or no TFLite model: fetch it again and compare its sha256"


def _with_op(error: Exception) -> str:
    node = _NODE.search(str(error))
    if node is None:
        return first_line(error)
    # The runtime glues its "Node number 3 (CONV_2D) failed to prepare" to what the op said.
    said = _NODE.split(first_line(error))[0].strip().rstrip(".")
    return f"{said or 'it failed'} (op {node[1]})"


def first_line(error: Exception) -> str:
    """A bad quantisation repeats one line a tensor: the first says it. Without the place in the runtime's own source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = _SOURCE_LINE.sub("", lines[0]).rstrip(".") if lines else ""
    return (line or type(error).__name__)[:_LONGEST]
