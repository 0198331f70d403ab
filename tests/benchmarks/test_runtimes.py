import subprocess
import sys

import numpy as np
import pytest
from generators import tiny
from programs import REPOSITORY, run

from benchmarks import contest, runtimes
from keras_sagan.exporting import convert_to_tflite

pytestmark = pytest.mark.slow

# Draws all black with XNNPACK, a fifth of white without, and nothing in two threads.
FAKE = """
import sys
sys.path.insert(0, {benchmarks!r})
import numpy as np
from take_turns import take_turns

def prepare(settings):
    assert settings["threads"] == 1, "too many threads"
    level = 0 if settings["xnnpack"] else 51
    images = np.full((len(np.load(settings["inputs"])["sample/seed"]), 2, 2, 3), level, np.uint8)
    np.savez(settings["outputs"], **{{"sample/image": images}})
    return {{"task": lambda: None}}

take_turns(prepare)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    pytest.importorskip("ai_edge_quantizer")
    folder, generator = tmp_path_factory.mktemp("export"), tiny(num_classes=3)
    for precision in ("float32", "float16"):
        file, _ = convert_to_tflite(generator, precision)
        (folder / f"generator_{precision}.tflite").write_bytes(file)
    (folder / "labels.txt").write_text("a\nb\nc\n")
    return sorted(folder.iterdir())[:2]


def test_a_runtime_draws_what_it_draws(files, monkeypatch):
    monkeypatch.setattr(runtimes, "_THREADS", (1,))
    pythons = {"gone": "/not/there", "here": sys.executable}
    rows = {row["name"]: row for row in runtimes.compare(files, pythons, rounds=2)}
    assert len(rows) == 8
    for precision in ("float32", "float16"):
        for xnnpack in ("XNNPACK", "no XNNPACK"):
            gone = rows[f"generator_{precision}, gone, {xnnpack}, 1 thread"]
            assert gone["error"] == "/not/there: No such file or directory"
            here = rows[f"generator_{precision}, here, {xnnpack}, 1 thread"]
            assert here["equal"] > 0.99 and here["levels"] <= 1
            assert here["db_to_float32"] is None or here["db_to_float32"] > 40
            assert len(here["turns"]) == 2 and 0 < here["seconds"] < 1
    same = rows["generator_float16, here, XNNPACK, 1 thread"]
    assert same["equal"] == 1 and same["levels"] == 0 and same["db"] is None


def test_differences_are_to_the_newest_with_xnnpack_and_errors_are_rows(
    files, monkeypatch, tmp_path
):
    monkeypatch.setattr(runtimes, "SCRIPT", tmp_path / "fake.py")
    runtimes.SCRIPT.write_text(FAKE.format(benchmarks=str(REPOSITORY / "benchmarks")))
    monkeypatch.setattr(runtimes, "_THREADS", (1, 2))
    right, wrong, *others = runtimes.compare(files[:1], {"here": sys.executable}, rounds=1)
    assert (right["equal"], right["levels"], right["db"]) == (1, 0, None)
    assert (wrong["equal"], wrong["levels"]) == (0, 51)
    assert wrong["db"] == pytest.approx(20 * np.log10(5))
    assert [row["error"] for row in others] == ["AssertionError: too many threads"] * 2
    lines = list(contest.table([right, wrong, *others], runtimes.COLUMNS))
    assert lines[0].split() == ["equal", "%", "levels", "dB", "to", "float32", "ms"]
    assert lines[2].split()[-4:-1] == ["0.000", "51", "14.0"]
    assert "cannot run: AssertionError" in lines[3]


def test_a_file_that_cannot_be_loaded_says_so_in_one_line(files, monkeypatch, tmp_path):
    monkeypatch.setattr(runtimes, "_THREADS", (1,))
    monkeypatch.setattr(runtimes, "write_inputs", lambda file, path: np.savez(path) or 1)
    broken = tmp_path / "generator_float32.tflite"
    broken.write_bytes(b"no model")
    row, _ = runtimes.compare([broken], {"here": sys.executable}, rounds=1)
    assert row["error"].startswith("RuntimeError: loading: ")


def test_environments_are_made_once(tmp_path, capfd):
    folder = tmp_path / "environments" / "pip"
    python = runtimes.environment(folder, "pip", sys.executable)
    process = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True)
    assert process.stdout.decode().strip() == str(folder)
    assert runtimes.environment(folder, "pip", "/not/there") == python
    assert "not/there" not in capfd.readouterr().err
    runtimes.environment(tmp_path / "other", "pip", "/not/there")
    assert "not/there" in capfd.readouterr().err


def test_help_is_quick_and_mistakes_are_one_line(tmp_path):
    process = run("-X", "importtime", "-m", "benchmarks.runtimes", "--help")
    assert process.returncode == 0 and "--environments" in process.stdout
    imported = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert not {"keras", "tensorflow", "ai_edge_litert"} & imported
    for arguments in ([tmp_path], [tmp_path, "--rounds", "0"], [tmp_path / "none"]):
        process = run("-m", "benchmarks.runtimes", *arguments, "--environments", tmp_path / "e")
        assert process.returncode == 2
        (line,) = process.stderr.splitlines()
        assert line.startswith("error: ") and (str(arguments[0]) in line or "--rounds" in line)
    assert not (tmp_path / "e").exists()
