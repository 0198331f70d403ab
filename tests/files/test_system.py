"""What differs between operating systems, on one."""

import errno
import json
import os
import signal
import subprocess
import sys
import types
from fcntl import LOCK_EX, LOCK_NB, flock

import pytest
from programs import REPOSITORY, run, train_arguments

from keras_sagan.errors import InputError
from keras_sagan.files import system
from keras_sagan.running import training
from keras_sagan.running.run_folder import Run

HOLD = """
import sys, time
from keras_sagan.running.run_folder import Run

with Run(sys.argv[1]).training():
    print("held", flush=True)
    time.sleep(600)
"""


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_a_second_training_in_a_run_folder_is_refused(trained_run):
    folder, _ = trained_run
    before = contents(folder)
    with Run(folder).training():
        process = run("-X", "importtime", "train.py", "--run-dir", folder, "--resume")
        assert process.returncode == 2 and " tensorflow\n" not in process.stderr
        line = f"error: {folder} is being trained by another process"
        assert line in process.stderr.splitlines()
        with pytest.raises(InputError, match="is being trained"):  # if it came a moment earlier
            training.train(Run(folder).config(), folder, resume=True)
        with Run(folder).exporting(overwrite=True):  # may go on meanwhile
            pass
    assert (folder / "export").is_dir()
    (folder / "export").rmdir()
    (folder / ".exported.lock").unlink()
    assert contents(folder) == before


def test_a_killed_training_lets_go_of_its_run_folder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="is being trained"), Run(tmp_path).training():
        pass
    process.kill()
    process.communicate()
    with Run(tmp_path).training():
        pass


def locked_as_on_windows(descriptor, mode, length):
    """`msvcrt.locking`, which has another error."""
    assert (mode, length) == ("LK_NBLCK", 1)
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        raise PermissionError(errno.EACCES, "Permission denied") from error


def test_locks_of_windows(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    windows = types.SimpleNamespace(LK_NBLCK="LK_NBLCK", locking=locked_as_on_windows)
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    with Run(tmp_path).training():
        with pytest.raises(InputError, match="is being trained"), Run(tmp_path).training():
            pass
        with Run(tmp_path).exporting(overwrite=False):
            pass
    with Run(tmp_path).training():
        pass


def test_a_file_system_without_locks_trains_all_the_same(tmp_path, monkeypatch):
    asked = []

    def refuse(*arguments):
        asked.append(arguments)
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with Run(tmp_path).training(), Run(tmp_path).training():
        assert len(asked) == 2  # both, and neither got one


def test_file_systems_without_fsync_of_folders(tmp_path, monkeypatch):
    def refuse(code):
        def fsync(descriptor):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", fsync)

    refuse(errno.EINVAL)
    system.flush_folder(tmp_path)
    refuse(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        system.flush_folder(tmp_path)


def test_signals_that_stop():
    assert {signal.SIGINT, signal.SIGTERM} <= set(system.STOP_SIGNALS)


# What Windows lacks or refuses, in each Python that starts with this on its path.
WITHOUT_POSIX = """
import os, pathlib, signal, stat, sys

import fcntl
get_flags = fcntl.fcntl
import shutil, subprocess, tempfile  # choose once for all

shutil._use_fd_functions = False
sys.modules.update(fcntl=None, resource=None, pwd=None, grp=None, termios=None)
for name in ("fork", "setsid", "sched_getaffinity", "O_DIRECTORY", "WNOHANG", "killpg"):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM"):
    delattr(signal, name)
open_file, flush, rename, exists = os.open, os.fsync, os.rename, pathlib.Path.exists


def open_no_folder(path, flags, *args, **kwargs):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return open_file(path, flags, *args, **kwargs)


def flush_what_is_written(file):
    descriptor = file if isinstance(file, int) else file.fileno()
    if get_flags(descriptor, 3) & os.O_ACCMODE == os.O_RDONLY:  # F_GETFL
        raise OSError(9, "Bad file descriptor")
    flush(descriptor)


def rename_to_what_is_not_there(source, target, **options):
    if os.path.lexists(target):
        raise FileExistsError(17, "File exists", str(target))
    rename(source, target, **options)


os.open, os.fsync, os.rename = open_no_folder, flush_what_is_written, rename_to_what_is_not_there
pathlib.Path.exists = lambda path: not str(path).startswith("/proc") and exists(path)
"""


@pytest.mark.slow
def test_a_run_needs_nothing_of_posix(tmp_path):
    """Train, checkpoint, resume, sample and export, in processes that have no more than Windows."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_POSIX)
    folder = tmp_path / "run"
    for command in (
        train_arguments(folder),
        ("train.py", "--run-dir", folder, "--resume", "--set", "train.steps=7"),
        ("-m", "keras_sagan.cli", "sample", folder, "--out", tmp_path / "sheet.png"),
        ("-m", "keras_sagan.cli", "sample", folder, "--count", 2, "--out", tmp_path / "pictures"),
        ("-m", "export", folder, "--quantize", "float32"),
        ("-m", "export", folder, "--quantize", "float32", "--overwrite"),
    ):
        process = run(*command, env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"})
        assert process.returncode == 0, process.stderr
    assert Run(folder).checkpoint_steps() == [3, 6, 7]
    assert (tmp_path / "sheet.png").exists()
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2
    report = json.loads((folder / "export" / "report.json").read_text())
    assert [row["peak_mb"] for row in report["files"]] == [None, None]
