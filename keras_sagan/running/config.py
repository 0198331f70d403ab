"""The schema of configs/*.yaml. A config is the whole experiment; every error names its key."""

import difflib
import re
import typing
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import yaml

from keras_sagan.errors import InputError, did_you_mean
from keras_sagan.running.sections import union
from keras_sagan.running.sections.base import (
    LossSection,
    ModelSection,
    Positive,
    Rate,
    Section,
    Share,
)
from keras_sagan.running.sections.losses import Hinge

# Of `keras_sagan.metrics.evaluation`.
Metric = Literal[
    "fid",
    "kid",
    "inception_score",
    "intra_fid",
    "precision_recall",
    "density_coverage",
    "class_accuracy",
]
_ONE_OF_TWO = "give either name (a TFDS set or paired_shapes) or folder"


def absolute(folder):
    """Returns a folder that somebody typed as it is named from anywhere, or None."""
    return folder if folder is None else str(Path(folder).expanduser().resolve())


class Data(Section):
    """What to train on: `name` or `folder`. An imported run has neither until it is trained on."""

    name: str | None = None  # a TFDS set, or paired_shapes
    folder: str | None = None
    split: str = "train"
    flip: bool = False
    cache: Annotated[str, pydantic.Field(min_length=1)] | None = None  # folder of decoded images

    @pydantic.field_validator("folder", "cache")
    @classmethod
    def _absolute(cls, folder):
        """So that the run can go on from any working directory."""
        return absolute(folder)

    @pydantic.model_validator(mode="after")
    def _one_of_two(self):
        if self.name is not None and self.folder is not None:
            raise ValueError(_ONE_OF_TWO)
        return self

    def check_given(self):
        """Raises InputError unless there is something to train on."""
        if self.name is None and self.folder is None:
            raise InputError(f"data: {_ONE_OF_TWO}, or --data DIR")


class Optimizer(Section):
    """Adam, with a learning rate for each network (TTUR), and how both change over the steps."""

    generator_learning_rate: Rate = 1e-4
    discriminator_learning_rate: Rate = 4e-4
    beta_1: Share = 0.0
    beta_2: Share = 0.9
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    warmup_steps: Annotated[int, pydantic.Field(ge=0)] = 0  # in which the rates rise from 0
    # Until the rates are at their end, warm-up included; null is train.steps when the run begins.
    decay_steps: Positive | None = None
    final_share: Share = 0.0  # what is left of the rates from then on; of 0 nothing is learned


class Train(Section):
    """The run."""

    batch_size: Positive = 64  # over all devices
    steps: Positive  # generator updates
    discriminator_steps: Positive = 1
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit_compile: bool | None = None  # by XLA; null is on JAX alone
    ema: Share = 0.999  # momentum of the averaged generator
    # Classes of the generator's pictures: those of the batch, or fresh ones.
    fake_labels: Literal["real", "uniform"] = "real"
    init_from: str | None = None  # the run whose networks this one begins with
    # Stages of the discriminator, from the picture on, that stay as they are (arXiv:2002.10964).
    freeze_discriminator: Annotated[int, pydantic.Field(ge=0)] = 0
    seed: Annotated[int, pydantic.Field(ge=0, lt=2**31)] = 0
    deterministic: bool = False
    log_every: Positive = 100
    max_minutes: Annotated[float, pydantic.Field(gt=0)] | None = None

    @pydantic.field_validator("init_from")
    @classmethod
    def _absolute(cls, folder):
        """So that a run without a checkpoint can start again from any working directory."""
        return absolute(folder)


class Augmentation(Section):
    """What is done to the images that the discriminator sees, real and fake: see `augmentation`."""

    policies: list[Literal["color", "translation", "cutout"]] = ["color", "translation", "cutout"]
    probability: Annotated[float, pydantic.Field(ge=0, le=1)] = 1.0
    # The mean sign of the logits on real images that the probability is steered by, from 0 on.
    target: Annotated[float, pydantic.Field(gt=-1, lt=1)] | None = None
    adapt_images: Positive = 500_000  # that take the probability from 0 to 1

    def augmentation(self):
        """Returns the `Augmentation` of `GAN.compile`."""
        from keras_sagan.adversarial.augmentation import Augmentation

        return Augmentation(**self.model_dump())


class Samples(Section):
    """Sample sheets: a row a class, or rows of seeds without classes."""

    every: Positive = 1000
    rows: Positive = 10
    columns: Positive = 10


class Evaluate(Section):
    """Figures while training: see `keras-sagan evaluate`. The best checkpoint by them is kept."""

    every_steps: Positive | None = None  # null is never
    metrics: Annotated[list[Metric], pydantic.Field(min_length=1)] = ["fid"]
    samples: Annotated[int, pydantic.Field(gt=1)] = 2000
    extractor: str | None = None  # null is what suits the data
    # Images kept out of training, whose logits are logged beside those of the others.
    held_out: Annotated[int, pydantic.Field(ge=0)] = 0


class Checkpoints(Section):
    """Checkpoints."""

    every: Positive = 1000
    keep: Positive = 3


class Config(Section):
    """A whole experiment."""

    model: union(ModelSection, "family")
    data: Data
    optimizer: Optimizer = Optimizer()
    loss: union(LossSection, "name") = Hinge()
    train: Train
    augmentation: Augmentation | None = None
    samples: Samples = Samples()
    checkpoints: Checkpoints = Checkpoints()
    evaluate: Evaluate = Evaluate()

    def starting_from(self, run):
        """Returns the config of a run that begins with the networks of another one."""
        train = self.train.model_copy(update={"init_from": absolute(run)})
        return self.model_copy(update={"train": train})

    @pydantic.model_validator(mode="before")
    @classmethod
    def _loss_as_it_was(cls, values):
        """Without a name it is hinge; older runs have `gradient_penalty: null` for its default."""
        loss = values.get("loss")
        if not isinstance(loss, dict):
            return values
        given = {k: v for k, v in loss.items() if (k, v) != ("gradient_penalty", None)}
        return {**values, "loss": {"name": "hinge", **given}}


