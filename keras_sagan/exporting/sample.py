"""Draws pictures with a .tflite file of keras-sagan, and needs nothing else of it.

    python sample.py generator_dynamic_int8.tflite --seed 7 --count 16 --label 3 --out sheet.png

Every export has a copy of this program beside the files. NumPy, Pillow and ai-edge-litert (LiteRT,
which runs TF Lite files) are all that it needs. It is the example for a port to another language. A
file has four signatures, called by name:

    sample(seed, label, truncation)  ->  image, uint8 (batch, height, width, 3)
    attend(seed, label, truncation)  ->  image, and (batch, queries, keys) for each attention layer
    latents(seed, truncation)        ->  latent, float32 (batch, length)
    generate(latent, label)          ->  image, float32 in [-1, 1]

`sample` is `generate` of `latents`. GPU delegates leave the integers of the seed to the CPU: a port
to a GPU calls `latents` on the CPU and `generate` on the GPU, as --interpolate here calls one after
the other. The batch is fixed, mostly to 1. A zip archive at the end of the file holds `labels.txt`,
the names of the classes, and `attention.json`, the (height, width) of the queries and keys of each
attention layer. A file without classes has no `labels.txt`, and its signatures no `label`.
"""

import argparse
import io
import json
import math
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

LAST_SEED = 2**31 - 1
OLDER = "of an older version; write it again with python -m export"


def fail(message):
    """Ends the program over a mistake of the user."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


class Model:
    """A file's signatures, batch, sizes of picture and maps, and class names or None."""

    def __init__(self, path):
        self.path, (self.classes, self.maps) = path, read_archive(path)
        try:
            from ai_edge_litert.interpreter import Interpreter

            self.interpreter = Interpreter(path)
        except ImportError:
            fail("LiteRT is missing: pip install ai-edge-litert")
        except ValueError as error:
            fail(f"{path}: LiteRT refuses this file: {error}")
        signatures = self.interpreter.get_signature_list().items()
        found = {name: sorted(signature["inputs"]) for name, signature in signatures}
        label = [] if self.classes is None else ["label"]
        wanted = {name: [*label, "seed", "truncation"] for name in ("attend", "sample")}
        wanted |= {"generate": [*label, "latent"], "latents": ["seed", "truncation"]}
        if list(found) == ["generate"]:
            fail(f"{path}: for latents of your own alone; name a generator_*.tflite")
        if "sample" in found and "latents" not in found:
            fail(f"{path}: {OLDER}")
        if found != wanted:
            labels = "with" if label else "without"
            fail(f"{path}: a generator {labels} labels.txt has inputs {wanted}, not {found}")
        self.call = {name: self.interpreter.get_signature_runner(name) for name in wanted}
        shape = self.call["generate"].get_output_details()["image"]["shape"]
        self.batch, self.height, self.width, _ = map(int, shape)

    def run(self, signature, label=None, **inputs):
        """Calls a signature batch by batch; returns its outputs by name, one row a picture."""
        count, results = len(next(iter(inputs.values()))), []
        if self.classes is not None and label is not None:
            inputs["label"] = label
        for start in range(0, count, self.batch):
            # Rows after the last picture repeat it, and are cut off below.
            rows = np.minimum(np.arange(start, start + self.batch), count - 1)
            batch = {name: value[rows] for name, value in inputs.items()}
            results.append(self.call[signature](**batch))
        return {name: np.concatenate([r[name] for r in results])[:count] for name in results[0]}

    def label(self, text):
        """The number of the class that a number or a name stands for."""
        if self.classes is None:
            fail(f"--label {text}: {self.path} has no classes; leave --label out")
        last = len(self.classes) - 1
        if text.isdecimal() and int(text) <= last:
            return int(text)
        if text.isdecimal() or text not in self.classes:
            span = f"0 ({self.classes[0]}) to {last} ({self.classes[last]})"
            fail(f"--label {text}: the classes of {self.path} are {span}")
        return self.classes.index(text)


def read_archive(path):
    """The names of the classes of a file, or None, and its maps; says so if it is not whole."""
    try:
        with Path(path).open("rb") as file:
            if file.read(8)[4:] != b"TFL3":
                fail(f"{path}: not a TF Lite file; name one of python -m export")
            # The archive is the file's end. Without it the interpreter might read past the end.
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
                if "attention.json" not in names:
                    fail(f"{path}: {OLDER}")
                maps = json.loads(archive.read("attention.json"))
                if "labels.txt" not in names:
                    return None, maps
                return archive.read("labels.txt").decode().splitlines(), maps
    except OSError as error:
        fail(f"{path}: {error.strerror}; name a file of python -m export")
    except zipfile.BadZipFile:
        fail(f"{path}: cut short, or not of python -m export: it does not end in a zip archive")


