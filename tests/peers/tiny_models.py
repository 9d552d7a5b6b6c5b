"""TFLite models of one op, built in memory: tests of shapes, types and quantisation need no file.

one_op("RELU", (1, 64), dtype="int8", scale=0.05, zero_point=0)     # output as the input
one_op("SOFTMAX", (1, 4))
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {"float32": schema.TensorType.FLOAT32, "int8": schema.TensorType.INT8, "uint8": schema.TensorType.UINT8}


def one_op(
    op: str,
    shape: tuple[int, ...],
    *,
    dtype: str = "float32",
    scale: float = 0.0,
    zero_point: int = 0,
    out_scale: float | None = None,
    out_zero_point: int | None = None,
    custom: str | None = None,
) -> bytes:
    """One input, one op, one output of the same shape and type. custom: the name of an op that no runtime has."""
    model = schema.ModelT()
    model.version = 3
    code = schema.OperatorCodeT()
    code.builtinCode = schema.BuiltinOperator.CUSTOM if custom else getattr(schema.BuiltinOperator, op)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.customCode = custom
    code.version = 1 if dtype == "float32" else 2
    model.operatorCodes = [code]
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor("given", shape, dtype, scale, zero_point),
        _tensor(
            "result",
            shape,
            dtype,
            scale if out_scale is None else out_scale,
            zero_point if out_zero_point is None else out_zero_point,
        ),
    ]
    graph.inputs, graph.outputs = [0], [1]
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0], [1]
    if op == "SOFTMAX":
        operator.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
        operator.builtinOptions = schema.SoftmaxOptionsT()
        operator.builtinOptions.beta = 1.0
    graph.operators = [operator]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, shape: tuple[int, ...], dtype: str, scale: float, zero_point: int) -> "schema.TensorT":
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), _TYPES[dtype], 0
    if scale:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.array([scale], np.float32)
        tensor.quantization.zeroPoint = np.array([zero_point], np.int64)
    return tensor
