"""A new run that begins with the networks of another one."""

from keras_sagan.errors import InputError
from keras_sagan.models import FAMILIES
from keras_sagan.models.transfer import transfer
from keras_sagan.running import checkpoints
from keras_sagan.running.run_folder import Run

# Arguments of networks that may be others: what they change is training alone.
_FREE = (
    "name",
    "trainable",
    "frozen",
    "num_classes",
    "attention_gamma",
    "norm_momentum",
    "synchronized",
)


def take_over(gan, config):
    """Gives a new GAN the weights of the last whole checkpoint of `train.init_from`, if set.

    Its generator, and so the average that pictures are drawn from, are the averaged one of that
    run. Optimizers and steps begin anew.

    Args:
        gan: A compiled `GAN` that was not trained yet.
        config: Its `Config`.

    Returns:
        Lines that say what was taken over: one, or none without such a run.

    Raises:
        InputError: There is no such run or checkpoint, or its networks are others.
    """
    if config.train.init_from is None:
        return []
    run = Run(config.train.init_from)
    try:
        of_run = run.config()
        step = run.whole_step(checkpoints.WEIGHTS, checkpoints.GENERATOR)
        folder = run.checkpoint(step)
        generator = run.load_generator(folder)
        discriminator = checkpoints.load_discriminator(folder, of_run)
    except InputError as error:
        raise InputError(f"train.init_from: {error}") from error
    _check_fit(generator, gan.generator, run, config)
    if missing := transfer(generator, gan.generator):
        raise InputError(
            f"model.num_classes is {gan.generator.num_classes}, but {run.path} has no classes for "
            f"{missing[0]} to begin with: set model.num_classes=null"
        )
    said = [f"initial weights: {run.path} at step {step}"]
    old, new = generator.num_classes, gan.generator.num_classes
    if old and new and old != new:
        said.append(f"each of {new} classes begins as the mean of {old}")
    elif old and not new:
        said.append(f"the mean of its {old} classes")
    elif new and not old:
        said.append(f"each of {new} classes begins as it")
    if discriminator is None:
        said.append("its discriminator is a new one, as it has none")
    else:
        _check_fit(discriminator, gan.discriminator, run, config, "discriminator_")
        for name in transfer(discriminator, gan.discriminator):
            said.append(f"the discriminator's {name} is new")
    return ["; ".join(said)]


def _check_fit(old, new, run, config, prefix=""):
    """Raises InputError unless two networks differ in nothing but their classes and training.

    Args:
        old: That of the run.
        new: That of the config.
        run: The `Run`.
        config: The `Config`.
        prefix: That of the keys by which the config sets this network apart.
    """
    family = {cls: name for name, classes in FAMILIES.items() for cls in classes}
    old, new = ({"family": family[type(each)], **each.get_config()} for each in (old, new))
    for key, wanted in new.items():
        found = old.get(key)
        if isinstance(wanted, list) and isinstance(found, list):  # sizes of attention
            wanted, found = sorted(wanted), sorted(found)
        if key not in _FREE and wanted != found:
            own = f"{prefix}{key}"
            name = own if own in type(config.model).model_fields else key
            raise InputError(
                f"model.{name} is {wanted}, but {run.path} has {found}: set that, or begin with "
                "another run"
            )
