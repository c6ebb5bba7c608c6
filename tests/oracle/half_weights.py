#!/usr/bin/env python3
"""An ONNX file with float32 weights in, the same graph with half-precision weights and a Cast behind each out.

    python half_weights.py IN.onnx OUT.onnx

Computation stays in float32: ONNX Runtime folds the casts when it loads the file.  Only tensors which halves hold
exactly are stored so (round the weights before the export), so the two files compute the same values.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALLEST = 64  # values; below that a Cast node takes more bytes than it saves


def halve(model: onnx.ModelProto) -> int:
    """Stores float32 initializers of `model` as float16 behind Cast nodes, in place; says how many."""
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        halves = values.astype(np.float16)
        if values.size < SMALLEST or not np.array_equal(halves.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halves, name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], name=name + "_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return len(casts)


def main() -> None:
    """Rewrites the file given."""
    source, target = sys.argv[1:3]
    model = onnx.load(source)
    print(f"{halve(model)} tensors stored as halves")
    onnx.checker.check_model(model)
    onnx.save(model, target)


if __name__ == "__main__":
    main()
