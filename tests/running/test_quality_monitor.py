"""Figures while training: of a model that only draws, and of runs."""

import hashlib
import json
import shutil
import types

import keras
import numpy as np
import pytest
from extractors import Projection, statistics
from gans import make_gan
from programs import run_here, train_arguments
from run_files import rows

import keras_sagan
from keras_sagan.data import paired_shapes
from keras_sagan.errors import InputError
from keras_sagan.metrics import frechet_distance
from keras_sagan.metrics.features import reference
from keras_sagan.metrics.frechet import KnownStatistics
from keras_sagan.running import quality_monitor
from keras_sagan.running.quality_monitor import QualityMonitor, figures_of
from keras_sagan.running.run_folder import Run

pytestmark = pytest.mark.filterwarnings("ignore:.* needs at least")  # more pictures than here

IMAGES, LABELS = paired_shapes.draw(np.random.default_rng(1), 400)


class Drawing:
    """Stands in for a `GAN`: at each step its pictures are as far off as it is told."""

    conditional = True
    generator = types.SimpleNamespace(num_classes=10)

    def __init__(self, distances, step=0):
        self.distances, self.step = distances, step
        self.seeds = []

    def sample_batches(self, seeds, labels, truncation):
        self.seeds.append(np.asarray(seeds).tolist())
        images = IMAGES[: len(seeds)] - np.minimum(IMAGES[: len(seeds)], self.distances[self.step])
        for start in range(0, len(seeds), 64):
            yield images[start : start + 64]


@pytest.fixture(scope="module")
def real():
    found = Projection().extract(IMAGES).features
    whole = statistics(found)
    known = KnownStatistics(whole.mean, whole.covariance, 400)
    return reference.Reference(known, None, found, {})


