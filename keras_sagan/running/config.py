"""The schema of configs/*.yaml. A config is the whole experiment; every error names its key."""

import difflib
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import yaml

from keras_sagan.errors import InputError

Positive = Annotated[int, pydantic.Field(gt=0)]
Rate = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]


class Section(pydantic.BaseModel):
    """A part of a config: unknown keys are errors, values do not change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Model(Section):
    """The two networks."""

    family: Literal["resnet", "dcgan"]
    image_size: Literal[32, 64, 128, 256]
    # "auto" takes the classes of the data; null is an unconditional model.
    num_classes: Annotated[int, pydantic.Field(gt=1)] | Literal["auto"] | None = "auto"
    latent_dim: Positive = 128
    width: Positive = 64
    # Sizes of the feature maps that attention follows; null is the family's own choice.
    attention: list[Positive] | None = None
    spectral_norm: bool = True


class Data(Section):
    """What to train on: `name` or `folder`."""

    name: str | None = None  # a TFDS set, or paired_shapes
    folder: str | None = None
    split: str = "train"
    flip: bool = False

    @pydantic.model_validator(mode="after")
    def _one_of_two(self):
        if (self.name is None) == (self.folder is None):
            raise ValueError("give either name (a TFDS set or paired_shapes) or folder")
        return self


class Optimizer(Section):
    """Adam, with a learning rate for each network (TTUR)."""

    generator_learning_rate: Rate = 1e-4
    discriminator_learning_rate: Rate = 4e-4
    beta_1: Share = 0.0
    beta_2: Share = 0.9


class Loss(Section):
    """The adversarial loss."""

    name: Literal[
        "hinge", "non_saturating", "least_squares", "wasserstein", "relativistic_average_hinge"
    ] = "hinge"
    gradient_penalty: Annotated[float, pydantic.Field(ge=0)] | None = None

    @pydantic.model_validator(mode="after")
    def _penalty_of_wasserstein(self):
        if self.gradient_penalty is not None and self.name != "wasserstein":
            raise ValueError("gradient_penalty belongs to the loss wasserstein")
        return self


class Train(Section):
    """The run."""

    batch_size: Positive = 64  # over all devices
    steps: Positive  # generator updates
    discriminator_steps: Positive = 1
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    ema: Share = 0.999  # momentum of the averaged generator
    seed: Annotated[int, pydantic.Field(ge=0, lt=2**31)] = 0
    deterministic: bool = False
    log_every: Positive = 100
    max_minutes: Annotated[float, pydantic.Field(gt=0)] | None = None


class Samples(Section):
    """Sample sheets: a row a class, or rows of seeds without classes."""

    every: Positive = 1000
    rows: Positive = 10
    columns: Positive = 10


class Checkpoints(Section):
    """Checkpoints."""

    every: Positive = 1000
    keep: Positive = 3


class Config(Section):
    """A whole experiment."""

    model: Model
    data: Data
    optimizer: Optimizer = Optimizer()
    loss: Loss = Loss()
    train: Train
    samples: Samples = Samples()
    checkpoints: Checkpoints = Checkpoints()


# What may change when a run goes on. The rest would make it another run.
CHANGEABLE = (
    "data.folder",
    "train.steps",
    "train.log_every",
    "train.max_minutes",
    "samples.every",
    "samples.rows",
    "samples.columns",
    "checkpoints.every",
    "checkpoints.keep",
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
        # Absolute, so that the run can go on from any working directory.
        values = {**values, "data": {**data, "folder": str(Path(data_folder).resolve())}}
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise InputError(f"{source}: {_first_error(error)}") from error


def dump(config):
    """Returns a config as YAML text."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False)


def flat(config):
    """Returns the values of a config by their "section.key" names."""
    return {
        f"{section}.{key}": value
        for section, values in config.model_dump().items()
        for key, value in values.items()
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
    target = values.setdefault(section, {})
    if not isinstance(target, dict):
        raise InputError(f"--set {assignment}: {section} is not a section")
    target[key] = value


def _first_error(error):
    first = error.errors()[0]
    # Positions inside a union's alternatives are of no use to a reader.
    location = [part for part in first["loc"] if isinstance(part, str)][:2]
    name = ".".join(location)
    if first["type"] == "extra_forbidden":
        known = _keys(location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {'.'.join([*location[:-1], close[0]])}?" if close else ""
        return f"{name} is not a key of a config; {hint or 'there are ' + ', '.join(known)}"
    if first["type"] == "missing":
        return f"{name} is missing"
    problems = [
        problem for problem in error.errors() if problem["loc"][: len(location)] == tuple(location)
    ]
    expected = "; or ".join(
        dict.fromkeys(_lower_first(problem["msg"]) for problem in problems)
    ).replace("value error, ", "")
    given = "" if isinstance(first["input"], (dict, Section)) else f" is {first['input']!r}"
    return f"{name}{given}: {expected}"


def _keys(location):
    if not location:
        return list(Config.model_fields)
    return list(Config.model_fields[location[0]].annotation.model_fields)


def _lower_first(text):
    return text[:1].lower() + text[1:]
