"""Weights stored as fp16 in a fp32 graph: goes in a model, comes out the same model at half the size.

Each big initializer becomes fp16 with a Cast to fp32 behind it. ONNX Runtime computes such casts once, when it
loads the graph, so that every operator runs in fp32 at full speed: the file is small, the arithmetic is not touched.
Weights that were trained or shipped as fp16 come back bit for bit.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALL = 1024
"""Elements; smaller tensors and vectors (norms, biases) stay fp32: they save nothing, and graph rewriters read them."""
HALF_MAX = 65504.0
"""The largest finite fp16 number."""


def store_half(model: onnx.ModelProto) -> int:
    """Rewrites `model` in place; returns how many tensors are stored as fp16 now."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or sum(d > 1 for d in tensor.dims) < 2 or np.prod(tensor.dims) < SMALL:
            continue
        values = numpy_helper.to_array(tensor)
        if not np.abs(values).max() <= HALF_MAX:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_fp16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=name + "_cast", to=TensorProto.FLOAT))
    nodes = casts + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return len(casts)
