"""Draws pictures with a .tflite file: python -m export.sample MODEL.tflite --out sheet.png.

The program is `keras_sagan/exporting/sample.py`, which every export has a copy of. It is run here
as a file, since it needs neither TensorFlow nor anything else of the package.
"""

import runpy
from pathlib import Path

if __name__ == "__main__":
    program = Path(__file__).parents[1] / "keras_sagan" / "exporting" / "sample.py"
    runpy.run_path(str(program), run_name="__main__")
