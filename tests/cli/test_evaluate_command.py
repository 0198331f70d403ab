import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from programs import run_here

from keras_sagan.data import paired_shapes
from keras_sagan.metrics.features import extractor
from keras_sagan.running.run_folder import Run
from keras_sagan.sampling import Sampler

EVALUATE = ("-m", "keras_sagan.cli", "evaluate")


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Five hundred real pictures, and a cache of the test's own."""
    monkeypatch.setenv("KERAS_SAGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(paired_shapes.PairedShapes.__init__, "__defaults__", (0, 500))


@pytest.fixture
def folder(trained_run, tmp_path):
    """A copy of the run."""
    return shutil.copytree(trained_run[0], tmp_path / "run")


@pytest.fixture(scope="module")
def drawn(trained_run, tmp_path_factory):
    """The first 200 pictures of the run in a folder, with their classes, and in an array."""
    images = Sampler(Run(trained_run[0]).load_generator()).sample(range(200))
    path = tmp_path_factory.mktemp("drawn")
    for i, image in enumerate(images):
        file = path / str(i % 10) / f"{i:03d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(file)
    return path, images


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Real pictures in a folder."""
    path = tmp_path_factory.mktemp("real")
    images, labels = paired_shapes.draw(np.random.default_rng(0), 120)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        file = path / str(label) / f"{i:03d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(file)
    return path


def write_statistics(path, size=96):
    np.savez(path, mu=np.zeros(size), sigma=np.eye(size))
    return path


def test_a_run_is_judged_by_its_protocol(folder, drawn):
    process = run_here(*EVALUATE, folder, "--samples", 200)
    assert process.returncode == 0, process.stderr
    # Of subsets and of classes with few pictures, once each.
    warnings = process.stderr.splitlines()
    assert len(warnings) == 2 and all(line.startswith("warning: the ") for line in warnings)
    result = json.loads((folder / "evaluation.json").read_text())
    figures = result["metrics"]
    assert set(figures) == {
        *("fid", "kid", "inception_score", "intra_fid", "precision", "recall"),
        *("density", "coverage", "class_accuracy"),
    }
    *lines, last = process.stdout.splitlines()
    assert last == str(folder / "evaluation.json")
    assert [line.split()[0] for line in lines] == list(figures)
    found = extractor("paired_shapes")
    logits = found.extract(drawn[1]).logits
    assert figures["class_accuracy"] == np.mean(logits.argmax(axis=1) == np.arange(200) % 10)
    protocol = result["protocol"]
    assert protocol["pictures"] == {
        **{"samples": 200, "seeds": [0, 199], "truncation": 1.0, "run": str(folder)},
        **{"checkpoint": "00000006", "ema": Run(folder).config().train.ema},
        "generator_sha256": protocol["pictures"]["generator_sha256"],
    }
    assert protocol["extractor"]["name"] == "paired_shapes"
    assert protocol["extractor"]["sha256"] == found.checksum
    assert protocol["reference"] == {
        **{"name": "paired_shapes", "seed": 0, "pictures": 500, "image_size": 32}
    }


def test_a_folder_of_the_same_pictures_has_the_same_figures(folder, drawn, tmp_path):
    metrics = ("--metrics", "fid", "precision_recall", "--extractor", "paired_shapes")
    reference = ("--reference", write_statistics(tmp_path / "x.npz"))
    found = []
    for path in (folder, drawn[0]):
        process = run_here(
            *(*EVALUATE, path, *metrics[:2], *metrics[3:], *reference),
            *("--samples", 200, "--out", tmp_path / "x.json"),
        )
        assert process.returncode == 0, process.stderr
        found.append(json.loads((tmp_path / "x.json").read_text()))
    # Batches of other pictures, whose last digits differ by the order of sums in float32.
    assert found[0]["metrics"]["fid"] == pytest.approx(found[1]["metrics"]["fid"], rel=1e-5)
    for name in ("extractor", "reference"):
        assert found[0]["protocol"][name] == found[1]["protocol"][name]
    assert not (folder / "evaluation.json").exists()


def test_real_pictures_of_a_folder(drawn, real):
    given = ("--data", real, "--extractor", "paired_shapes", "--metrics", "fid", "class_accuracy")
    process = run_here(*EVALUATE, drawn[0], *given)
    assert process.returncode == 0, process.stderr
    assert [line.split()[0] for line in process.stdout.splitlines()] == ["fid", "class_accuracy"]
    # A folder has none of its own to put the figures into.
    assert not [*drawn[0].glob("*.json")]
    itself = run_here(*EVALUATE, real, *given)
    fid, of_itself = (float(p.stdout.split()[1]) for p in (process, itself))
    assert abs(of_itself) < 1e-6 < fid


def test_the_best_checkpoint_is_judged(folder):
    run = Run(folder)
    run.checkpoint(3).rename(run.checkpoints / "best-00000003")
    process = run_here(
        *(*EVALUATE, folder, "--best", "--samples", 20, "--metrics", "class_accuracy")
    )
    assert process.returncode == 0, process.stderr
    result = json.loads((folder / "evaluation.json").read_text())
    assert result["protocol"]["pictures"]["checkpoint"] == "best-00000003"
    assert set(result["metrics"]) == {"class_accuracy"}


@pytest.mark.slow
def test_a_sweep_of_truncations(folder):
    process = run_here(*EVALUATE, folder, "--samples", 20, "--sweep-truncation", "--metrics", "fid")
    assert process.returncode == 0, process.stderr
    result = json.loads((folder / "evaluation.json").read_text())
    points = {point["truncation"]: point for point in result["truncation_sweep"]}
    assert list(points) == [0.3, 0.45, 0.6, 0.75, 0.9, 1.0, 1.1, 1.2]
    assert points[1.0]["fid"] == pytest.approx(result["metrics"]["fid"], rel=1e-9)
    assert points[0.3]["fid"] != points[1.0]["fid"]
    assert all(0 <= p[name] <= 1 for p in points.values() for name in ("precision", "recall"))
    assert process.stdout.splitlines()[-1] == str(folder / "truncation.png")
    with Image.open(folder / "truncation.png") as picture:
        assert picture.size == (550, 440)


def _mistakes(folder, tmp_path):
    """Arguments, and what is said of them, by name."""
    one = tmp_path / "one"
    one.mkdir()
    Image.new("RGB", (32, 32)).save(one / "a.png")
    text = tmp_path / "text.npz"
    text.write_text("mu and sigma")
    text.with_suffix(".tflite").write_text("a model")
    small = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    small.save(tmp_path / "small.keras")
    few = ("--samples", 20)
    reference = write_statistics(tmp_path / "known.npz")
    drawings = ("--extractor", "paired_shapes")
    pictures = folder / "samples"
    return {
        "no run": ((tmp_path / "none",), "there is no such run, file or folder"),
        "no metric": ((folder, "--metrics", "ssim"), "invalid choice: 'ssim'"),
        "one picture": ((one, *drawings), "one holds one picture: figures need at least two"),
        "one sample": ((folder, "--samples", 1), "--samples 1: figures need at least two"),
        "seeds": ((folder, "--seed", 2**31 - 5, *few), "seeds would go beyond 2147483647"),
        "text": ((folder, "--reference", text, *few), "text.npz: "),
        "none": ((folder, "--reference", tmp_path / "no.npz", *few), "No such file"),
        "of others": (
            (folder, "--reference", write_statistics(tmp_path / "y.npz", 7), *few),
            "both must come from one extractor",
        ),
        "statistics": (
            (folder, "--reference", reference, "--metrics", "kid", *few),
            "metric kid needs the features of real pictures one by one: give --data DIR",
        ),
        "sweep": (
            (folder, "--reference", reference, "--sweep-truncation", *few),
            "--sweep-truncation needs the features of real pictures one by one: give --data DIR",
        ),
        "size": ((pictures, "--image-size", 64, *drawings), "32x32, and these are 64x64"),
        "no classes": (
            (folder, "--extractor", tmp_path / "small.keras", "--metrics", "inception_score"),
            "metric inception_score needs an extractor with classes, which small.keras is not",
        ),
        "no extractor": ((folder, "--extractor", "vgg"), "there is no extractor 'vgg'"),
        "no data": ((folder, "--data", tmp_path / "none"), "none"),
        "two": ((folder, "--data", folder, "--reference", reference), "not allowed with"),
        "no best": ((folder, "--best"), "has no best checkpoint"),
        "best of a folder": ((pictures, "--best"), "are of runs, and"),
        "no place": ((folder, "--out", tmp_path / "none" / "x.json"), "there is no folder"),
        "no file": ((text.with_suffix(".tflite"),), "not a TF Lite file"),
        "no classifier": (
            (pictures, "--extractor", "classifier"),
            "--extractor classifier needs data with classes: give --data DIR",
        ),
    }


NAMES = (
    *("no run", "no metric", "one picture", "one sample", "seeds", "text", "none", "of others"),
    *("statistics", "sweep", "size", "no classes", "no extractor", "no data", "two", "no best"),
    *("best of a folder", "no place", "no file", "no classifier"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_one_line(folder, tmp_path, name):
    mistakes = _mistakes(folder, tmp_path)
    assert set(mistakes) == set(NAMES)
    arguments, said = mistakes[name]
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    process = run_here(*EVALUATE, *arguments)
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.startswith("error: ") and process.stderr.count("\n") == 1
    assert said in process.stderr
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
