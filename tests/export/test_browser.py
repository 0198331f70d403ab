"""The exported files in Chromium and Node.js, by LiteRT.js, and the examples for both."""

import shutil
import subprocess

import numpy as np
import pytest
from browser import in_browser, missing, packed, unpacked
from generators import levels, tiny, trained
from PIL import Image
from programs import REPOSITORY

from keras_sagan.exporting import PRECISIONS, convert_to_tflite
from keras_sagan.exporting.metadata import add_metadata
from keras_sagan.exporting.quantize import psnr
from keras_sagan.sampling.latents import numpy_normal

litert = pytest.importorskip("ai_edge_litert.interpreter")

NODE = REPOSITORY / "export" / "examples" / "node"
CLASSES = ["disc", "ring", "bars"]
SEEDS = (0, 7, 2**31 - 1)
LATENT_DIM = 8
in_chromium = pytest.mark.skipif(missing() is not None, reason=missing() or "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All four files of a small generator, as an export has them."""
    folder = tmp_path_factory.mktemp("export")
    export(trained("dcgan", len(CLASSES), attention=(8,), latent_dim=LATENT_DIM), folder)
    return folder


def export(generator, folder):
    for precision in PRECISIONS:
        file, _ = convert_to_tflite(generator, precision)
        file = add_metadata(file, "generator", "Draws pictures.", CLASSES)
        (folder / f"generator_{precision}.tflite").write_bytes(file)
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))


def requests(signature):
    """Inputs of a signature, in every class."""
    for i, seed in enumerate(SEEDS):
        label = {"label": np.array([i % len(CLASSES)], np.int32)}
        if signature == "generate":
            yield {"latent": numpy_normal([seed], LATENT_DIM), **label}
        else:
            truncation = np.array([1 - 0.2 * i], np.float32)
            label = {} if signature == "latents" else label
            yield {"seed": np.array([seed], np.int32), "truncation": truncation, **label}


def in_python(folder, precision, signature):
    path = str(folder / f"generator_{precision}.tflite")
    call = litert.Interpreter(path).get_signature_runner(signature)
    return [call(**request) for request in requests(signature)]


def called(folder, accelerator, signatures, precisions=PRECISIONS):
    """Calls signatures of files in the browser; by precision the results, and LiteRT's log."""
    calls = [(name, packed(request)) for name in signatures for request in requests(name)]
    tasks = [
        {
            "kind": "call",
            "path": f"generator_{precision}.tflite",
            "accelerator": accelerator,
            "calls": calls,
        }
        for precision in precisions
    ]
    answers = dict(zip(precisions, in_browser(folder, tasks), strict=True))
    for answer in answers.values():
        assert "error" not in answer, answer
        assert answer["result"]["accelerator"] == accelerator  # or LiteRT.js fell back on another
        answer["results"] = [*map(unpacked, answer["result"]["results"])]
    return answers


def images(results):
    return np.concatenate([result["image"] for result in results])


def apart(results, expected):
    """The most grey levels between pictures, and how many of their values are equal."""
    difference = np.abs(levels(images(results)) - levels(images(expected)))
    return difference.max(), (difference == 0).mean()


@in_chromium
def test_webassembly_draws_the_pictures_of_python(folder):
    signatures = ("sample", "generate", "attend", "latents")
    answers = called(folder, "wasm", signatures)
    for precision, answer in answers.items():
        results = iter(answer["results"])
        for signature in signatures:
            expected = in_python(folder, precision, signature)
            found = [next(results) for _ in expected]
            if signature != "latents":
                most, equal = apart(found, expected)
                print(f"{precision} {signature}: {most} levels, {equal:.4f} equal")
                assert most <= 1 and equal >= 0.99, (precision, signature)
            for one, other in zip(found, expected, strict=True):
                assert one.keys() == other.keys()
                for name in one.keys() - {"image"}:
                    assert one[name] == pytest.approx(other[name], abs=0.02)


def check_webgpu(folder):
    """float32 and float16 as on the CPU; the others at least as true to float32 as there.

    dynamic_int8 is truer: the GPU computes with activations of float32.
    """
    answers = called(folder, "webgpu", ["generate"])
    reference = in_python(folder, "float32", "generate")
    assert images(reference).std() > 0.2
    for precision, answer in answers.items():
        expected = in_python(folder, precision, "generate")
        most, equal = apart(answer["results"], expected)
        own, here = (psnr(images(x), images(reference)) for x in (expected, answer["results"]))
        print(f"{precision}: {most} levels, {equal:.4f} equal, {here:.1f} dB, {own:.1f} on the CPU")
        if precision in ("float32", "float16"):
            assert most <= {"float32": 1, "float16": 2}[precision]
        else:
            assert here > own - 1


