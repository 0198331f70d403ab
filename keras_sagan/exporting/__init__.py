"""Trained generators as files that need none of this code."""

from keras_sagan.exporting.export_run import export_run
from keras_sagan.exporting.saved_model import fold_spectral_norm, write_saved_model
from keras_sagan.exporting.tflite import check_tflite, convert_to_tflite

__all__ = [
    "check_tflite",
    "convert_to_tflite",
    "export_run",
    "fold_spectral_norm",
    "write_saved_model",
]
