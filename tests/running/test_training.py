import shutil

import numpy as np
import pytest
from PIL import Image
from programs import run, run_here, train_arguments
from run_files import rows, weights
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from keras_sagan.running import config, training
from keras_sagan.running.run_folder import Run

RNG = np.random.default_rng(0)


def test_a_run_folder_holds_what_is_promised(trained_run):
    folder, process = trained_run
    assert [path.name for path in sorted((folder / "samples").iterdir())] == [
        "00000004.png",
        "00000006.png",
    ]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        "00000003",
        "00000006",
    ]
    assert [row["step"] for row in rows(folder)] == ["2", "4", "6"]
    assert float(rows(folder)[0]["images_per_second"]) > 0
    (events,) = (folder / "logs").glob("events.out.tfevents.*")
    losses = {
        event.step: value.tensor.float_val[0]
        for event in EventFileLoader(str(events)).Load()
        for value in event.summary.value
        if value.tag == "generator_loss"
    }
    # Events have them in float32.
    expected = {int(row["step"]): float(row["generator_loss"]) for row in rows(folder)}
    assert losses == pytest.approx(expected, rel=1e-6)
    with Image.open(folder / "samples" / "00000006.png") as sheet:
        # 10 classes of 2 pictures, 32 pixels enlarged to 64, 2 pixels between.
        assert sheet.size == (2 * 66 - 2, 10 * 66 - 2)
    with Image.open(folder / "attention" / "00000006_attention8.png") as sheet:
        assert sheet.size == (5 * 66 - 2, 6 * 66 - 2)
    assert f"pictures: {folder / 'samples' / '00000006.png'}" in process.stdout
    assert "step 6/6" in process.stdout and "left" in process.stdout


def test_sheets_draw_the_saved_generator(trained_run, tmp_path):
    folder, _ = trained_run
    for name, run_sample in (("a.png", run), ("b.png", run_here)):
        process = run_sample(
            *("-m", "keras_sagan.cli", "sample", folder, "--seed", 5, "--count", 3),
            *("--label", 2, "--truncation", 0.7, "--out", tmp_path / name),
        )
        assert process.returncode == 0, process.stderr
        assert (process.stdout, process.stderr) == (f"{tmp_path / name}\n", "")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    from keras_sagan.sampling import sample
    from keras_sagan.sampling.sheets import sheet

    images = sample(Run(folder).load_generator(), [5, 6, 7], [2, 2, 2], 0.7)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(sheet(images, 3)))


def test_a_step_of_one_replica_is_compiled_if_the_config_says_so():
    small = ["model.width=8", "model.latent_dim=8"]
    for synchronized, given, compiled in (
        (False, "true", True),
        (True, "true", False),  # XLA on TensorFlow has nothing that replicas could wait for
        (False, "false", False),
    ):
        loaded = config.load("configs/paired_shapes.yaml", [*small, f"train.jit_compile={given}"])
        assert training.make_gan(loaded, synchronized).jit_compile is compiled


@pytest.mark.slow
def test_a_config_of_compiled_steps_trains_on_pytorch_too(tmp_path):
    arguments = train_arguments(tmp_path / "run", "train.steps=1", "train.jit_compile=true")
    process = run(*arguments, env={"KERAS_BACKEND": "torch"})
    assert process.returncode == 0, process.stderr
    assert Run(tmp_path / "run").last_step() == 1


@pytest.mark.slow
def test_only_the_last_checkpoints_are_kept(tmp_path):
    folder = tmp_path / "run"
    process = run_here(*train_arguments(folder, "checkpoints.every=1", "checkpoints.keep=2"))
    assert process.returncode == 0, process.stderr
    assert Run(folder).checkpoint_steps() == [5, 6]


def check_error(process, *parts):
    """One line that says all parts, exit code 2."""
    assert process.returncode == 2, process.stdout + process.stderr
    lines = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in process.stderr
    for part in parts:
        assert str(part) in lines[0]


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_run_is_not_overwritten(trained_run):
    folder, _ = trained_run
    before = snapshot(folder)
    check_error(run_here(*train_arguments(folder)), folder, "already holds a run", "--resume")
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("assignment", "parts"),
    [
        ("model.width=16", ("model.width is 16", "started with 8")),
        ("augmentation.target=0.5", ("augmentation.policies is ['color'", "started with None")),
        ("loss.lecam=0.3", ("loss.lecam is 0.3", "started with 0")),
    ],
)
def test_resuming_another_run_is_named(trained_run, assignment, parts):
    folder, _ = trained_run
    before = snapshot(folder)
    arguments = [*train_arguments(folder, assignment), "--resume"]
    check_error(run_here(*arguments), *parts)
    assert snapshot(folder) == before


