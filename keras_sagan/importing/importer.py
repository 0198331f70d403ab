"""From a checkpoint of another project to a run folder."""

import contextlib
import shutil

from keras_sagan.errors import InputError
from keras_sagan.importing import systems
from keras_sagan.models import FAMILIES
from keras_sagan.running import checkpoints
from keras_sagan.running import config as config_module
from keras_sagan.running.run_folder import Run

# Beyond what a checkpoint has, if the system publishes no number of steps.
_STEPS = 100_000


def import_checkpoint(
    checkpoint, system, run_dir, discriminator=None, conf=None, discriminator_conf=None
):
    """Imports a network that another project trained.

    Args:
        checkpoint: The generator's checkpoint, or that of both networks.
        system: A name in `SYSTEMS`.
        run_dir: The run folder to write.
        discriminator: The discriminator's checkpoint where it has one of its own, or None: its
            training then begins anew when the run is trained on.
        conf: What describes the generator, for systems that have such a file.
        discriminator_conf: What describes the discriminator, likewise.

    Returns:
        The `keras_sagan.importing.systems.Networks`.

    Raises:
        InputError: What was given cannot be imported. No run folder is left then.
    """
    run = Run(run_dir)
    run.check_new("name another folder")
    if system != "attn-gan-pytorch" and (conf or discriminator_conf):
        raise InputError("--conf belongs to attn-gan-pytorch: others have no such file")
    given = systems.Given(checkpoint, discriminator, conf, discriminator_conf)
    networks = systems.module(system).load(given)
    while networks.states:  # which hold the checkpoint in memory
        state = networks.states.pop(0)
        if counts := state.not_used():
            text = ", ".join(f"{count} {name}" for name, count in counts.items())
            networks.notes.append(f"not needed of {state.source}: {text}")
    config = _config(networks)
    existed = run.path.exists()
    run.create(config)
    try:
        models = {checkpoints.GENERATOR: networks.averaged or networks.generator}
        if networks.averaged is not None:
            models[checkpoints.TRAINED_GENERATOR] = networks.generator
        if networks.discriminator is not None:
            models[checkpoints.DISCRIMINATOR] = networks.discriminator
        checkpoints.write_models(models, run.checkpoint(networks.step))
    except BaseException as error:
        run.discard()
        if not existed:
            with contextlib.suppress(OSError):
                shutil.rmtree(run.path)
        if isinstance(error, OSError):
            raise InputError(f"--run-dir {run.path}: {error.strerror or error}") from error
        raise
    return networks


def _config(networks):
    """The config of the run: its networks, and training as the system published it."""
    training = networks.training
    steps = training.get("train", {}).get("steps", 0)
    steps = max(steps, networks.step + 1 if steps else networks.step + _STEPS)
    values = {
        "model": _model_section(networks.generator, networks.discriminator),
        "data": {},
        **training,
        "train": {**training.get("train", {}), "steps": steps},
    }
    return config_module.parse(values, "the imported networks")


def _model_section(generator, discriminator):
    family = next(name for name, classes in FAMILIES.items() if type(generator) is classes[0])
    keys = config_module.kinds("model")[family].model_fields
    of_generator = generator.get_config()
    if discriminator is None:  # of a small one, for the family's own choice of attention
        small = FAMILIES[family][1](image_size=generator.image_size, width=8).get_config()
        of_discriminator = {**small, "width": generator.width}
    else:
        of_discriminator = discriminator.get_config()
    both = {**of_discriminator, **of_generator}
    section = {"family": family, **{key: both[key] for key in keys if key in both}}
    for key in keys:  # what may differ in the discriminator
        own = key.removeprefix("discriminator_")
        if own != key:
            section[key] = of_discriminator[own]
    return section
