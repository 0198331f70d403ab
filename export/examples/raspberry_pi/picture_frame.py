"""Draws a new picture every minute, until it is stopped: for a Raspberry Pi with a screen.

    python picture_frame.py generator_dynamic_int8.tflite --out picture.png

It lies in the folder of an export, beside sample.py, which it draws with. NumPy, Pillow and
ai-edge-litert are all that it needs. The seed is the number of minutes since 1970, or of what
--every says: it goes on after a restart, and needs no file to remember it. The classes take turns.
"""

import argparse
import io
import signal
import sys
import time
from pathlib import Path

try:
    import numpy as np
    import sample
    from PIL import Image
except ModuleNotFoundError as missing:
    advice = {"sample": "put this file into the folder of an export"}
    advice = advice.get(missing.name, "pip install numpy pillow ai-edge-litert")
    print(f"error: {missing.name} is missing: {advice}", file=sys.stderr)
    sys.exit(2)


def picture(model, seed):
    """Draws the picture of a seed; returns the bytes of a PNG."""
    labels = np.full(1, seed % len(model.classes or [None]), np.int32)
    inputs = {"seed": np.full(1, seed, np.int32), "truncation": np.ones(1, np.float32)}
    png = io.BytesIO()
    Image.fromarray(model.run("sample", labels, **inputs)["image"][0]).save(png, "PNG")
    return png.getvalue()


def replace(out, content):
    """Writes a file such that whoever reads it meanwhile gets the old one or the new one whole."""
    new = out.with_name(f".{out.name}.new")
    try:
        new.write_bytes(content)
        new.replace(out)
    except OSError as error:
        new.unlink(missing_ok=True)
        sample.fail(f"--out {out}: {error.strerror}")


def seconds(text):
    """A time as typed."""
    if not 0.1 <= float(text) <= 86400:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.1 to 86400, a day")
    return float(text)


def main():
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.error = lambda message: sample.fail(f"{message}; see --help")
    parser.add_argument("model", metavar="MODEL.tflite", help="a file of the export")
    parser.add_argument("--out", metavar="FILE.png", required=True, help="the picture to write")
    text = "time from one picture to the next (60)"
    parser.add_argument("--every", metavar="SECONDS", type=seconds, default=60.0, help=text)
    options = parser.parse_args()
    out = Path(options.out)
    if out.suffix.lower() != ".png":
        sample.fail(f"--out {out}: name a file that ends in .png")
    if not out.parent.is_dir():
        sample.fail(f"--out {out}: there is no folder {out.parent}")

    # A signal ends the wait below, never a file half written.
    signals = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.append(number))
    model = sample.Model(options.model)
    print(f"a new {out} every {options.every:g} s; Ctrl-C ends", flush=True)
    while not signals:
        turn = int(time.time() // options.every)
        replace(out, picture(model, turn % (sample.LAST_SEED + 1)))
        while not signals and time.time() < (turn + 1) * options.every:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