@in_chromium
def test_webgpu_draws_the_pictures_of_python(folder):
    check_webgpu(folder)


@in_chromium
@pytest.mark.slow
@pytest.mark.parametrize("options", [{"family": "resnet"}, {"family": "dcgan", "image_size": 64}])
def test_webgpu_draws_the_pictures_of_other_networks(options, tmp_path):
    export(trained(num_classes=len(CLASSES), latent_dim=LATENT_DIM, **options), tmp_path)
    check_webgpu(tmp_path)


@in_chromium
@pytest.mark.parametrize(
    "precision",
    [pytest.param(x, marks=[pytest.mark.slow] * (x != "float16")) for x in PRECISIONS],
)
def test_all_of_generate_runs_on_the_gpu(precision, tmp_path):
    generator = trained("dcgan", len(CLASSES), attention=(8,), latent_dim=LATENT_DIM)
    file, _ = convert_to_tflite(generator, precision, signatures=["generate"])
    (tmp_path / f"generator_{precision}.tflite").write_bytes(file)
    log = called(tmp_path, "webgpu", ["generate"], [precision])[precision]["log"]
    assert any("Initializing WebGPU-based API" in line for line in log)
    assert not [line for line in log if "run on the CPU" in line or "not supported" in line]


@in_chromium
def test_javascript_makes_the_same_latents(tmp_path):
    tasks = [{"kind": "latent", "seed": x, "length": 128, "truncation": 0.7} for x in SEEDS]
    for seed, answer in zip(SEEDS, in_browser(tmp_path, tasks, webgpu=False), strict=True):
        expected = np.float32(0.7) * numpy_normal([seed], 128)[0]
        # 32-bit integers are equal; NumPy then goes on in float32, JavaScript in float64.
        assert answer["result"] == pytest.approx(expected, abs=3e-6)


def opened(folder, *queries, webgpu=True):
    """What the example shows for addresses, or (address, changes of the form)."""
    tasks = []
    for query in queries:
        query, change = query if isinstance(query, tuple) else (query, {})
        tasks.append({"kind": "open", "url": f"/web/index.html?{query}", "change": change})
    answers = [answer["result"] for answer in in_browser(folder, tasks, webgpu)]
    for answer in answers:
        pixels = np.array(answer["pixels"], np.uint8)
        answer["picture"] = pixels.reshape(answer["height"], answer["width"], 4)
    return answers


def drawn(folder, precision, seed, label, truncation):
    """The picture of `sample` in Python, opaque."""
    path = str(folder / f"generator_{precision}.tflite")
    sample = litert.Interpreter(path).get_signature_runner("sample")
    inputs = {"seed": np.int32([seed]), "truncation": np.float32([truncation])}
    if label is not None:
        inputs["label"] = np.int32([label])
    image = sample(**inputs)["image"][0]
    return np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)


@in_chromium
def test_the_example_draws(folder):
    at = "model=/generator_{}.tflite&seed=7&label=2&truncation=0.8"
    plain = tiny()
    file, _ = convert_to_tflite(plain)
    (folder / "generator_plain.tflite").write_bytes(file)
    file, _ = convert_to_tflite(tiny(len(CLASSES)), signatures=["generate"])
    (folder / "generator_alone.tflite").write_bytes(file)
    file, _ = convert_to_tflite(plain, batch_size=3)
    (folder / "generator_threes.tflite").write_bytes(file)
    wasm, webgpu, changed, alone, plain, *threes = opened(
        folder,
        at.format("dynamic_int8"),
        at.format("float16") + "&accelerator=webgpu",
        (at.format("float32"), {"seed": 8, "label": 1, "truncation": -1}),
        at.format("alone"),
        "model=/generator_plain.tflite",
        "model=/generator_threes.tflite",
        "model=/generator_threes.tflite&accelerator=webgpu",
    )
    assert wasm["said"].startswith("wasm: ") and webgpu["said"].startswith("webgpu: ")
    for page, expected in (
        (wasm, drawn(folder, "dynamic_int8", 7, 2, 0.8)),
        (webgpu, drawn(folder, "float16", 7, 2, 0.8)),
        (changed, drawn(folder, "float32", 8, 1, -1)),
        *((page, drawn(folder, "plain", 7, None, 1)) for page in (plain, *threes)),
    ):
        assert page["picture"].shape == expected.shape
        assert np.abs(page["picture"].astype(int) - expected).max() <= 1
    assert wasm["classes"] == CLASSES and plain["classes"] == []
    assert alone["picture"].shape == (2, 2, 4)  # of generate, where there is no sample


