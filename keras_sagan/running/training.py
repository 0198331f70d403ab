"""Trains a GAN from a config into a run folder."""

import dataclasses
import itertools
import os

import keras
import numpy as np

from keras_sagan.adversarial import callback_list
from keras_sagan.adversarial.gan import GAN
from keras_sagan.adversarial.optimizers import Adam
from keras_sagan.data import ImageCache, batches, paired_shapes
from keras_sagan.data.names import one_line
from keras_sagan.data.parts import held_out
from keras_sagan.errors import InputError
from keras_sagan.running import callbacks, checkpoints, data_record, initial_weights, schedules
from keras_sagan.running.config import CHANGEABLE, flat
from keras_sagan.running.devices import choose_devices
from keras_sagan.running.run_folder import Run
from keras_sagan.running.sources import make_source


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How training ended: `signal` is the number of the signal that stopped it, or None."""

    step: int
    signal: int | None
    sheets: list


def train(config, run_dir, resume=False, strategy="auto"):
    """Trains, or goes on with a run.

    Args:
        config: A `keras_sagan.running.config.Config`.
        run_dir: The run folder.
        resume: Whether to go on with the run in it.
        strategy: One of `keras_sagan.running.devices.STRATEGIES`.

    Returns:
        An `Outcome`.

    Raises:
        InputError: What was given cannot be used, or another process trains in the folder.
            Nothing was changed then, unless images turn out to be unreadable in the course of
            training: a new run without a checkpoint is discarded then, and its list of skipped
            images stays.
        NotFiniteError: A loss stopped being finite. The last checkpoint is from before.
        OSError: The run folder cannot be written, such as on a full disk. What is in it is whole.
    """
    run = Run(run_dir)
    if resume:
        config = resumed_config(run, config)
    else:
        run.check_new()
        config = schedules.with_decay_steps(config)
    keras.config.set_dtype_policy(config.train.precision)
    keras.utils.set_random_seed(config.train.seed)
    if config.train.deterministic:
        _make_deterministic()
    devices = choose_devices(strategy)
    if config.train.batch_size % devices.count:
        raise InputError(
            f"train.batch_size is {config.train.batch_size}, which {devices.count} devices cannot "
            "share equally"
        )
    every = config.evaluate.every_steps
    if every is not None and every < config.train.log_every:
        raise InputError(
            f"evaluate.every_steps is {every}, and train.log_every {config.train.log_every}: a row "
            "of history.csv has room for one evaluation, so make train.log_every at most as large"
        )
    if not resume:
        run.forget_skipped()
    source = make_source(config, run.skipped_images)
    if config.evaluate.held_out > len(source) // 2:
        raise InputError(
            f"evaluate.held_out is {config.evaluate.held_out}, more than half of the "
            f"{len(source)} images"
        )
    if resume:
        data_record.check_same(run, source, config.data.folder or config.data.name)
    config = with_classes_of(source, config)
    with devices.making():
        gan = make_gan(config, synchronized=devices.count > 1)
        # A run that was stopped before its first checkpoint starts again.
        starts = not run.checkpoint_steps()
        taken_over = initial_weights.take_over(gan, config) if starts else []
    if not resume:
        run.create(config)
    with run.training():
        if resume:
            with devices.making():
                step = 0 if starts else run.load_checkpoint(gan)
            run.truncate_history(step)
            run.write_config(config)
            print(f"going on with {run.path} at step {step}")
        learned = config.model.num_classes is not None
        if learned:
            run.write_class_names(source.class_names)
        data_record.write(run, source)
        print(
            f"{devices}\n"
            f"{len(source)} images, "
            f"generator {gan.generator.count_params() / 1e6:.2f} M weights, "
            f"discriminator {gan.discriminator.count_params() / 1e6:.2f} M"
        )
        counted = gan.generator_optimizer.iterations  # a variable of every device
        imported = gan.step - int(keras.ops.convert_to_numpy(counted))
        of_rates = schedules.said(config, done=imported)
        for line in [*taken_over, *of_rates, *data_record.said(source, learned)]:
            print(line)
        try:
            if isinstance(source, ImageCache):
                source.fill()
            with devices.training():
                return _fit(gan, source, config, run)
        except InputError:
            if not resume and not run.checkpoint_steps():
                run.discard()
            raise


def _make_deterministic():
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif keras.config.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True, warn_only=True)
    else:
        # Read when JAX starts its devices. CPUs and TPUs need nothing.
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true"


def resumed_config(run, config):
    """Returns the config to go on with: the run's, with what the given one may change.

    Of a run that was imported, and not trained on yet, that is all but the networks.

    Raises:
        InputError: No run to go on with, or a config that would make it another run.
    """
    old = run.config()
    reached = max(run.checkpoint_steps(), default=0)
    if config.train.steps < reached:
        raise InputError(
            f"train.steps is {config.train.steps}, but the run in {run.path} is at step {reached}"
        )
    old_values = flat(old)
    is_imported = checkpoints.is_imported(run.checkpoint(reached))
    for name, value in flat(config).items():
        same = value == old_values.get(name) or (name == "model.num_classes" and value == "auto")
        same = same or (name == "data.name" and value is None and config.data.folder is not None)
        same = same or (name in ("optimizer.decay_steps", "train.init_from") and value is None)
        kept = ("model.", "train.init_from")
        may_change = name in CHANGEABLE or (is_imported and not name.startswith(kept))
        if not same and not may_change:
            raise InputError(
                f"{name} is {value!r}, but the run in {run.path} was started with "
                f"{old_values.get(name)!r}: give that, or start another run"
            )
    model = config.model.model_copy(update={"num_classes": old.model.num_classes})
    train = config.train.model_copy(update={"init_from": old.train.init_from})
    optimizer = config.optimizer
    if optimizer.decay_steps is None:
        optimizer = optimizer.model_copy(update={"decay_steps": old.optimizer.decay_steps})
    config = config.model_copy(update={"model": model, "train": train, "optimizer": optimizer})
    return schedules.with_decay_steps(config, done=reached if is_imported else 0)


def with_classes_of(source, config):
    """Returns the config with `model.num_classes` as a number or None.

    Raises:
        InputError: A number that is not that of the data.
    """
    found = None if source.class_names is None else len(source.class_names)
    wanted = config.model.num_classes
    if wanted == "auto":
        # A single class says nothing that a model without classes does not know.
        wanted = found if found and found > 1 else None
    elif wanted is not None and wanted != found:
        raise InputError(
            f"model.num_classes is {wanted}, but the data has {found or 'no'} classes: write that "
            "number, or auto"
        )
    model = config.model.model_copy(update={"num_classes": wanted})
    return config.model_copy(update={"model": model})


def make_gan(config, synchronized=False):
    """Returns the compiled `GAN` of a config whose number of classes is known."""
    if config.train.fake_labels == "uniform" and config.model.num_classes is None:
        raise InputError(
            "train.fake_labels is 'uniform', but the model has no classes: leave it at real"
        )
    try:
        generator, discriminator = config.model.networks(synchronized)
    except ValueError as error:
        raise InputError(f"model.{' '.join(str(error).split())}") from error
    _freeze(discriminator, config.train.freeze_discriminator)  # before the optimizers look at it
    gan = GAN(generator, discriminator, seed=config.train.seed)
    betas = config.optimizer.beta_1, config.optimizer.beta_2
    # PyTorch has none, and TensorFlow cannot compile a step in which replicas wait for each other.
    xla = keras.config.backend() != "torch" and not synchronized
    gan.compile(
        *(Adam(rate, *betas) for rate in schedules.learning_rates(config)),
        loss=config.loss.loss(),
        discriminator_steps=config.train.discriminator_steps,
        ema=config.train.ema,
        augmentation=config.augmentation and config.augmentation.augmentation(),
        fake_labels=config.train.fake_labels,
        jit_compile=config.train.jit_compile if xla else None,
    )
    return gan


def _freeze(discriminator, count):
    """Keeps the first stages of a discriminator from learning."""
    stages = discriminator.stages()
    if count > len(stages):
        raise InputError(
            f"train.freeze_discriminator is {count}, but the discriminator has {len(stages)} stages"
        )
    for layer in itertools.chain(*stages[:count]):
        layer.trainable = False


def _monitor(gan, source, config, run):
    """The callback that evaluates, in a list, which is empty if nothing is to be evaluated."""
    settings = config.evaluate
    if settings.every_steps is None:
        return []
    from keras_sagan.metrics.features import reference
    from keras_sagan.running import real_pictures

    identity = real_pictures.identity_of(source, config)
    extractor = real_pictures.choose_extractor(settings.extractor, source, identity)
    return [
        callbacks.QualityMonitor(
            extractor,
            reference.of_source(source, identity, extractor),
            settings.every_steps,
            settings.metrics,
            settings.samples,
            save_best=lambda best: run.save_best_checkpoint(gan, best),
            best=run.best_by(),
        )
    ]


def _fit(gan, source, config, run):
    settings = config.train
    monitor = _monitor(gan, source, config, run)
    validation = {}
    if config.evaluate.held_out:
        source, kept_out = held_out(source, config.evaluate.held_out, settings.seed)
        pictures = kept_out.read(np.arange(len(kept_out)))
        pictures = pictures if gan.conditional else pictures[:1]
        validation = {"validation_data": pictures, "validation_batch_size": settings.batch_size}
    sheets = callbacks.SampleSheets(
        gan, run.samples, run.attention, config.samples.rows, config.samples.columns
    )

    def checkpoint(step):
        # A finite loss can still leave gradients, and so weights, that are not.
        optimizers = (gan.generator_optimizer, gan.discriminator_optimizer)
        for variable in (*gan.variables, *(v for o in optimizers for v in o.variables)):
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                raise callbacks.NotFiniteError(variable.path, step)
        run.save_checkpoint(gan, config.checkpoints.keep)

    stop = callbacks.StopOnSignal(settings.max_minutes)
    watchers = [
        callbacks.StopOnNonFiniteLoss(),  # before anything is saved
        stop,
        callbacks.Every(config.checkpoints.every, checkpoint),
        callbacks.Every(config.samples.every, sheets),  # after what an error here would lose
        *monitor,
        callbacks.HistoryFiles(run.history, run.logs),
        callbacks.Progress(settings.steps, settings.log_every, settings.max_minutes),
    ]
    with stop:
        for first_step, epochs, steps_per_epoch in _segments(
            gan.step, settings.steps, settings.log_every
        ):
            dataset = batches(
                source,
                settings.batch_size * settings.discriminator_steps,
                seed=settings.seed,
                first_step=first_step,
                flip=config.data.flip,
            )
            settle = getattr(dataset, "settle", lambda: None)  # of TensorFlow's alone
            settled = keras.callbacks.LambdaCallback(
                on_train_end=lambda logs, settle=settle: settle()
            )
            epoch = -(-first_step // settings.log_every)
            try:
                # As `gan.fit`, which would first read a batch to look at it.
                keras.Model.fit(
                    gan,
                    dataset,
                    initial_epoch=epoch,
                    epochs=epoch + epochs,
                    steps_per_epoch=steps_per_epoch,
                    callbacks=callbacks.Watchers(
                        [*callback_list.own(), *watchers, settled],
                        add_history=True,
                        model=gan,
                        steps=steps_per_epoch,
                    ),
                    **validation,
                    shuffle=False,
                    verbose=0,
                )
            except Exception:
                settle()
                # What the source raised, without TensorFlow's wrapping.
                if errors := getattr(dataset, "errors", None):
                    raise errors[0] from None
                raise
            if stop.stopped:
                break
    step = gan.step
    if step not in run.checkpoint_steps():
        checkpoint(step)
    if config.data.name == "paired_shapes":
        share = paired_shapes.consistency(gan.sample(range(1000)))
        print(f"consistency of 1000 samples: {share:.3f} (real pictures: 1)")
    if skipped := getattr(source, "skipped", None):
        name, reason = next(iter(skipped.items()))
        print(
            f"{len(skipped)} image{'s' * (len(skipped) > 1)} could not be read, such as "
            f"{one_line(name)} ({reason}): see {run.skipped_images}"
        )
    return Outcome(step, stop.signal, sheets(step))


def _segments(step, steps, interval):
    """Splits the steps that are left into epochs of `interval`, the first and last maybe shorter.

    Yields:
        (first step, epochs, steps per epoch)
    """
    while step < steps:
        if step % interval or steps - step < interval:
            epochs, length = 1, min(interval - step % interval, steps - step)
        else:
            epochs, length = (steps - step) // interval, interval
        yield step, epochs, length
        step += epochs * length