def arc(start, end, count):
    """Points from one latent to another, which keep to the lengths that latents have (slerp)."""
    angle = math.acos(np.clip(start @ end / np.sqrt((start @ start) * (end @ end)), -1, 1))
    t = np.linspace(0, 1, count)[:, None]
    if math.sin(angle) < 1e-3:  # parallel, where a straight line is the arc
        return (1 - t) * start + t * end
    return (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / math.sin(angle)


def overlay(image, attention, sizes, y, x):
    """Shows in orange on the dimmed picture where the location of pixel (y, x), boxed, looks."""
    height, width, _ = image.shape
    rows, columns = sizes["queries"]
    row, column = y * rows // height, x * columns // width
    weights = attention[row * columns + column].reshape(sizes["keys"])
    heat = Image.fromarray(weights / weights.max()).resize((width, height), Image.BILINEAR)
    tile = 0.35 * image.mean(-1, keepdims=True) + np.asarray(heat)[..., None] * (165, 105, 0)
    tile = Image.fromarray(tile.astype(np.uint8))
    top, left = row * height // rows, column * width // columns
    box = (left, top, left + max(width // columns, 2) - 1, top + max(height // rows, 2) - 1)
    ImageDraw.Draw(tile).rectangle(box, outline="white")
    return np.asarray(tile)


def sheet(images, columns):
    """Lays pictures out in rows, each enlarged to at least 64 pixels."""
    factor = -(-64 // images[0].shape[0])
    height, width = (factor * size + 2 for size in images[0].shape[:2])
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * width - 2, rows * height - 2), "white")
    for i, image in enumerate(images):
        large = Image.fromarray(image.repeat(factor, 0).repeat(factor, 1))
        page.paste(large, (i % columns * width, i // columns * height))
    return page


def draw(model, options):
    """Draws what the options ask for; returns a PIL image."""
    first = options.interpolate[0] if options.interpolate else options.seed
    seeds = np.arange(first, first + options.count)
    labels = (seeds % len(model.classes or [None])).astype(np.int32)
    if options.label is not None:
        labels[:] = model.label(options.label)
    truncation = np.full(len(seeds), options.truncation, np.float32)
    if options.interpolate:
        ends = np.array(options.interpolate, np.int32)
        ends = model.run("latents", seed=ends, truncation=np.ones(2, np.float32))["latent"]
        latents = (arc(*ends, len(seeds)) * truncation[:, None]).astype(np.float32)
        images = model.run("generate", labels[:1].repeat(len(seeds)), latent=latents)["image"]
        return sheet(np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8), len(seeds))
    inputs = {"seed": seeds.astype(np.int32), "truncation": truncation}
    if not options.attention:
        return sheet(model.run("sample", labels, **inputs)["image"], min(len(seeds), 8))
    y, x = options.attention
    if not (0 <= y < model.height and 0 <= x < model.width):
        last = f"{model.height - 1} {model.width - 1}"
        fail(f"--attention {y} {x}: outside the picture, which is from 0 0 to {last}")
    if not model.maps:
        fail(f"--attention {y} {x}: {model.path} has no attention layer; leave --attention out")
    found = model.run("attend", labels, **inputs)
    tiles = []
    for i, image in enumerate(found["image"]):
        maps = ((found[name][i], sizes) for name, sizes in model.maps.items())
        tiles += [image, *(overlay(image, *of_layer, y, x) for of_layer in maps)]
    return sheet(tiles, 1 + len(model.maps))


def seed(text):
    """A seed as typed."""
    if not 0 <= int(text) <= LAST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {LAST_SEED}")
    return int(text)


def main():
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.error = lambda message: fail(f"{message}; see --help")
    parser.add_argument("model", metavar="MODEL.tflite", help="a file that was exported")
    parser.add_argument("--seed", type=seed, default=0, help="seed of the first picture")
    parser.add_argument("--count", type=int, default=16, help="number of pictures")
    parser.add_argument("--label", help="number or name of the class; else all in turn")
    parser.add_argument("--truncation", type=float, default=1.0, help="factor of the latents")
    parser.add_argument("--out", metavar="FILE.png", required=True, help="the picture to write")
    how = parser.add_mutually_exclusive_group()
    text = "a row of pictures on the way from seed S1 to S2"
    how.add_argument("--interpolate", metavar=("S1", "S2"), nargs=2, type=seed, help=text)
    text = "show where the location at a pixel of the picture looks"
    how.add_argument("--attention", metavar=("Y", "X"), nargs=2, type=int, help=text)
    options = parser.parse_args()
    out, last = Path(options.out), options.seed + options.count - 1
    if out.suffix.lower() != ".png":
        fail(f"--out {out}: name a file that ends in .png")
    if not out.parent.is_dir():
        fail(f"--out {out}: there is no folder {out.parent}")
    if options.count < 1:
        fail(f"--count {options.count}: draw 1 picture or more")
    if last > LAST_SEED:
        fail(f"--count {options.count}: the last seed would be {last}; seeds end at {LAST_SEED}")
    if not abs(options.truncation) <= float(np.finfo(np.float32).max):
        fail(f"--truncation {options.truncation}: give a finite number, such as 0.8")
    page, png = draw(Model(options.model), options), io.BytesIO()
    page.save(png, "PNG")  # in memory, so that a file is written whole or not at all
    try:
        out.write_bytes(png.getvalue())
    except OSError as error:
        fail(f"--out {out}: {error.strerror}")
    print(str(out).encode(errors="backslashreplace").decode())


if __name__ == "__main__":
    main()
