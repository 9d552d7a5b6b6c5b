"""What is in a TFLite file, read without any runtime: tensors, operators, signatures, sizes (tensorflow/lite/schema/schema.fbs).

For people (`explain`) and for what a runtime does not tell: per-channel scales, constants, what a graph does first with its input.
A damaged part is left out and named in `damaged`. This is no verifier: only a runtime's own can say that a file is sound.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from agent.inference import _operators
from agent.inference._flatbuffer import DAMAGED, Table
from agent.problems import Exit, Problem

POST_PROCESS = "TFLite_Detection_PostProcess"
EDGE_TPU = "edgetpu-custom-op"
_FLEX = "Flex"

# What people have instead of a model: (how it begins, what it is).
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive (a .keras file, or a .task bundle with models inside)"),
    (b"\x89HDF", "an HDF5 file (Keras)"),
    (b"\x7fELF", "a program (an .eim of Edge Impulse is one: download the TensorFlow Lite file instead)"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself"),
    (b"<", "a web page"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"GGUF", "a GGUF file"),
)


class TensorFact(msgspec.Struct, frozen=True, kw_only=True):
    """open: places of dimensions that the file leaves open. scales: () unquantised, one, or one a channel of dimension `axis`.

    buffer: index in Graph.buffers.
    """

    name: str
    shape: tuple[int, ...]
    open: tuple[int, ...] = ()
    dtype: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    variable: bool = False
    buffer: int = 0


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """operator: its builtin name, or the custom op's own. inputs, outputs: tensor indexes, -1 for an input left out."""

    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Subgraph(msgspec.Struct, frozen=True, kw_only=True):
    """inputs, outputs: tensor indexes; only those that exist."""

    tensors: tuple[TensorFact, ...] = ()
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    nodes: tuple[Node, ...] = ()


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """inputs, outputs: name → tensor index in `subgraph`."""

    name: str
    subgraph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """subgraphs: the first is what runs; others are bodies of loops, branches, or other signatures' own.

    buffers: (position in the file, bytes) of each. custom: names of custom ops. constants_bytes: weights and other constants.
    damaged: what could not be read.
    """

    version: int = 0
    description: str = ""
    subgraphs: tuple[Subgraph, ...] = ()
    signatures: tuple[Signature, ...] = ()
    operators: dict[str, int] = {}
    custom: tuple[str, ...] = ()
    buffers: tuple[tuple[int, int], ...] = ()
    constants_bytes: int = 0
    damaged: tuple[str, ...] = ()

    @property
    def flex(self) -> tuple[str, ...]:
        """Ops of TensorFlow itself: no runtime for devices has them."""
        return tuple(name for name in self.custom if name.startswith(_FLEX))

    @property
    def for_edge_tpu(self) -> bool:
        """Compiled for the Edge TPU: runs there only."""
        return EDGE_TPU in self.custom

    @property
    def post_processed(self) -> bool:
        """Ends in TFLite_Detection_PostProcess."""
        return POST_PROCESS in self.custom

    @property
    def variables(self) -> int:
        """Tensors that live from run to run: the model has a memory."""
        return sum(tensor.variable for subgraph in self.subgraphs for tensor in subgraph.tensors)

    @property
    def inputs(self) -> tuple[TensorFact, ...]:
        return tuple(self.subgraphs[0].tensors[index] for index in self.subgraphs[0].inputs) if self.subgraphs else ()

    @property
    def outputs(self) -> tuple[TensorFact, ...]:
        return tuple(self.subgraphs[0].tensors[index] for index in self.subgraphs[0].outputs) if self.subgraphs else ()


def read_graph(model: bytes, *, where: str) -> Graph:
    """Problem (Exit.MODEL): another kind of file, or one so damaged that no graph is found in it."""
    if model[4:8] != b"TFL3":
        raise Problem(
            where=where,
            what=f"no TFLite model: {foreign(model)}",
            remedy="Give a .tflite file (docs/models.md says how to export one)",
            code=Exit.MODEL,
        )
    graph = graph_of(model)
    if not graph.subgraphs:
        raise Problem(
            where=where,
            what="the model file is damaged: no graph is found in it",
            remedy="Fetch it again and compare its sha256",
            code=Exit.MODEL,
        )
    return graph


