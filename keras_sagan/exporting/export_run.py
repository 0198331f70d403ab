"""Everything that a run is exported to."""

import shutil

from keras_sagan.exporting.saved_model import write_saved_model
from keras_sagan.exporting.tflite import check_tflite, convert_to_tflite

TOLERANCE = 1e-4  # of images in [-1, 1]: a grey level is 8e-3


def export_run(run):
    """Writes `export/saved_model/1/` and `export/generator_float32.tflite` of a run.

    What stood there before is replaced, once everything new is written.

    Args:
        run: A `keras_sagan.run.Run` with a checkpoint.

    Yields:
        Lines that say what was written.

    Raises:
        ArithmeticError: The TF Lite file does not give what the Keras model gives.
    """
    generator = run.load_generator()
    partial = run.export.with_name("export.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    write_saved_model(generator, str(partial / "saved_model" / "1"))
    tflite = partial / "generator_float32.tflite"
    tflite.write_bytes(convert_to_tflite(generator))
    try:
        difference = check_tflite(tflite, generator)
        if difference > TOLERANCE:
            raise ArithmeticError(f"{tflite} differs from the Keras model by {difference:.1e}")
        check = f"at most {difference:.1e} from Keras in LiteRT"
    except ImportError:
        check = "not checked: pip install keras-sagan[edge] to compare it with Keras in LiteRT"
    shutil.rmtree(run.export, ignore_errors=True)
    partial.rename(run.export)
    tflite = run.export / tflite.name
    yield f"SavedModel: {run.export / 'saved_model' / '1'}"
    yield f"TF Lite: {tflite} ({tflite.stat().st_size / 1e6:.2f} MB, {check})"