def follow(monitor, model, steps, epoch=1):
    """Takes a monitor through steps; returns the logs of each epoch."""
    monitor.set_model(model)
    monitor.on_train_begin()
    found = []
    for i in range(steps):
        model.step += 1
        monitor.on_train_batch_end(i)
        if (i + 1) % epoch == 0:
            logs = {"step": model.step}
            monitor.on_epoch_end(i // epoch, logs)
            found.append(logs)
    return found


def test_figures_reach_the_logs_once_an_evaluation(real):
    model = Drawing([0, 90, 60, 30, 60, 90, 30])
    monitor = QualityMonitor(
        Projection(), real, every=3, metrics=("fid", "kid", "precision_recall"), samples=100
    )
    logs = follow(monitor, model, 6)
    assert ["fid" not in each for each in logs] == [True, True, False, True, True, False]
    assert {*logs[0]} == {"step"} and {*logs[2]} == {"step", "fid", "kid", "precision", "recall"}
    images = IMAGES[:100] - np.minimum(IMAGES[:100], 30)
    of_all = statistics(Projection().extract(images).features)
    expected = frechet_distance(of_all, real.statistics)
    # Sums in float64, batch by batch.
    assert [logs[i]["fid"] for i in (2, 5)] == pytest.approx([expected] * 2, rel=1e-9)
    assert model.seeds == [list(range(100))] * 2  # always the same


def test_a_metric_that_cannot_be_had_is_named_before_the_first_step(real):
    monitor = QualityMonitor(Projection(), real, every=1, metrics=("fid", "intra_fid"))
    with pytest.raises(InputError, match="^metric intra_fid needs the same classes"):
        follow(monitor, Drawing([0, 30]), 1)


def test_an_epoch_of_several_steps_has_its_figures(real):
    model = Drawing([0, 90, 60, 30, 60, 90, 30])
    logs = follow(QualityMonitor(Projection(), real, 4, samples=100), model, 6, epoch=2)
    assert ["fid" not in each for each in logs] == [True, False, True]


@pytest.mark.parametrize(
    ("metrics", "saved"), [(("fid", "precision_recall"), [1, 3]), (("density_coverage",), [1, 3])]
)
def test_what_is_best_is_saved(real, metrics, saved):
    model = Drawing([0, 90, 120, 30, 60])
    steps = []
    monitor = QualityMonitor(
        Projection(), real, 1, metrics, 100, save_best=lambda _: steps.append(model.step)
    )
    logs = follow(monitor, model, 4)
    figures = [each[figures_of(metrics)[0]] for each in logs]
    assert steps == saved, figures
    assert (figures[2] < figures[0]) == (metrics[0] == "fid")


@pytest.mark.parametrize(
    ("judged", "saved"),
    [
        ({}, [3]),
        ({"samples": 90}, [2, 3]),
        ({"figure": "kid"}, [2, 3]),
        ({"extractor": ""}, [2, 3]),
    ],
)
def test_a_run_that_goes_on_knows_its_best_by_the_same_figure(real, judged, saved):
    best = []
    first = QualityMonitor(Projection(), real, 1, samples=100, save_best=best.append)
    logs = follow(first, Drawing([0, 30]), 1)
    expected = {
        "figure": "fid",
        "samples": 100,
        "extractor": Projection().checksum,
        "value": logs[0]["fid"],
    }
    assert best == [expected]
    model = Drawing([0, 30, 60, 29], step=1)
    steps = []
    monitor = QualityMonitor(
        *(Projection(), real, 1),
        samples=100,
        save_best=lambda _: steps.append(model.step),
        best={**expected, **judged},
    )
    follow(monitor, model, 2)
    assert steps == saved


@pytest.mark.parametrize("seconds", [100, 1000])
def test_a_word_on_evaluation_that_takes_long(real, monkeypatch, capsys, seconds):
    class Slow(Projection):
        def extract(self, images):
            clock[0] += 15  # for each of two batches
            return super().extract(images)

    clock = [0.0]
    monkeypatch.setattr(quality_monitor, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    model = Drawing([0] * 3)
    monitor = QualityMonitor(Slow(), real, 1, samples=100)
    monitor.set_model(model)
    monitor.on_train_begin()
    for batch in range(2):
        clock[0] += seconds
        monitor.on_train_batch_end(batch)
    # 30 seconds of 130, or of 1030.
    expected = "\nevaluation takes 23% of the time: do it less often, or of less\n"
    assert capsys.readouterr().err == (expected if seconds == 100 else "")  # once


@pytest.mark.slow
def test_keras_shows_and_compares_the_figures_of_a_fit(real, tmp_path, capsys):
    gan = make_gan(num_classes=10)
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.weights.h5",
        monitor="fid",
        mode="min",
        save_best_only=True,
        save_weights_only=True,
    )
    monitor = keras_sagan.callbacks.QualityMonitor(Projection(), real, every=2, samples=20)
    history = gan.fit(
        IMAGES[:16], LABELS[:16], batch_size=8, epochs=3, verbose=1, callbacks=[monitor, best]
    ).history["fid"]
    better = [i + 1 for i in range(3) if history[i] == min(history[: i + 1])]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{i}.weights.h5" for i in better]
    shown = capsys.readouterr().out
    assert all(f"fid: {value:.4f}" in shown for value in history)


def test_names_of_figures():
    assert figures_of(["kid", "precision_recall", "density_coverage"]) == [
        *("kid", "precision", "recall", "density", "coverage")
    ]


class FewShapes(paired_shapes.PairedShapes):
    """Five hundred pictures, which note what is read of them in batches of training."""

    def __init__(self, seed=0):
        super().__init__(seed, 500)

    def read(self, indices):
        if len(indices) == 8:
            self.trained_on.update(np.asarray(indices).tolist())
        return super().read(indices)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory):
    """A run that was evaluated at steps 2 and 4 of 5 and kept 40 of 500 pictures out."""
    folder = tmp_path_factory.mktemp("monitored")
    FewShapes.trained_on = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_SAGAN_CACHE", str(folder / "cache"))
        patch.setattr(paired_shapes, "PairedShapes", FewShapes)
        settings = (
            *("evaluate.every_steps=2", "evaluate.samples=100", "evaluate.held_out=40"),
            *("evaluate.metrics=[fid, class_accuracy]", "train.log_every=1", "train.steps=5"),
        )
        process = run_here(*train_arguments(folder / "run", *settings))
    assert process.returncode == 0, process.stderr
    return folder / "run", process


def test_a_run_has_figures_in_its_history(monitored):
    folder, process = monitored
    found = rows(folder)
    assert [row["step"] for row in found] == list("12345")
    for name in ("fid", "class_accuracy"):
        assert [bool(row[name]) for row in found] == [False, True, False, True, False]
    assert all(np.isfinite(float(row["val_real_logits"])) for row in found)
    assert "consistency of 1000 samples" in process.stdout  # as of a run that keeps none out


