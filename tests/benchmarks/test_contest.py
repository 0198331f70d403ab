import json
import sys

import pytest
from PIL import Image
from programs import REPOSITORY, run

from benchmarks import ours
from benchmarks.contest import Contestant, contest, table
from benchmarks.train_step import add_ceiling_share
from keras_sagan.layers.kernels import reference

SCRIPT = """
import sys, time
sys.path.insert(0, {repository!r})
from benchmarks.take_turns import take_turns

def prepare(settings):
    print("noise on standard output")
    if settings.get("fails") == "at once":
        raise ValueError("has no such thing")
    turns = []
    def task():
        turns.append(None)
        if settings.get("fails") == "later" and len(turns) > 2:
            raise MemoryError("too much")
        with open(settings["log"], "a") as log:
            log.write(settings["name"])
        time.sleep(settings["seconds"])
    return {{"task": task, "flops": 7}}

take_turns(prepare)
"""


@pytest.fixture
def made(tmp_path):
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(SCRIPT.format(repository=str(REPOSITORY)))

    def contestant(name, seconds, **settings):
        settings = {"name": name, "seconds": seconds, "log": str(log), "warmup": 1, **settings}
        return Contestant(name, script, settings)

    return contestant, log


def test_contestants_take_turns_and_are_compared_round_by_round(made):
    contestant, log = made
    rows = contest([contestant("a", 0.05), contestant("b", 0.2)], rounds=3, repeats=2)
    assert log.read_text() == "ab" + "aabb" * 3  # the warm-up first
    assert [row["name"] for row in rows] == ["a", "b"]
    assert rows[0]["seconds"] == pytest.approx(0.05, rel=0.5)
    assert rows[0]["ratio"] == 1 and rows[1]["ratio"] == pytest.approx(4, rel=0.5)
    for row in rows:
        assert len(row["turns"]) == 3 and row["flops"] == 7
        assert 1e6 < row["peak_bytes"] < 1e9
        assert row["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_a_plain_contestant_is_plain(monkeypatch):
    calls = []
    attend = reference.attention
    monkeypatch.setattr(reference, "attention", lambda *args: calls.append(0) or attend(*args))
    settings = {"task": "attention", "shape": [1, 4, 4, 8], "form": "final", "backward": False}
    settings["precision"] = "float32"
    for plain, expected in (([], 0), (["attention"], 1)):
        ours.prepare({**settings, "plain": plain})["task"]()
        assert len(calls) == expected


def test_the_seconds_of_a_task_of_many_parts_are_those_of_one(tmp_path):
    script = tmp_path / "script.py"
    parts = SCRIPT.format(repository=str(REPOSITORY)).replace('"flops": 7', '"parts": 10')
    script.write_text(parts)
    settings = {"name": "a", "seconds": 0.2, "log": str(tmp_path / "log"), "warmup": 0}
    (row,) = contest([Contestant("a", script, settings)], rounds=2)
    assert row["seconds"] == pytest.approx(0.02, rel=0.5)


@pytest.mark.parametrize("classes", [["cat", "dog"], ["."]])
@pytest.mark.parametrize("more", [{}, {"cache": "caches"}])
def test_the_pipeline_reads_folders_with_and_without_classes(tmp_path, monkeypatch, classes, more):
    from benchmarks.ours import input_pipeline
    from keras_sagan import data

    steps, batches = [], data.batches

    def counted(source, *arguments, **options):
        read = source.read
        source.read = lambda indices: (steps.append(None), read(indices))[1]
        return batches(source, *arguments, **options)

    monkeypatch.setattr(data, "batches", counted)

    for name in classes:
        (tmp_path / "pictures" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "pictures" / name / "a.png")
    more = {name: str(tmp_path / folder) for name, folder in more.items()}
    settings = {"folder": str(tmp_path / "pictures"), "image_size": 8, "batch_size": 2}
    about = input_pipeline({**settings, **more, "batches": 50})
    assert about["parts"] == 50
    about["task"]()
    assert 50 <= len(steps) < 100  # all of them, and some ahead
    assert (tmp_path / "caches").exists() == bool(more)


def test_share_of_the_ceiling_is_taken_turn_by_turn():
    # A machine that is half as fast in the second turn and a third in the last.
    ours = {"flops": 6, "turns": [1, 2, 3], "ratio": 1}
    products = {"flops": 5, "turns": [0.5, 1, 1.5], "ratio": 0.5}
    add_ceiling_share(ours, products)
    assert ours["ceiling_share"] == pytest.approx(0.6)
    assert "ratio" not in products
    add_ceiling_share({"error": "out of memory"}, products)


def test_one_that_fails_says_why_and_stops_nobody(made):
    contestant, _ = made
    rows = contest(
        [
            contestant("a", 0.01),
            contestant("b", 0.01, fails="at once"),
            contestant("c", 0.01, fails="later"),
            Contestant("d", "none.py", {"precision": "float32"}, python="/not/there"),
        ],
        rounds=3,
    )
    assert "error" not in rows[0] and len(rows[0]["turns"]) == 3
    assert rows[1]["error"] == "ValueError: has no such thing"
    assert rows[2]["error"] == "MemoryError: too much"
    assert rows[3]["error"] == "/not/there: No such file or directory"
    lines = list(table(rows, {"seconds": lambda row: f"{row['seconds']:.2f}"}))
    assert lines[2] == "b  cannot run: ValueError: has no such thing"
    json.dumps(rows)


@pytest.mark.parametrize(
    "name", ["train_step", "attention", "sample", "input_pipeline", "scaling", "export"]
)
def test_help_is_quick_and_mistakes_are_one_line(name, tmp_path):
    process = run("-X", "importtime", "-m", f"benchmarks.{name}", "--help")
    assert process.returncode == 0 and f"benchmarks.{name}" in process.stdout
    assert not {"keras", "tensorflow", "jax"} & {
        line.rpartition("|")[2].strip() for line in process.stderr.splitlines()
    }
    wrong = [("--rounds", "0"), ("--out", tmp_path / "not" / "there.json")]
    if "--peer" in process.stdout:
        wrong += [("--peer", "nobody=."), ("--peer", f"biggan={tmp_path}/none")]
    for arguments in wrong:
        process = run("-m", f"benchmarks.{name}", *arguments)
        assert process.returncode == 2
        (line,) = process.stderr.splitlines()
        assert line.startswith("error: ") and arguments[0] in line
