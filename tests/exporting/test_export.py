"""`python -m export`, as a person runs it."""

import hashlib
import importlib
import json
import math
import pkgutil
import shutil
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from programs import run, run_here

from keras_sagan import exporting
from keras_sagan.data.paired_shapes import CLASS_NAMES
from keras_sagan.errors import InputError
from keras_sagan.exporting import PRECISIONS
from keras_sagan.exporting.report import Report
from keras_sagan.running.run_folder import Run
from keras_sagan.sampling import generator_inputs

pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")
pytest.importorskip("tensorflow_serving")

pytestmark = pytest.mark.slow

FILES = [
    *(f"generator_{precision}.tflite" for precision in PRECISIONS),
    "generate_only_dynamic_int8.tflite",
]


@pytest.fixture(scope="module")
def exported(trained_run, tmp_path_factory):
    """A run, and the process that exported it."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    shutil.copytree(trained_run[0], folder)
    process = run("-m", "export", folder)
    assert process.returncode == 0, process.stderr
    return Run(folder), process


@pytest.fixture
def run_copy(exported, tmp_path):
    shutil.copytree(exported[0].path, tmp_path / "run")
    return Run(tmp_path / "run")


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_everything_is_there(exported):
    folder = exported[0].export
    others = {"int8_worst.png", "labels.txt", "manifest.json", "report.json", "sample.py"}
    others.add("saved_model")
    assert {path.name for path in folder.iterdir()} == {*FILES} | others
    assert (folder / "labels.txt").read_text().splitlines() == list(CLASS_NAMES)
    assert (folder / "saved_model/1/assets.extra/tf_serving_warmup_requests").stat().st_size
    for name in FILES:
        with zipfile.ZipFile(folder / name) as archive:
            assert archive.read("labels.txt").decode().splitlines() == list(CLASS_NAMES)
    assert [path.name for path in folder.parent.glob("export*")] == ["export"]


def test_the_program_beside_the_files_draws_with_them(exported, tmp_path):
    folder, out = exported[0].export, tmp_path / "sheet.png"
    drawn = run(folder / "sample.py", folder / "generator_float32.tflite", "--out", out, cwd="/")
    assert (drawn.returncode, drawn.stdout) == (0, f"{out}\n"), drawn.stderr
    program = run("-m", "export.sample", folder / "generator_float32.tflite", "--help")
    assert program.returncode == 0 and "usage: sample.py" in program.stdout


def test_the_saved_model_is_the_averaged_generator(exported):
    generator = exported[0].load_generator()
    inputs = generator_inputs(generator, range(2))
    loaded = tf.saved_model.load(str(exported[0].export / "saved_model" / "1"))
    image = loaded.signatures["generate"](**{k: tf.constant(v) for k, v in inputs.items()})
    np.testing.assert_allclose(image["image"], generator.predict(inputs, verbose=0), atol=1e-5)


def test_the_report_says_what_each_file_costs(exported):
    folder, printed = exported[0].export, exported[1].stdout
    report = json.loads((folder / "report.json").read_text())
    assert report["pictures"] == 256 and report["batch_size"] == 1 and report["cores"] >= 1
    assert [row["file"] for row in report["files"]] == FILES
    assert min(report["files"], key=lambda row: row["mb"])["file"] == FILES[-1]
    for row in report["files"]:
        assert row["mb"] == (folder / row["file"]).stat().st_size / 1e6
        assert 0 < row["ms_all_cores"] < 1000 and 0 < row["ms_1_core"] < 1000
        assert 10 < row["peak_mb"] < 400  # that of TensorFlow would be larger
        assert row["worst_psnr_db"] <= row["psnr_db"] and 0 <= row["worst_seed"] < 256
        (line,) = [x for x in printed.splitlines() if x.startswith(row["file"])]
        assert f"{row['mb']:.2f}" in line and f"{row['psnr_db']:.1f}" in line
        assert row["left_to_the_cpu"] == {} and line.endswith("whole")
    assert "  worst on seed" in printed
    assert Image.open(folder / "int8_worst.png").size == (2 * 64 + 2, 64)


def test_the_program_shows_a_table_and_nothing_else(exported):
    source, process = exported
    assert process.stderr == ""
    lines = process.stdout.splitlines()
    assert lines[0] == "SavedModel ..." and lines[-1] == f"written: {source.export}"
    (header,) = (i for i, line in enumerate(lines) if line.startswith("file "))
    rows = [line for line in lines[header + 1 : -1] if not line.startswith("  ")]
    assert [row.split()[0] for row in rows] == FILES
    assert {len(row) for row in rows} == {len(lines[header])}


def test_the_manifest_holds(exported):
    source = exported[0]
    manifest = json.loads((source.export / "manifest.json").read_text())
    files = contents(source.export)
    del files["manifest.json"]
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert manifest["files"] == sums
    weights = (source.checkpoint(source.last_step()) / "generator.keras").read_bytes()
    assert manifest["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert manifest["config"]["model.latent_dim"] == 8 and manifest["step"] == source.last_step()
    assert manifest["versions"]["tensorflow"] == tf.__version__
    loaded = tf.saved_model.load(str(source.export / "saved_model" / "1"))
    for name, contract in manifest["signatures"].items():
        signature = loaded.signatures[name]
        for said, specs in (
            (contract["inputs"], signature.structured_input_signature[1]),
            (contract["outputs"], signature.structured_outputs),
        ):
            assert said.keys() == specs.keys()
            for key, spec in specs.items():
                assert said[key]["dtype"] == spec.dtype.name
                sizes = ["batch" if size is None else size for size in spec.shape]
                assert said[key]["shape"] == sizes
    told = manifest["tflite"]
    assert [*told] == FILES and told[FILES[-1]]["signatures"] == ["generate"]
    assert {name: said["oldest_runtime"] for name, said in told.items()} == {
        **dict.fromkeys(FILES[:-1], "TensorFlow Lite 2.13.0"),
        FILES[-1]: "TensorFlow Lite 2.8.0",
    }
    attended = manifest["signatures"]["attend"]["outputs"]
    maps = [said for said in attended.values() if "keys" in said]
    assert maps and all(
        said["shape"][1:] == [math.prod(said["queries"]), math.prod(said["keys"])] for said in maps
    )
    for name in FILES:  # by which the sampler finds where the maps lie
        sizes = json.loads(zipfile.ZipFile(source.export / name).read("attention.json"))
        assert list(sizes.values()) == [{k: said[k] for k in ("queries", "keys")} for said in maps]


def test_another_export_is_replaced_only_if_told(run_copy):
    before = contents(run_copy.export)
    process = run_here("-m", "export", run_copy.path, "--quantize", "float32")
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1] == (
        f"error: {run_copy.export} holds an export already: add --overwrite to replace it"
    )
    assert contents(run_copy.export) == before
    process = run_here(
        "-m", "export", run_copy.path, "--quantize", "float32", "--batch", "2", "--overwrite"
    )
    assert process.returncode == 0, process.stderr
    after = {path.name for path in run_copy.export.iterdir()}
    assert after == {
        *("generator_float32.tflite", "labels.txt", "manifest.json", "report.json", "sample.py"),
        *("generate_only_float32.tflite", "saved_model"),
    }  # fmt: skip
    assert json.loads((run_copy.export / "report.json").read_text())["batch_size"] == 2
    assert [path.name for path in run_copy.path.glob("export*")] == ["export"]


def test_an_export_that_fails_leaves_the_old_one(run_copy):
    before = contents(run_copy.export)
    lines = run_copy.classes.read_text().splitlines()
    run_copy.classes.write_text("\n".join([*lines[:-1], " "]) + "\n")
    process = run_here("-m", "export", run_copy.path, "--quantize", "float32", "--overwrite")
    assert process.returncode == 2
    assert "classes.txt: a class name must be one line of text, got ' '" in process.stderr
    assert contents(run_copy.export) == before
    assert [path.name for path in run_copy.path.glob("export*")] == ["export"]
    run_copy.classes.write_text("only one\n")
    process = run_here("-m", "export", run_copy.path, "--overwrite")
    assert process.returncode == 2
    assert "classes.txt has 1 lines, but the run has 10 classes" in process.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quantize", "int4"], "argument --quantize: invalid choice: 'int4' (choose from "),
        (["--batch", "0"], "argument --batch: 0 is not at least 1"),
        (["--batch", "many"], "argument --batch: many is not a whole number"),
    ],
)
def test_mistakes_are_one_line(exported, arguments, message):
    process = run("-m", "export", exported[0].path, *arguments)
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1 and process.stderr.startswith(f"error: {message}")


def test_two_exports_of_a_run_do_not_mix(run_copy):
    before = contents(run_copy.export)
    with run_copy.exporting(overwrite=True) as folder:
        (folder / "new").write_text("whole")
        process = run_here("-m", "export", run_copy.path, "--overwrite")
        assert process.returncode == 2
        assert f"{run_copy.path} is being exported by another process" in process.stderr
        assert contents(run_copy.export) == before
    assert contents(run_copy.export) == {"new": b"whole"}


def test_an_export_killed_while_it_was_replaced_comes_back(run_copy):
    before = contents(run_copy.export)
    run_copy.export.rename(run_copy.path / "export.old")
    with pytest.raises(OSError), run_copy.exporting(overwrite=True):
        raise OSError("the disk is full")
    assert contents(run_copy.export) == before
    run_copy.export.rename(run_copy.path / "export.old")
    with pytest.raises(InputError, match="add --overwrite"), run_copy.exporting(overwrite=False):
        pass
    assert contents(run_copy.export) == before


def test_an_export_that_is_no_folder_stays(run_copy, tmp_path):
    run_copy.export.rename(tmp_path / "elsewhere")
    run_copy.export.symlink_to(tmp_path / "elsewhere")
    process = run_here("-m", "export", run_copy.path, "--overwrite")
    assert process.returncode == 2
    assert f"{run_copy.export} is not a folder: move it away" in process.stderr
    assert (tmp_path / "elsewhere" / "report.json").exists()


def test_the_last_whole_checkpoint_is_exported(run_copy):
    path = run_copy.checkpoint(6) / "generator.keras"
    path.write_bytes(path.read_bytes()[:1000])
    process = run_here("-m", "export", run_copy.path, "--overwrite", "--quantize", "float32")
    assert process.returncode == 0, process.stderr
    assert process.stderr.splitlines()[0] == (
        f"warning: {path}: missing or damaged; the checkpoint of step 3 is used"
    )
    manifest = json.loads((run_copy.export / "manifest.json").read_text())
    assert manifest["step"] == 3
    run_copy.checkpoint(3).rename(run_copy.checkpoints / "best-00000003")
    command = ("-m", "export", run_copy.path, "--overwrite", "--quantize", "float32", "--best")
    process = run_here(*command)
    assert process.returncode == 0, process.stderr
    best = json.loads((run_copy.export / "manifest.json").read_text())
    assert {key: best[key] for key in ("step", "weights_sha256")} == {
        key: manifest[key] for key in ("step", "weights_sha256")
    }


def test_a_run_without_checkpoint_is_named(run_copy, tmp_path):
    shutil.rmtree(run_copy.checkpoints)
    process = run("-m", "export", run_copy.path)
    assert process.returncode == 2
    assert process.stderr == f"error: {run_copy.path} holds no checkpoint yet\n"
    process = run("-m", "export", tmp_path)
    assert process.returncode == 2
    assert process.stderr == f"error: {tmp_path} holds no run (it has no config.yaml)\n"


def test_a_file_that_does_not_run_is_an_error(exported, tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    report = Report(exported[0].load_generator())
    with pytest.raises(RuntimeError, match=r"broken\.tflite does not run"):
        report.measure(tmp_path / "broken.tflite")


def test_what_the_package_gives_stays_what_it_is():
    """Importing a module of a package puts it there under its name."""
    for module in pkgutil.iter_modules(exporting.__path__, f"{exporting.__name__}."):
        if not module.name.endswith(".run_tflite"):  # a program
            importlib.import_module(module.name)
    for name in exporting.__all__:
        assert name == "PRECISIONS" or callable(getattr(exporting, name))