@in_chromium
def test_the_example_says_what_is_wrong(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "without").mkdir()
    shutil.copy(folder / "generator_float32.tflite", tmp_path / "without")
    (tmp_path / "broken.tflite").write_bytes(b"not a model")
    queries = {
        "model=/nothing.tflite": "/nothing.tflite: 404",
        "model=/broken.tflite": "Failed to load model",
        "model=/without/generator_float32.tflite": "/without/labels.txt: 404",
        "model=/generator_float32.tflite&label=3": "label: ",
        "model=/generator_float32.tflite&seed=-1": "seed: ",
        "model=/generator_float32.tflite&truncation=much": "truncation: ",
        "model=/generator_float32.tflite&accelerator=gpu": "Invalid accelerator: gpu",
        "model=/generator_float32.tflite&accelerator=webgpu": "no WebGPU device",
    }
    pages = opened(tmp_path, *queries, webgpu=False)
    for page, words in zip(pages, queries.values(), strict=True):
        assert page["said"].startswith("Error: ") and words in page["said"]
        assert page["width"] == 0


def node_misses():
    """What has to be installed before the example for Node.js runs, or None."""
    if shutil.which("node") is None:
        return "no Node.js: apt-get install nodejs"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if tuple(map(int, version.strip("v\n").split("."))) < (20, 15):
        return f"Node.js {version.strip()}, which has no zlib.crc32: 20.15 or newer is needed"
    if not (NODE / "node_modules" / "@litertjs").is_dir():
        return "no LiteRT.js: npm install in export/examples/node"
    return None


in_node = pytest.mark.skipif(node_misses() is not None, reason=node_misses() or "")


def node(*arguments):
    command = ["node", NODE / "draw.mjs", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


@in_node
@pytest.mark.parametrize(
    "precision",
    [pytest.param(x, marks=[pytest.mark.slow] * (x != "dynamic_int8")) for x in PRECISIONS],
)
def test_the_example_for_node_draws(precision, folder, tmp_path):
    out = tmp_path / "x.png"
    options = ["--seed", 7, "--label", "bars", "--truncation", 0.8, "--out", out]
    process = node(folder / f"generator_{precision}.tflite", *options)
    assert (process.returncode, process.stdout, process.stderr) == (0, f"{out}\n", "")
    picture, expected = np.asarray(Image.open(out)), drawn(folder, precision, 7, 2, 0.8)[..., :3]
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).max() <= 1


@in_node
def test_the_example_for_node_draws_with_a_file_of_larger_batches(tmp_path):
    generator = tiny()
    for name, batch_size in (("plain", 1), ("threes", 3)):
        file, _ = convert_to_tflite(generator, batch_size=batch_size)
        (tmp_path / f"generator_{name}.tflite").write_bytes(file)
    out = tmp_path / "x.png"
    process = node(
        tmp_path / "generator_threes.tflite", "--seed", 7, "--truncation=-1", "--out", out
    )
    assert process.returncode == 0, process.stderr
    expected = drawn(tmp_path, "plain", 7, None, -1)[..., :3].astype(int)
    assert np.abs(np.asarray(Image.open(out)) - expected).max() <= 1


@in_node
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give MODEL.tflite"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "2147483648"], "--seed 2147483648: seeds are from 0 to 2147483647"),
        (["--truncation", "much"], "--truncation much: give a finite number"),
        ([], "--label is missing: the classes are disc, ring, bars"),
        (["--label", "3"], "--label 3: the classes are disc, ring, bars"),
    ],
)
def test_the_example_for_node_says_what_is_wrong(arguments, words, folder, tmp_path):
    out = tmp_path / "x.png"
    where = [] if words.startswith("give") else [folder / "generator_float32.tflite", "--out", out]
    process = node(*where, *arguments)
    assert process.returncode == 2 and not out.exists()
    assert process.stderr.startswith("error: ") and process.stderr.count("\n") == 1
    assert words in process.stderr
