"""Runs side by side."""

import json
import shutil

import pytest
from PIL import Image

from keras_sagan.cli import compare as compare_command
from keras_sagan.cli import program

HISTORY = """\
step,discriminator_loss,fid,generator_attention8_gamma,generator_loss,real_logits,steps_per_second
2,1.5,,0.01,0.5,0.1,1
4,1.25,80.5,0.02,0.75,0.2,4
6,1.125,,0.03,0.875,0.3,2
"""


def compare(*arguments):
    parser = program.Parser()
    compare_command.add_arguments(parser)
    return program.run(compare_command.run, parser.parse_args([*map(str, arguments)]))


@pytest.fixture
def make(trained_run, tmp_path):
    """Makes a folder of a run with a history and maybe an evaluation."""

    def folder(name, history=HISTORY, evaluation=None):
        path = tmp_path / name
        (path / "logs").mkdir(parents=True)
        shutil.copy(trained_run[0] / "config.yaml", path)
        if history is not None:
            (path / "logs" / "history.csv").write_text(history)
        if evaluation is not None:
            (path / "evaluation.json").write_text(json.dumps(evaluation))
        return path

    return folder


def evaluation(samples=100, **metrics):
    pictures = {"samples": samples, "run": str(metrics), "checkpoint": str(metrics)}
    return {"metrics": metrics, "protocol": {"pictures": pictures, "extractor": {"name": "x"}}}


def cells(output):
    lines = [line for line in output.splitlines() if "  " in line]
    return {line[:40].split("  ")[0].strip(): line.split()[-2:] for line in lines[1:]}


def test_a_table_and_curves(make, tmp_path, capsys):
    one = make("one", evaluation=evaluation(fid=12.5, kid={"value": 0.5, "standard_error": 0.25}))
    other = make("other", HISTORY.replace("6,1.125", "6,2.5"), evaluation(fid={"value": 3}))
    out = tmp_path / "curves.png"
    assert compare(one, other, "--out", out) == 0
    output, errors = capsys.readouterr()
    assert errors == "" and "warning" not in output
    assert output.splitlines()[0].split() == ["one", "other"]
    assert output.splitlines()[-1] == str(out)
    table = cells(output)
    assert table["steps"] == ["6", "6"] and table["images seen"] == ["48", "48"]  # batches of 8
    assert table["steps a second (median)"] == ["2", "2"]
    assert table["discriminator_loss"] == ["1.125", "2.5"]
    assert table["fid"] == ["80.5", "80.5"]  # the last that there is
    assert table["fid (evaluation)"] == ["12.5", "3"]
    assert "0.5 ± 0.25" in output
    assert Image.open(out).width > Image.open(out).height > 300


def test_minutes_are_of_all_steps(make, tmp_path, capsys):
    history = "step,discriminator_loss,steps_per_second\n600,1,10\n1800,1,5\n"
    run = make("one", history)
    assert compare(run, "--out", tmp_path / "x.png") == 0
    # 600 steps in 60 s and 1200 in 240 s.
    assert cells(capsys.readouterr().out)["minutes of steps"][-1] == "5.0"


def test_runs_of_one_name_are_told_apart(make, tmp_path, capsys):
    assert compare(make("a/run"), make("b/run"), "--out", tmp_path / "x.png") == 0
    head = capsys.readouterr().out.splitlines()[0].split()
    assert head == [str(tmp_path / "a/run"), str(tmp_path / "b/run")]


def test_figures_of_other_protocols_are_told(make, tmp_path, capsys):
    runs = make("one", evaluation=evaluation(100, fid=1)), make("b", evaluation=evaluation(fid=2))
    assert compare(*runs, "--out", tmp_path / "x.png") == 0
    assert "warning" not in capsys.readouterr().out  # of other runs they are, of course
    third = make("c", evaluation=evaluation(50, fid=1))
    assert compare(*runs, third, "--out", tmp_path / "x.png") == 0
    assert "for these differ: pictures.samples\n" in capsys.readouterr().out


def test_a_row_that_was_cut_off_is_left_out(make, tmp_path, capsys):
    assert compare(make("one", HISTORY + "8,1.0"), "--out", tmp_path / "x.png") == 0
    assert cells(capsys.readouterr().out)["steps"][-1] == "6"


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (None, "has no history yet"),
        ("", "has no history yet"),
        ("step,fid\n", "has no history yet"),
        ("step,fid\n1,many\n", "is damaged"),
    ],
)
def test_a_run_without_history_is_named(make, tmp_path, capsys, history, message):
    runs = make("good"), make("bad", history)
    assert compare(*runs, "--out", tmp_path / "x.png") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {runs[1]}") and message in line
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"metrics": {"fid": "low"}}'])
def test_a_damaged_evaluation_is_named(make, tmp_path, capsys, content):
    run = make("one")
    (run / "evaluation.json").write_text(content)
    assert compare(run, "--out", tmp_path / "x.png") == 2
    assert f"{run / 'evaluation.json'} is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "message"), [("x.jpg", "ends in .png"), ("none/x.png", "there is no folder")]
)
def test_files_that_cannot_be_written(make, tmp_path, capsys, out, message):
    assert compare(make("one"), "--out", tmp_path / out) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_a_run_is_named(tmp_path, capsys):
    assert compare(tmp_path, "--out", tmp_path / "x.png") == 2
    assert f"{tmp_path} holds no run" in capsys.readouterr().err
