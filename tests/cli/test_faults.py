"""Full disks, as a person meets them. That of a checkpoint is in running/test_checkpoints.py."""

import shutil

import pytest
from programs import run, run_here

from keras_sagan.cli import program

SAMPLE = ("-m", "keras_sagan.cli", "sample")


def last_line(process):
    return process.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["x.png", "folder"])
def test_pictures_on_a_full_disk(trained_run, small_disk, name):
    small_disk.fill(left=0)
    out = small_disk.path / name
    process = run_here(*SAMPLE, trained_run[0], "--count", 2, "--out", out)
    assert process.returncode == 1
    assert process.stderr == f"error: --out {out}: No space left on device\n"
    assert [path.name for path in small_disk.path.rglob("*") if path.is_file()] == ["filler"]


@pytest.mark.slow
def test_history_on_a_full_disk(trained_run, small_disk):
    folder = small_disk.path / "run"
    shutil.copytree(trained_run[0], folder)
    history = (folder / "logs" / "history.csv").read_bytes()
    small_disk.fill(left=12_000)  # for the config and a history without later rows, in turn
    command = ("train.py", "--run-dir", folder, "--resume", "--set", "train.steps=9")
    process = run_here(*command, "train.log_every=1")
    assert process.returncode == 1
    assert last_line(process).startswith(
        f"error: {folder}: No space left on device; the checkpoint"
    )
    assert (folder / "logs" / "history.csv").read_bytes().startswith(history)
    assert not list(folder.rglob("*partial*"))


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 300_000])
def test_an_export_to_a_full_disk(trained_run, small_disk, left):
    pytest.importorskip("ai_edge_litert")
    folder = small_disk.path / "run"
    shutil.copytree(trained_run[0], folder)
    (folder / "export").mkdir()
    (folder / "export" / "old").write_text("kept")
    small_disk.fill(left=left)
    process = run_here("-m", "export", folder, "--overwrite", "--quantize", "float32")
    assert process.returncode == 1
    line = last_line(process)
    assert line.startswith(f"error: {folder / 'export'}: ")
    assert line.endswith("No space left on device")
    assert [path.name for path in folder.glob("export*")] == ["export"]
    assert [path.name for path in (folder / "export").iterdir()] == ["old"]


@pytest.mark.slow
def test_no_start_waits_for_what_no_program_needs():
    code = "from keras_sagan.cli import quiet; quiet.start_backend()"
    process = run("-X", "importtime", "-c", code)
    imported = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert "tensorflow" in imported
    for package in ("jax._src", "matplotlib.figure", "scipy.sparse._base"):
        assert package not in imported
    # Nothing is kept from whoever asks for it.
    assert run("-c", f"{code}; import matplotlib.pyplot").returncode == 0


def test_whole_numbers_of_any_notation():
    assert program.positive("1e3") == program.positive("1000") == 1000
    for text in ("1.5", "1e-1", "inf", "nan", "many"):
        with pytest.raises(program.argparse.ArgumentTypeError, match="is not a whole number"):
            program.positive(text)