def test_fewer_steps_than_there_were_are_named(trained_run):
    folder, _ = trained_run
    process = run_here("train.py", "--run-dir", folder, "--resume", "--set", "train.steps=5")
    check_error(process, "train.steps is 5", "is at step 6")
    assert Run(folder).config().train.steps == 6


def test_a_config_that_contradicts_the_checkpoint_is_named(trained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained_run[0], folder)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("width: 8", "width: 16"))
    before = snapshot(folder)
    check_error(
        run_here("train.py", "--run-dir", folder, "--resume"), "does not fit", "config.yaml"
    )
    assert snapshot(folder) == before


@pytest.mark.slow
def test_a_run_without_a_checkpoint_starts_again(trained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained_run[0], folder)
    shutil.rmtree(folder / "checkpoints")
    process = run_here("train.py", "--run-dir", folder, "--resume", "--set", "train.steps=3")
    assert process.returncode == 0, process.stderr
    assert Run(folder).last_step() == 3
    assert [row["step"] for row in rows(folder)] == ["2", "3"]


@pytest.mark.slow
def test_a_partial_checkpoint_does_not_count(trained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained_run[0], folder)
    (folder / "checkpoints" / "partial-00000009").mkdir()
    process = run_here("train.py", "--run-dir", folder, "--resume", "--set", "train.steps=7")
    assert process.returncode == 0, process.stderr
    assert Run(folder).last_step() == 7


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--set", "model.attention=[5]"], ["attention lists 5", "4, 8, 16"]),
        (["--set", "model.image_size=64"], ["image_size is 64", "paired_shapes has 32"]),
        (["--set", "model.num_classes=7"], ["num_classes is 7", "10 classes"]),
        (
            ["--set", "model.num_classes=null", "train.fake_labels=uniform"],
            ["fake_labels is 'uniform'", "no classes"],
        ),
        (["--set", "data.name=no_such_set"], ["'no_such_set'", "--data FOLDER"]),
        (["--set", "data.cache=caches"], ["data.cache is", "in memory as it is", "null"]),
        (["--data", "/no/such/folder"], ["/no/such/folder is not a folder"]),
        (["--resume"], ["holds no run"]),
        (["--run-dir", "train.py/run"], ["train.py/run", "Not a directory"]),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path, arguments, parts):
    folder = tmp_path / "run"
    base = ["train.py", "--config", "configs/paired_shapes.yaml", "--run-dir", folder]
    check_error(run_here(*base, *arguments), *parts)
    assert not folder.exists()


@pytest.mark.slow
def test_a_folder_of_images_trains_and_lists_what_it_skipped(tmp_path):
    pictures = tmp_path / "pictures"
    for name in ("cat", "dog"):
        (pictures / name).mkdir(parents=True)
        for i in range(12):
            array = RNG.integers(0, 256, (40, 36, 3)).astype("uint8")
            Image.fromarray(array).save(pictures / name / f"{i}.jpg")
    (pictures / "dog" / "3.jpg").write_bytes(b"broken")
    folder = tmp_path / "run"
    arguments = train_arguments(folder, "model.attention=null", "model.num_classes=auto")
    process = run_here(*arguments, "--data", pictures)
    assert process.returncode == 0, process.stderr
    assert Run(folder).config().model.num_classes == 2
    (line,) = (folder / "skipped_images.txt").read_text().splitlines()
    assert line.startswith(f"{pictures}/dog/3.jpg\t")
    for i in range(4, 7):
        (pictures / "dog" / f"{i}.jpg").write_bytes(b"broken")
    process = run_here(
        *train_arguments(tmp_path / "other", "model.num_classes=2"), "--data", pictures
    )
    check_error(process, "of the 24 images", "more than one in ten")