def test_the_best_checkpoint_is_of_the_best_figure(monitored):
    folder, _ = monitored
    figures = {int(row["step"]): float(row["fid"]) for row in rows(folder) if row["fid"]}
    best = min(figures, key=figures.get)
    assert Run(folder).best_checkpoint().name == f"best-{best:08d}"
    assert len([*(folder / "checkpoints").glob("best-*")]) == 1
    assert Run(folder).checkpoint_steps() == [3, 5]
    Run(folder).load_generator(Run(folder).best_checkpoint())


def test_pictures_that_are_held_out_are_not_trained_on(monitored):
    order = np.random.default_rng(0).permutation(500)  # as of `held_out`, seed 0
    assert FewShapes.trained_on and FewShapes.trained_on <= set(order[40:].tolist())


def test_a_best_checkpoint_replaces_the_one_before(tmp_path):
    saved = []

    class Saved:
        step = 0

        def save_weights(self, path):
            path.write(b"weights")

        class sampler:
            @staticmethod
            def save(path):
                path.write_bytes(b"%d" % Saved.step)

    run = Run(tmp_path)
    with pytest.raises(InputError, match="no best checkpoint: train with evaluate.every_steps"):
        run.best_checkpoint()
    for step in (4, 8, 8, 6):
        Saved.step = step
        run.save_best_checkpoint(Saved(), {"value": step})
        assert run.best_by() == {"value": step}
        saved.append([path.name for path in run.checkpoints.iterdir()])
        assert (run.best_checkpoint() / "generator.keras").read_bytes() == b"%d" % step
    assert saved == [[f"best-{step:08d}"] for step in (4, 8, 8, 6)]
    assert run.checkpoint_steps() == []
    (run.best_checkpoint() / "best.json").write_text('{"value": 1}')  # not as it was written
    assert run.best_by() is None


@pytest.mark.slow
def test_a_resumed_run_replaces_its_best_by_a_better_one_alone(monitored, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SAGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(paired_shapes, "PairedShapes", FewShapes)
    folder = tmp_path / "run"
    shutil.copytree(monitored[0], folder)
    run = Run(folder)
    best = run.best_checkpoint()
    # One that nothing reaches.
    (best / "best.json").write_text(json.dumps({**run.best_by(), "value": 1e-3}))
    with (best / "SHA256SUMS").open("a") as file:
        file.write(f"{hashlib.sha256((best / 'best.json').read_bytes()).hexdigest()}  best.json\n")
    resume = ("train.py", "--run-dir", folder, "--resume", "--set")
    process = run_here(*resume, "train.steps=6")
    assert process.returncode == 0, process.stderr
    assert rows(folder)[-1]["fid"] and run.best_checkpoint() == best
    # Other metrics get columns beside the old ones, and a best checkpoint of their own.
    process = run_here(*resume, "train.steps=8", "evaluate.metrics=[precision_recall]")
    assert process.returncode == 0, process.stderr
    assert run.best_by()["figure"] == "precision"
    assert [bool(row["fid"]) for row in rows(folder)] == [i in (1, 3, 5) for i in range(8)]
    assert [bool(row["recall"]) for row in rows(folder)] == [i == 7 for i in range(8)]


@pytest.mark.slow
def test_more_than_one_evaluation_a_row(tmp_path):
    process = run_here(
        *train_arguments(tmp_path / "run", "evaluate.every_steps=2", "train.log_every=3")
    )
    assert process.returncode == 2 and not (tmp_path / "run").exists()
    line = process.stderr.splitlines()[-1]
    assert "evaluate.every_steps is 2, and train.log_every 3: " in line


def test_more_held_out_than_there_is_to_learn_from(tmp_path, monkeypatch):
    monkeypatch.setattr(paired_shapes.PairedShapes.__init__, "__defaults__", (0, 30))
    arguments = train_arguments(tmp_path / "run", "evaluate.held_out=16")
    process = run_here(*arguments)
    assert process.returncode == 2 and not (tmp_path / "run").exists()
    assert process.stderr == "error: evaluate.held_out is 16, more than half of the 30 images\n"
