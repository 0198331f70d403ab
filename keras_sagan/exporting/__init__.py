"""Trained generators as files that need none of this code."""

from keras_sagan.exporting.export_run import export_run
from keras_sagan.exporting.inference_model import inference_model
from keras_sagan.exporting.saved_model import write_saved_model
from keras_sagan.exporting.tflite import check_tflite, convert_to_tflite

__all__ = [
    "check_tflite",
    "convert_to_tflite",
    "export_run",
    "inference_model",
    "write_saved_model",
]
