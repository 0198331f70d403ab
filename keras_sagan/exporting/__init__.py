"""Trained generators as files that need none of this code."""

import importlib

PRECISIONS = ("float32", "float16", "dynamic_int8", "int8")  # of TF Lite files

# None of these modules has the name of what it gives: importing it would put it in its place.
_MODULES = {
    "convert_to_tflite": "keras_sagan.exporting.tflite",
    "export_run": "keras_sagan.exporting.export",
    "inference_model": "keras_sagan.sampling.inference",
    "write_saved_model": "keras_sagan.exporting.saved_model",
}
__all__ = ["PRECISIONS", *_MODULES]


def __getattr__(name):
    # The command names the precisions before TensorFlow is needed.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
