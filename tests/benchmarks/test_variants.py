import json
import subprocess
import sys

import pytest
from programs import REPOSITORY, SMALL

from benchmarks import variants
from keras_sagan.running.run_folder import Run

CONFIG = REPOSITORY / "configs" / "paired_shapes.yaml"


def run(*arguments):
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "benchmarks.variants",
        *map(str, arguments),
    ]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_help_needs_no_tensorflow():
    process = run("--help")
    assert process.returncode == 0 and "--variant attention" in process.stdout
    assert "tensorflow" not in process.stderr and " keras\n" not in process.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", CONFIG, "--runs", "x"], "--variant"),
        (
            ["--config", CONFIG, "--runs", "x", "--variant", "a", "--variant", "a"],
            "a is given twice",
        ),
        (["--config", "none.yaml", "--runs", "x", "--variant", "a"], "none.yaml: there is no such"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments, message):
    process = run(*arguments)
    line = process.stderr.splitlines()[-1]
    assert process.returncode == 2 and line.startswith("error: ") and message in line


def test_a_row_is_the_mean_of_the_seeds_and_their_deviation():
    rows = [{"variant": "a", "seed": seed, "fid": 1.0 + 2 * seed} for seed in range(3)]
    summaries = [variants.summary("a", rows), variants.summary("b", rows[:1])]
    assert summaries == [("a", {"fid": (3.0, 2.0)}), ("b", {"fid": (1.0, 0.0)})]
    assert variants.table(summaries) == ["          a       b", "fid  3 +- 2  1 +- 0"]


@pytest.mark.slow
def test_variants_are_trained_and_judged_and_go_on(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SAGAN_CACHE", str(tmp_path / "cache"))
    command = (
        *("--config", CONFIG, "--runs", tmp_path, "--seeds", 5, "--together", 2),
        *("--samples", 200),
        *("--variant", "with", *SMALL, "--variant", "without", *SMALL, "model.attention=[]"),
    )
    for steps in (2, 3):
        out = tmp_path / "out.json"
        process = run(*command, "--steps", steps, "--out", out)
        assert process.returncode == 0, process.stderr
        rows = json.loads(out.read_text())["rows"]
        assert [(row["variant"], row["seed"], row["steps"]) for row in rows] == [
            (name, 5, steps) for name in ("with", "without")
        ]
        assert all({"fid", "recall", "class_accuracy", "consistency"} <= set(row) for row in rows)
    config = Run(tmp_path / "without-5").config()
    assert config.model.attention == [] and config.train.seed == 5