def foreign(model: bytes) -> str:
    """What a file without TFLite's mark is, as far as its beginning says."""
    for beginning, kind in _FOREIGN:
        if model.startswith(beginning):
            return f"it is {kind}"
    return 'it has no "TFL3" at its beginning' if model else "it is empty"


def graph_of(model: bytes) -> Graph:
    """As much as can be read; never raises."""
    damaged: list[str] = []
    found: dict[str, Any] = {}
    with _part("the file's beginning", damaged):
        root = Table.root(model)
        found["version"] = root.number(0, "<I")
        with _part("the description", damaged):
            found["description"] = root.text(3)
        with _part("the buffers", damaged):
            found["buffers"] = tuple(_buffer(table) for table in root.tables(4))
        codes: list[tuple[str, bool]] = []
        with _part("the list of operators", damaged):
            codes = [_operator(table) for table in root.tables(1)]
            found["custom"] = tuple(dict.fromkeys(name for name, custom in codes if custom))
        with _part("the graphs", damaged):
            graphs = root.tables(2)
            found["subgraphs"] = tuple(_subgraph(table, codes, damaged) for table in graphs)
        with _part("the signatures", damaged):
            found["signatures"] = tuple(_signature(table) for table in root.tables(7))
        with _part("the metadata's list", damaged):
            others = {entry.number(1, "<I") for entry in root.tables(6)}
            sizes = enumerate(found.get("buffers", ()))
            found["constants_bytes"] = sum(size for index, (_, size) in sizes if index not in others)
    nodes = (node.operator for subgraph in found.get("subgraphs", ()) for node in subgraph.nodes)
    found["operators"] = dict(Counter(nodes).most_common())
    return Graph(**found, damaged=tuple(dict.fromkeys(damaged)))


@contextmanager
def _part(name: str, damaged: list[str]) -> Iterator[None]:
    try:
        yield
    except DAMAGED:
        damaged.append(name)


def _buffer(table: Table) -> tuple[int, int]:
    """Inside the flatbuffer, or, in files of more than 2 GB, behind it."""
    if table.number(1, "<Q") > 1:
        return table.number(1, "<Q"), table.number(2, "<Q")
    return table.place(0)


def _operator(table: Table) -> tuple[str, bool]:
    """(name, whether it is a custom op)"""
    code = max(table.number(0, "<b"), table.number(3, "<i"))
    if code == _operators.CUSTOM:
        return table.text(1) or "custom op without a name", True
    return _operators.operator_name(code), False


def _subgraph(table: Table, codes: list[tuple[str, bool]], damaged: list[str]) -> Subgraph:
    found: dict[str, Any] = {}
    with _part("tensors", damaged):
        found["tensors"] = tuple(_tensor(tensor) for tensor in table.tables(0))
    count = len(found.get("tensors", ()))
    with _part("the graph's inputs and outputs", damaged):
        for name, slot in (("inputs", 1), ("outputs", 2)):
            indexes = table.numbers(slot, "i")
            found[name] = tuple(index for index in indexes if 0 <= index < count)
            if len(found[name]) < len(indexes):
                damaged.append("the graph's inputs and outputs")
    with _part("operators", damaged):
        found["nodes"] = tuple(_node(node, codes) for node in table.tables(3))
    return Subgraph(**found)


def _node(table: Table, codes: list[tuple[str, bool]]) -> Node:
    return Node(
        operator=codes[table.number(0, "<I")][0],
        inputs=table.numbers(1, "i"),
        outputs=table.numbers(2, "i"),
    )


def _tensor(table: Table) -> TensorFact:
    quantisation = table.table(4)
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    if quantisation is not None:
        scales, zero_points = quantisation.floats(2), quantisation.numbers(3, "q")
    return TensorFact(
        name=table.text(3),
        shape=table.numbers(0, "i"),
        open=tuple(place for place, size in enumerate(table.numbers(7, "i")) if size == -1),
        dtype=_operators.type_name(table.number(1, "<b")),
        scales=scales,
        zero_points=zero_points or (0,) * len(scales),
        axis=quantisation.number(6, "<i") if quantisation is not None else 0,
        variable=bool(table.number(5, "<B")),
        buffer=table.number(2, "<I"),
    )


def _signature(table: Table) -> Signature:
    inputs, outputs = ({pair.text(0): pair.number(1, "<I") for pair in table.tables(slot)} for slot in (0, 1))
    return Signature(name=table.text(2), subgraph=table.number(4, "<I"), inputs=inputs, outputs=outputs)