def test_data_is_read_from_the_cache_that_a_config_names(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(3):
        array = RNG.integers(0, 256, (8, 8, 3)).astype("uint8")
        Image.fromarray(array).save(pictures / f"{i}.png")
    given = "configs/image_folder64.yaml", [f"data.cache={tmp_path / 'caches'}"], pictures
    loaded = config.load(*given)
    source = training.make_source(loaded)
    source.fill()
    assert [path.name[:12] for path in (tmp_path / "caches").glob("[!.]*")] == ["pictures-64-"]
    plain, _ = training.make_source(config.load(given[0], [], pictures)).read(range(3))
    np.testing.assert_array_equal(source.read(range(3))[0], plain)
    # Where it stands does not make it another run.
    run_folder = Run(tmp_path / "run")
    run_folder.create(loaded)
    other = config.load(given[0], ["data.cache=null"], pictures)
    assert training.resumed_config(run_folder, other).data.cache is None


@pytest.mark.slow
def test_a_run_from_a_cache_is_the_run_without_it(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(30):
        array = RNG.integers(0, 256, (40, 36, 3)).astype("uint8")
        Image.fromarray(array).save(pictures / f"{i:02d}.jpg")
    (pictures / "13.jpg").write_bytes(b"broken")
    options = ["model.attention=null", "model.num_classes=null", "train.deterministic=true"]
    options += ["train.steps=4", "data.flip=true"]
    cache = f"data.cache={tmp_path / 'caches'}"
    printed = {}
    for name, more in {"plain": [], "made": [cache], "found": [cache]}.items():
        arguments = train_arguments(tmp_path / name, *options, *more)
        process = run(*arguments, "--data", pictures)
        assert process.returncode == 0, process.stderr
        printed[name] = process.stdout
        log = (tmp_path / name / "skipped_images.txt").read_text()
        assert log.startswith(f"{pictures}/13.jpg\t") and log.count("\n") == 1
        assert "1 image could not be read" in process.stdout
    assert "MB in" in printed["made"] and "data.cache" not in printed["found"]
    plain = weights(tmp_path / "plain", 4)
    for name in ("made", "found"):
        for path, value in weights(tmp_path / name, 4).items():
            np.testing.assert_array_equal(value, plain[path], path)


def test_a_non_finite_loss_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    folder = tmp_path / "run"
    options = [
        "train.steps=60",
        "checkpoints.every=1",
        "loss.name=least_squares",
        "optimizer.discriminator_learning_rate=3",
        "model.spectral_norm=false",
        "model.discriminator_hidden_units=0",  # it would leave no step to keep
    ]
    process = run_here(*train_arguments(folder, *options))
    assert process.returncode == 1, process.stdout + process.stderr
    assert "is not finite by step" in process.stderr
    assert "Traceback" not in process.stderr
    last = Run(folder).last_step()
    assert f"step {last + 1}" in process.stderr
    assert f"the checkpoint of step {last} is kept" in process.stderr
    assert all(np.isfinite(value).all() for value in weights(folder, last).values())


def test_help_and_import_are_quick():
    code = "import sys, keras_sagan; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    assert run("-c", code).stdout.split() == ["False", "False"]
    for arguments in (["train.py"], ["-m", "export"], ["-m", "keras_sagan.cli", "sample"]):
        process = run("-X", "importtime", *arguments, "--help")
        assert process.returncode == 0
        assert "tensorflow" not in process.stderr


def test_unknown_classes_of_a_sample_are_named(trained_run, tmp_path):
    folder, _ = trained_run
    sample = ["-m", "keras_sagan.cli", "sample"]
    out = ["--out", tmp_path / "x.png"]
    check_error(run_here(*sample, folder, "--label", 10, *out), "--label 10", "0 to 9")
    check_error(run_here(*sample, tmp_path, *out), "holds no run")
    check_error(run_here(*sample, folder, "--out", tmp_path / "x.gif"), "ends in .png")
    for option in (("--count", 0), ("--seed", -1), ("--truncation", "nan")):
        process = run_here(*sample, folder, *option, *out)
        assert process.returncode == 2 and f"argument {option[0]}" in process.stderr
    assert not list(tmp_path.iterdir())


def test_a_run_without_checkpoint_is_named(trained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained_run[0], folder)
    shutil.rmtree(folder / "checkpoints")
    check_error(run_here("-m", "export", folder), "holds no checkpoint")
    check_error(
        run_here("-m", "keras_sagan.cli", "sample", folder, "--out", tmp_path / "x.png"),
        "holds no checkpoint",
    )
    assert list(tmp_path.iterdir()) == [folder]
