"""The run folder: the only state of a training run.

config.yaml             the config, as resolved
checkpoints/00001000/   gan.weights.h5 (everything training needs), generator.keras (averaged), and
                        their checksums, SHA256SUMS. Of an imported run, instead of the weights:
                        discriminator.keras and trained_generator.keras, if there were such
checkpoints/best-.../   likewise, the best by evaluate.metrics, and by how much: best.json
samples/                sheets of pictures
attention/              what the generator's attention looks at
logs/                   TensorBoard events and history.csv
export/                 what python -m export wrote
classes.txt             the names of the classes, one a line, if there are classes
data.json               how many images there are, and how many of each class
skipped_images.txt      images that could not be read, if any
.*.lock                 held by whoever trains or exports
"""

import contextlib
import csv
import shutil
import sys
from pathlib import Path

from keras_sagan.data.names import one_line
from keras_sagan.errors import InputError
from keras_sagan.files import system
from keras_sagan.files.whole_files import replacing, write_rows
from keras_sagan.running import checkpoints
from keras_sagan.running import config as config_module


class Run:
    """A run folder.

    Args:
        path: The folder, which need not exist yet.
        outputs: The folder for what is made of it (export, evaluation, what is shown), where that
            is another one: pretrained generators are in the package, which may be read-only.

    Raises:
        InputError: A path that is not UTF-8, at which TensorFlow writes no files.
    """

    def __init__(self, path, outputs=None):
        self.path = Path(path)
        self.outputs = self.path if outputs is None else Path(outputs)
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            text = f"{one_line(str(path))}: a run folder's path must be UTF-8: rename it"
            raise InputError(text) from error
        self.name = one_line(self.path.resolve().name)
        self.config_file = self.path / "config.yaml"
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"
        self.attention = self.path / "attention"
        self.logs = self.path / "logs"
        self.history = self.logs / "history.csv"
        self.export = self.outputs / "export"
        self.shown = self.outputs / "show"
        self.evaluation = self.outputs / "evaluation.json"
        self.classes = self.path / "classes.txt"
        self.data_record = self.path / "data.json"
        self.skipped_images = self.path / "skipped_images.txt"

    def create(self, config):
        """Writes a new run folder.

        Raises:
            InputError: The folder already holds something, or cannot be written.
        """
        self.check_new()
        made = [] if self.path.exists() else [self.path]
        try:
            for folder in (self.checkpoints, self.samples, self.attention, self.logs):
                folder.mkdir(parents=True)
                made.append(folder)
            self.write_config(config)
        except OSError as error:
            # Or the same command would be refused when there is room.
            with contextlib.suppress(OSError):  # there is what another process made meanwhile
                for folder in reversed(made):
                    folder.rmdir()
            raise InputError(f"--run-dir {self.path}: {error.strerror}") from error

    def check_new(self, advice="add --resume to go on with it, or name another folder"):
        """Raises InputError unless the folder is missing or empty.

        A list of skipped images and a lock may be in it, of a run that was discarded.
        """
        if self.config_file.exists():
            raise InputError(f"--run-dir {self.path} already holds a run: {advice}")
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--run-dir {self.path} is a file: name a folder")
        left = {self.skipped_images, self._lock_file("trained")}
        if self.path.exists() and {*self.path.iterdir()} - left:
            raise InputError(f"--run-dir {self.path} is not empty: name another folder")

    def forget_skipped(self):
        """Deletes the list of skipped images that a discarded run may have left."""
        if self.skipped_images.exists():
            try:
                self.skipped_images.unlink()
            except OSError as error:
                raise InputError(f"{self.skipped_images}: {error.strerror}") from error

    def discard(self):
        """Deletes what was written before the first checkpoint, but for the skipped images."""
        for folder in (self.checkpoints, self.samples, self.attention, self.logs):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.classes, self.data_record, self.config_file):
            file.unlink(missing_ok=True)

    def write_config(self, config):
        """Writes config.yaml, whole or not at all."""
        with replacing(self.config_file) as file:
            file.write_text(config_module.dump(config), encoding="utf-8")

    def write_class_names(self, names):
        """Writes classes.txt, any name as one line: see `keras_sagan.data.names`."""
        text = "".join(f"{one_line(name)}\n" for name in names)
        with replacing(self.classes) as file:
            file.write_text(text, encoding="utf-8")

    def class_names(self):
        """Returns the lines of classes.txt, numbers if there is none, or None without classes."""
        num_classes = self.config().model.num_classes
        if num_classes is None:
            return None
        if not self.classes.exists():
            return [str(i) for i in range(num_classes)]
        names = self.classes.read_text(encoding="utf-8").split("\n")[:-1]
        if len(names) != num_classes:
            raise InputError(
                f"{self.classes} has {len(names)} lines, but the run has {num_classes} classes"
            )
        return names

    def check_export(self, overwrite):
        """Raises InputError if there is an export already, unless it may be overwritten."""
        if self.export.is_symlink() or (self.export.exists() and not self.export.is_dir()):
            raise InputError(f"{self.export} is not a folder: move it away")
        if self.export.exists() and not overwrite:
            raise InputError(
                f"{self.export} holds an export already: add --overwrite to replace it"
            )

    @contextlib.contextmanager
    def exporting(self, overwrite):
        """Gives a folder that becomes `export/` in the end, whole; an error leaves the old one.

        Raises:
            InputError: Another export of the run is going on, or there is one already.
        """
        self.outputs.mkdir(parents=True, exist_ok=True)
        partial, old = (self.export.with_name(f"export.{name}") for name in ("partial", "old"))
        with self._lock("exported"):
            if old.exists() and not self.export.exists():
                old.rename(self.export)  # another process was killed between the two below
            self.check_export(overwrite)
            shutil.rmtree(old, ignore_errors=True)
            shutil.rmtree(partial, ignore_errors=True)
            try:
                partial.mkdir()
                yield partial
                if self.export.exists():
                    self.export.rename(old)
                partial.rename(self.export)
                shutil.rmtree(old, ignore_errors=True)
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    @contextlib.contextmanager
    def training(self):
        """Keeps other trainings out; an export may go on meanwhile.

        Raises:
            InputError: Another training of the run is going on.
        """
        with self._lock("trained"):
            # What a training that was killed was writing, and takes room for nothing.
            for partial in self.checkpoints.glob("partial-*"):
                shutil.rmtree(partial)
            yield

    def _lock_file(self, doing):
        return self.outputs / f".{doing}.lock"

    def _lock(self, doing):
        try:
            return system.lock(self._lock_file(doing))
        except BlockingIOError as error:
            raise InputError(f"{self.path} is being {doing} by another process") from error

    def config(self):
        """Returns the run's config.

        Raises:
            InputError: The folder holds no run.
        """
        if not self.config_file.exists():
            raise InputError(f"{self.path} holds no run (it has no config.yaml)")
        return config_module.load(self.config_file)

    def checkpoint_steps(self):
        """Returns the steps of the checkpoints, in rising order."""
        if not self.checkpoints.is_dir():
            return []
        return sorted(int(path.name) for path in self.checkpoints.iterdir() if path.name.isdigit())

    def checkpoint(self, step):
        """Returns the folder of a checkpoint."""
        return self.checkpoints / f"{step:08d}"

    def save_best_checkpoint(self, gan, best):
        """Writes a checkpoint of a GAN in the place of the best one so far.

        Args:
            gan: The GAN.
            best: A dictionary in JSON's types of what it is best by.
        """
        old = self._best_checkpoints()
        folder = self.checkpoints / f"best-{gan.step:08d}"
        checkpoints.write(gan, folder, best)
        for each in old:
            if each != folder:
                shutil.rmtree(each)

    def best_by(self):
        """Returns what the best checkpoint was saved with, or None."""
        found = self._best_checkpoints()
        return checkpoints.best_by(found[-1]) if found else None

    def best_checkpoint(self):
        """Returns the folder of the best checkpoint.

        Raises:
            InputError: There is none.
        """
        found = self._best_checkpoints()
        if not found:
            raise InputError(f"{self.path} has no best checkpoint: train with evaluate.every_steps")
        return found[-1]

    def _best_checkpoints(self):
        """One, or two where a run was ended while the better one took the other's place."""
        return sorted(self.checkpoints.glob("best-*"))

    def generator_checkpoint(self, best=False):
        """Returns the folder of the checkpoint to draw with.

        Args:
            best: Whether that is the best one; else it is the last whose generator is whole.

        Raises:
            InputError: There is none, or it is damaged.
        """
        if not best:
            return self.checkpoint(self.whole_step(checkpoints.GENERATOR))
        path = self.best_checkpoint() / checkpoints.GENERATOR
        if not checkpoints.is_whole(path):
            raise InputError(f"{path} is missing or damaged")
        return path.parent

    def save_checkpoint(self, gan, keep):
        """Writes a checkpoint of a GAN, whole or not at all, and deletes all but the last few."""
        checkpoints.write(gan, self.checkpoint(gan.step))
        for old in self.checkpoint_steps()[:-keep]:
            shutil.rmtree(self.checkpoint(old))

    def load_checkpoint(self, gan):
        """Loads the last whole checkpoint into a compiled GAN, and sets later ones aside.

        Returns:
            Its step.

        Raises:
            InputError: There is none, or the config contradicts it.
        """
        step = self.whole_step(checkpoints.WEIGHTS, checkpoints.GENERATOR)
        folder = self.checkpoint(step)
        path = folder / checkpoints.WEIGHTS
        try:
            if path.exists():
                gan.load_weights(path)
            else:
                path = folder
                checkpoints.load_models(gan, folder)
        except (ValueError, KeyError, OSError) as error:
            raise InputError(
                f"{path} does not fit {self.config_file}: it is damaged, or the config's model "
                f"was changed ({' '.join(str(error).split())[:200]})"
            ) from error
        # They would count among those to keep, and training comes by their steps again.
        for later in self.checkpoint_steps():
            if later > step:
                aside = self.checkpoints / f"damaged-{later:08d}"
                shutil.rmtree(aside, ignore_errors=True)
                self.checkpoint(later).rename(aside)
        return step

    def load_generator(self, folder=None):
        """Loads the averaged generator of a checkpoint.

        Args:
            folder: That of the checkpoint; None is the last one that is whole.

        Returns:
            A `keras.Model`.

        Raises:
            InputError: The folder holds no run, or no checkpoint, or one that is damaged.
        """
        self.config()
        folder = self.generator_checkpoint() if folder is None else folder
        return checkpoints.load_model(folder / checkpoints.GENERATOR)

    def truncate_history(self, step):
        """Drops the rows of history.csv beyond a step, which will be written again."""
        if not self.history.exists() or not self.history.stat().st_size:
            return
        with self.history.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            fields, rows = reader.fieldnames, list(reader)
        # A row that lacks values was cut off, where its disk was full or its machine died.
        kept = (row for row in rows if None not in row.values() and int(row["step"]) <= step)
        write_rows(self.history, fields, kept)

    def last_step(self):
        """Returns the step of the last checkpoint, whole or not, or raises InputError."""
        steps = self.checkpoint_steps()
        if not steps:
            raise InputError(f"{self.path} holds no checkpoint yet")
        return steps[-1]

    def whole_step(self, name, imported=None):
        """Returns the step of the last checkpoint whose file of this name is whole.

        If later ones are damaged, a line to standard error says which.

        Args:
            name: Name of the file.
            imported: That of the file which counts in a checkpoint that was imported.

        Raises:
            InputError: There is no checkpoint, or none that is whole.
        """
        self.last_step()
        damaged = []
        for step in reversed(self.checkpoint_steps()):
            path = self.checkpoint(step) / name
            if imported and checkpoints.is_imported(path.parent):
                path = path.with_name(imported)
            if checkpoints.is_whole(path):
                if damaged:
                    print(
                        f"warning: {', '.join(map(str, damaged))}: missing or damaged; the "
                        f"checkpoint of step {step} is used",
                        file=sys.stderr,
                    )
                return step
            damaged.append(path)
        raise InputError(
            f"{damaged[0]} is missing or damaged" + ", as all before it are" * (len(damaged) > 1)
        )
