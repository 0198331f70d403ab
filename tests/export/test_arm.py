"""The exported files on 64-bit Arm, emulated, against the same files here: make test-arm."""

import os
import shutil
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from generators import check_same_pictures, levels, trained
from PIL import Image
from programs import REPOSITORY

from keras_sagan.exporting import PRECISIONS, convert_to_tflite
from keras_sagan.exporting.device import device_model
from keras_sagan.exporting.metadata import add_metadata
from keras_sagan.exporting.tflite import converted
from keras_sagan.models import map_shapes
from keras_sagan.sampling import generator_inputs
from keras_sagan.sampling.inference import inference_model

ROOT = REPOSITORY / ".arm"
EMULATOR, PYTHON = ROOT / "usr/bin/qemu-aarch64", ROOT / "usr/bin/python3"
pytestmark = [
    pytest.mark.arm,
    pytest.mark.slow,
    pytest.mark.skipif(not ROOT.exists(), reason=f"no {ROOT.name}; make test-arm makes it"),
]

# Raspberry Pi 4, which has no dot products of int8; Raspberry Pi 5, which has; all that there is.
PROCESSORS = ("cortex-a72", "cortex-a76", "max")
SEEDS = range(32)

# Calls every signature of the files of folder 1 with the inputs of file 2; writes to file 3.
DRAW = """
import platform, sys
from importlib.metadata import version
from pathlib import Path
import numpy as np
from ai_edge_litert.interpreter import Interpreter
folder, inputs, out = sys.argv[1:]
inputs, outputs = np.load(inputs), {}
for path in Path(folder).glob("*.tflite"):
    interpreter = Interpreter(model_path=str(path))
    for signature in interpreter.get_signature_list():
        call = interpreter.get_signature_runner(signature)
        wanted = {name: inputs[name] for name in call.get_input_details()}
        answers = [
            call(**{name: value[i : i + 1] for name, value in wanted.items()})
            for i in range(len(inputs["seed"]))
        ]
        for name in answers[0]:
            values = np.concatenate([answer[name] for answer in answers])
            outputs[f"{path.stem}/{signature}/{name}"] = values
np.savez(out, **outputs)
print(platform.machine(), version("ai-edge-litert"), version("numpy"), platform.python_version())
"""

# Measures what the tensors of file 1 span, with every signature, as int8 needs; writes to file 3.
CALIBRATE = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
file, inputs, out = sys.argv[1:]
inputs = np.load(inputs)
requests = {
    name: [{key: inputs[key][i : i + 1] for key in signature["inputs"]} for i in range(4)]
    for name, signature in Interpreter(file).get_signature_list().items()
}
spans = quantizer.Quantizer(file, recipe.static_wi8_ai8()).calibrate(requests)
np.savez(out, **{name: [span["min"].min(), span["max"].max()] for name, span in spans.items()})
"""


def on_arm(processor, *arguments):
    """Runs Python on an emulated processor; returns what it printed."""
    return output([EMULATOR, "-cpu", processor, "-L", ROOT, PYTHON, *arguments])


def here(*arguments):
    """Runs Python; returns what it printed."""
    return output([sys.executable, *arguments])


def output(command):
    environment = {"PATH": os.environ["PATH"]}  # this Python's variables are not for that one
    process = subprocess.run(
        [*map(str, command)], env=environment, capture_output=True, text=True, timeout=900
    )
    assert process.returncode == 0, f"{process.returncode}: {process.stderr}"
    return process.stdout


class Exported:
    """A folder as the export leaves it, the inputs of each signature, and what it draws here."""

    def __init__(self, folder):
        self.folder = folder
        self.generator = trained("dcgan", 3, attention=(8, 16))
        shutil.copy(REPOSITORY / "keras_sagan" / "exporting" / "sample.py", folder)
        for precision in PRECISIONS:
            file, _ = convert_to_tflite(self.generator, precision)
            maps = map_shapes(self.generator)
            file = add_metadata(file, "generator", "Draws.", ["a", "b", "c"], maps)
            (folder / f"generator_{precision}.tflite").write_bytes(file)
        self.inputs = folder / "inputs.npz"
        inputs = generator_inputs(self.generator, SEEDS)
        truncation = np.linspace(0.5, 1.0, len(SEEDS), dtype=np.float32)
        np.savez(self.inputs, seed=np.int32(SEEDS), truncation=truncation, **inputs)
        self.versions, self.outputs = self.draw(here)

    def draw(self, run, *options):
        """Calls every signature in another process; returns its versions, and the outputs."""
        out = self.folder / "outputs.npz"
        versions = run(*options, "-c", DRAW, self.folder, self.inputs, out).split()
        with np.load(out) as outputs:
            return versions, dict(outputs)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return Exported(tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module", params=PROCESSORS)
def drawn(request, exported):
    """What an emulated processor draws, in the same version of LiteRT."""
    (machine, *versions), outputs = exported.draw(on_arm, request.param)
    assert machine == "aarch64" and versions[:2] == exported.versions[1:3]
    return outputs


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_signature_gives_what_it_gives_here(precision, exported, drawn):
    assert drawn.keys() == exported.outputs.keys()
    names = [name for name in drawn if name.startswith(f"generator_{precision}/")]
    assert len(names) == 6  # three pictures, two maps, a latent
    for name in names:
        found, expected = drawn[name], exported.outputs[name]
        assert found.dtype == expected.dtype and found.std() > 0
        if name.endswith("/image"):
            difference = np.abs(levels(found) - levels(expected))
            equal = (difference == 0).mean()
            print(f"{name}: {equal:.4%} equal, at most {difference.max()} levels apart")
            assert equal >= 0.999
            # int8 alone may be further off: sums of attention, in float, differ in the last bit,
            # and where one then rounds to the next int8, some pixels move by several levels.
            assert difference.max() <= 1 or precision == "int8"
        else:
            difference = np.abs(found - expected).max()
            print(f"{name}: at most {difference:.1e} apart, of {expected.max():.2f}")
            # Of float the last bits, through all layers; of int8 also roundings.
            assert difference <= (1e-4 if precision.startswith("float") else 1e-2)


def test_the_sampler_draws_the_same_sheet(exported, tmp_path):
    """As a person runs it on a Raspberry Pi 4."""
    arguments = exported.folder / "sample.py", exported.folder / "generator_float32.tflite"
    arguments += "--count", 8, "--seed", 5, "--label", "b"
    sheets = {"here.png": here, "arm.png": partial(on_arm, PROCESSORS[0])}
    for name, run in sheets.items():
        assert run(*arguments, "--out", tmp_path / name) == f"{tmp_path / name}\n"
    expected, found = (np.asarray(Image.open(tmp_path / name)) for name in sheets)
    assert expected.std() > 30
    check_same_pictures(found, expected)


def test_int8_can_be_calibrated_there(exported, tmp_path):
    """The quantiser calls every signature too, and sees the same numbers."""
    file, out = tmp_path / "float32.tflite", tmp_path / "spans.npz"
    # As the export gives it to the quantiser, which needs the names of tensors.
    file.write_bytes(converted(device_model(inference_model(exported.generator)), 1, 3))
    spans = []
    for run in (here, partial(on_arm, PROCESSORS[0])):
        run("-c", CALIBRATE, file, exported.inputs, out)
        with np.load(out) as found:
            spans.append(dict(found))
    expected, found = spans
    assert len(expected) > 50 and found.keys() == expected.keys()
    for name in expected:
        assert found[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-4), name
