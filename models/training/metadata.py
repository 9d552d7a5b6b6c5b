"""Writes TFLite metadata into a model: the TFLITE_METADATA buffer and the packed files behind it, without tflite-support.

Format: tensorflow/lite/schema/schema.fbs (Model.metadata names a buffer) and metadata_schema.fbs (identifier M001), files appended as a zip
(stored, fixed date: the same model gives the same bytes). Slots used: ModelMetadata{name 0, description 1, subgraph_metadata 3, license 5,
associated_files 6}, SubGraphMetadata{input 2, output 3}, TensorMetadata{name 0, process_units 4, associated_files 6}, ProcessUnit{options
type 0, options 1}, NormalizationOptions{mean 0, std 1}, AssociatedFile{name 0, description 1, type 2}.

Beside the labels (labels.txt, of the output) a model carries `edge-agent.json`: what the standard has no place for, here the decoder's name,
the least score, the features the input is made of.
"""

import functools
import io
import json
import zipfile
from collections.abc import Mapping, Sequence

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

LABELS_FILE, EXTRA_FILE = "labels.txt", "edge-agent.json"
DESCRIPTIONS, TENSOR_AXIS_LABELS = 1, 2  # AssociatedFileType
NORMALIZATION_OPTIONS = 1  # ProcessUnitOptions
LICENCE = "Apache-2.0"
FIXED_DATE = (2020, 1, 1, 0, 0, 0)


def with_metadata(
    model: bytes,
    *,
    name: str,
    description: str,
    input_name: str,
    output_name: str,
    mean: Sequence[float],
    std: Sequence[float],
    labels: Sequence[str],
    extra: Mapping[str, object],
) -> bytes:
    """The model's bytes with metadata. mean, std: one number, or one a channel (a band); input = (value - mean) / std before quantisation."""
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(tree.buffers)
    buffer.data = _metadata(name, description, input_name, output_name, mean, std, bool(labels))
    tree.buffers.append(buffer)
    tree.metadata = [*(tree.metadata or []), entry]
    for each in tree.buffers:
        each.Pack = functools.partial(_pack_aligned, each)
    builder = flatbuffers.Builder(len(model) + 4096)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    packed = io.BytesIO()
    packed.write(builder.Output())
    with zipfile.ZipFile(packed, "a") as files:
        if labels:
            files.writestr(zipfile.ZipInfo(LABELS_FILE, FIXED_DATE), "\n".join(labels) + "\n")
        files.writestr(zipfile.ZipInfo(EXTRA_FILE, FIXED_DATE), json.dumps(dict(extra), sort_keys=True) + "\n")
    return packed.getvalue()


def _pack_aligned(buffer: schema.BufferT, builder: flatbuffers.Builder) -> int:
    """As schema.fbs wants it (`force_align: 16`), which the generated Pack forgets: weights are read where they lie."""
    start = None
    if buffer.data is not None and len(buffer.data):
        builder.StartVector(1, len(buffer.data), 16)
        builder.head -= len(buffer.data)
        builder.Bytes[builder.head : builder.head + len(buffer.data)] = bytes(buffer.data)
        start = builder.EndVector()
    schema.BufferStart(builder)
    if start is not None:
        schema.BufferAddData(builder, start)
    return schema.BufferEnd(builder)


def _metadata(
    name: str,
    description: str,
    input_name: str,
    output_name: str,
    mean: Sequence[float],
    std: Sequence[float],
    labelled: bool,
) -> bytes:
    builder = flatbuffers.Builder(2048)

    def table(*slots: tuple[int, str, int]) -> int:
        builder.StartObject(7)
        for slot, kind, value in slots:
            (builder.PrependUOffsetTRelativeSlot if kind == "offset" else builder.PrependInt8Slot)(slot, value, 0)
        return builder.EndObject()

    def vector(items: Sequence[int]) -> int:
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            builder.PrependUOffsetTRelative(item)
        return builder.EndVector()

    def floats(values: Sequence[float]) -> int:
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependFloat32(value)
        return builder.EndVector()

    def file(file_name: str, file_type: int) -> int:
        text = builder.CreateString(file_name)
        return table((0, "offset", text), (2, "int8", file_type))

    options = table((0, "offset", floats(mean)), (1, "offset", floats(std)))
    unit = table((0, "int8", NORMALIZATION_OPTIONS), (1, "offset", options))
    named_input, units = builder.CreateString(input_name), vector([unit])
    tensor_in = table((0, "offset", named_input), (4, "offset", units))
    named_output = builder.CreateString(output_name)
    files = vector([file(LABELS_FILE, TENSOR_AXIS_LABELS)]) if labelled else 0
    tensor_out = table((0, "offset", named_output), (6, "offset", files))
    subgraph = table((2, "offset", vector([tensor_in])), (3, "offset", vector([tensor_out])))
    named, described, graphs = builder.CreateString(name), builder.CreateString(description), vector([subgraph])
    extra, licence = vector([file(EXTRA_FILE, DESCRIPTIONS)]), builder.CreateString(LICENCE)
    builder.Finish(
        table(
            (0, "offset", named),
            (1, "offset", described),
            (3, "offset", graphs),
            (5, "offset", licence),
            (6, "offset", extra),
        ),
        file_identifier=b"M001",
    )
    return bytes(builder.Output())
