"""Learning rates over the steps of a run."""

from keras_sagan.errors import InputError


def with_decay_steps(config, done=0):
    """Returns the config with `optimizer.decay_steps` as a number, where the rates decay.

    It is in the run's config from the beginning, so that a run which goes on for more steps than
    it was to have does not go another way than it came.

    Args:
        config: A `Config`.
        done: Steps of an imported run, whose optimizers begin anew.

    Raises:
        InputError: A warm-up that leaves no step to decay in.
    """
    optimizer = config.optimizer
    steps = None
    if optimizer.schedule != "constant":
        steps = optimizer.decay_steps or config.train.steps - done
        if optimizer.warmup_steps >= steps:
            raise InputError(
                f"optimizer.warmup_steps is {optimizer.warmup_steps}, which leaves none of the "
                f"{steps} steps for the rate to decay (optimizer.decay_steps, or train.steps)"
            )
    optimizer = optimizer.model_copy(update={"decay_steps": steps})
    return config.model_copy(update={"optimizer": optimizer})


def said(config, done=0):
    """Returns the lines about steps in which nothing would be learned.

    Args:
        config: A `Config` that `with_decay_steps` returned.
        done: Steps before those that the optimizers count: those of an imported run.
    """
    optimizer = config.optimizer
    if optimizer.schedule == "constant" or optimizer.final_share:
        return []
    end = done + optimizer.decay_steps
    if end >= config.train.steps:
        return []
    return [
        f"the learning rates are 0 from step {end} on (optimizer.schedule is "
        f"{optimizer.schedule}): the steps after it, to {config.train.steps}, teach nothing; a "
        "new run with --init-from can go on from there"
    ]


def learning_rates(config):
    """Returns those of the generator and the discriminator, as Keras's optimizers take them.

    An optimizer counts its updates, of which the discriminator has several a step.
    """
    optimizer = with_decay_steps(config).optimizer
    return (
        _learning_rate(optimizer, optimizer.generator_learning_rate, 1),
        _learning_rate(
            optimizer, optimizer.discriminator_learning_rate, config.train.discriminator_steps
        ),
    )


def _learning_rate(optimizer, rate, updates):
    from keras.optimizers.schedules import CosineDecay, PolynomialDecay

    from keras_sagan.adversarial.optimizers import WarmUp

    warmup = updates * optimizer.warmup_steps
    share = optimizer.final_share
    if optimizer.schedule == "cosine":
        rate = CosineDecay(rate, updates * optimizer.decay_steps - warmup, alpha=share)
    elif optimizer.schedule == "linear":
        steps = updates * optimizer.decay_steps - warmup
        rate = PolynomialDecay(rate, steps, end_learning_rate=share * rate)
    return WarmUp(rate, warmup) if warmup else rate
