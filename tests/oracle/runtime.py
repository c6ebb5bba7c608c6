"""Paths of ONNX files in, ONNX Runtime sessions and diffusers pipelines on them out: one CPU thread, always."""

from pathlib import Path

import onnxruntime


def options() -> onnxruntime.SessionOptions:
    """One thread: the sum's order, and so the last bit, is then the same on every run."""
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = 1
    chosen.inter_op_num_threads = 1
    return chosen


def session(path: Path) -> onnxruntime.InferenceSession:
    """A session of one graph on the CPU provider."""
    return onnxruntime.InferenceSession(str(path), options(), providers=["CPUExecutionProvider"])