# What may change when a run goes on. The rest would make it another run.
CHANGEABLE = (
    "data.folder",
    "data.cache",
    "train.steps",
    "train.log_every",
    "train.max_minutes",
    "samples.every",
    "samples.rows",
    "samples.columns",
    "checkpoints.every",
    "checkpoints.keep",
    "evaluate.every_steps",
    "evaluate.metrics",
    "evaluate.samples",
    "evaluate.extractor",
)


def load(path, assignments=(), data_folder=None):
    """Reads a config.

    Args:
        path: A YAML file.
        assignments: "section.key=value" strings that override the file.
        data_folder: Overrides `data.name` and `data.folder`.

    Returns:
        A `Config`.

    Raises:
        InputError: A missing or unreadable file, an unknown key, a wrong type or value.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the config ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: a config has sections such as model and data")
    return parse(values, str(path), assignments, data_folder)


def parse(values, source, assignments=(), data_folder=None):
    """Makes a `Config` of nested dictionaries: see `load`. `source` is named in errors."""
    for assignment in assignments:
        _assign(values, assignment)
    if data_folder is not None:
        data = values.get("data")
        data = dict(data) if isinstance(data, dict) else {}
        data.pop("name", None)
        values = {**values, "data": {**data, "folder": str(data_folder)}}
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise InputError(f"{source}: {_first_error(error)}") from error


def dump(config):
    """Returns a config as YAML text."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False)


def flat(config):
    """Returns the values of a config by their "section.key" names: None in a section of null."""
    return {
        f"{section}.{key}": value
        for section, values in config.model_dump().items()
        for key, value in (values or dict.fromkeys(_plain(section).model_fields)).items()
    }


def _assign(values, assignment):
    name, equals, text = assignment.partition("=")
    section, dot, key = name.partition(".")
    if not (equals and dot and section and key):
        raise InputError(f"--set {assignment}: write section.key=value, as in train.steps=1000")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {assignment}: {text!r} is not a YAML value") from error
    if values.get(section) is None:
        values[section] = {}
    target = values[section]
    if not isinstance(target, dict):
        raise InputError(f"--set {assignment}: {section} is not a section")
    target[key] = value


def _first_error(error):
    first = error.errors()[0]
    section, *rest = first["loc"] or ("",)
    kind = _kind(section, rest)
    if kind is not None:
        rest = rest[1:]  # the name of the kind
    # Positions inside a union's alternatives are of no use to a reader.
    location = [str(section), *(part for part in rest if isinstance(part, str))][:2]
    name = ".".join(location)
    if first["type"] == "extra_forbidden":
        return _unknown(location, kind)
    if first["type"] == "missing":
        return f"{name} is missing"
    if first["type"] == "union_tag_not_found":
        return f"{name}.{_key(section)} is missing"
    if first["type"] == "union_tag_invalid":
        tag, names = first["ctx"]["tag"], [repr(kind) for kind in sorted(kinds(section))]
        hint = did_you_mean(tag, kinds(section))
        expected = f"{', '.join(names[:-1])} or {names[-1]}"
        return f"{name}.{_key(section)} is {tag!r}: input should be {expected}{hint}"
    same_key = first["loc"][: len(location) + (kind is not None)]
    problems = [each for each in error.errors() if each["loc"][: len(same_key)] == same_key]
    expected = "; or ".join(
        dict.fromkeys(_lower_first(problem["msg"]) for problem in problems)
    ).replace("value error, ", "")
    given = "" if isinstance(first["input"], (dict, Section)) else f" is {first['input']!r}"
    names = re.findall(r"'(\w+)'", first.get("ctx", {}).get("expected", ""))
    return f"{name}{given}: {expected}{did_you_mean(first['input'], names)}"


def _unknown(location, kind):
    *section, key = location
    fields = Config.model_fields
    if section:
        fields = (kind or _plain(section[0])).model_fields
    name, dotted = ".".join(location), "".join(f"{part}." for part in section)
    if kind is not None:
        others = [other for other, of in kinds(section[0]).items() if key in of.model_fields]
        if others:
            return f"{name} belongs to {dotted}{_key(section[0])} {' or '.join(others)}"
    close = difflib.get_close_matches(key, fields, n=1)
    hint = f"did you mean {dotted}{close[0]}?" if close else f"there are {', '.join(fields)}"
    return f"{name} is not a key of a config; {hint}"


def _key(section):
    """The key that says of which kind a section is, or None."""
    field = Config.model_fields.get(section)
    return field.discriminator if field else None


def _plain(section):
    """The class of a section of one kind, which may be null."""
    annotation = Config.model_fields[section].annotation
    return next(iter(typing.get_args(annotation)), annotation)


def kinds(section):
    """Returns the kinds of a section that is a union, by name."""
    kinds = typing.get_args(Config.model_fields[section].annotation)
    return {typing.get_args(k.model_fields[_key(section)].annotation)[0]: k for k in kinds}


def _kind(section, rest):
    """The kind of the section that an error is in, or None."""
    return kinds(section).get(rest[0]) if rest and _key(section) else None


def _lower_first(text):
    return text[:1].lower() + text[1:]
