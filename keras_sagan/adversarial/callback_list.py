"""The callbacks of `GAN.fit`: its own, and those that Keras made for models of one loss."""

import keras

from keras_sagan.adversarial.throughput import Throughput
from keras_sagan.models import attention_layers

_REFUSED = {
    keras.callbacks.SwapEMAWeights: (
        "a GAN averages its generator by itself (ema of compile), and samples from the averages"
    ),
    keras.callbacks.TerminateOnNaN: (
        "it looks at a loss of which a GAN has two: use keras_sagan.callbacks.StopOnNonFiniteLoss"
    ),
}


class AttentionGammas(keras.callbacks.Callback):
    """Adds every attention layer's gamma to the logs of each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        for model in vars(self.model.named).values():
            for layer in attention_layers(model):
                gamma = keras.ops.convert_to_numpy(layer.gamma)
                logs[f"{model.name}_{layer.name}_gamma"] = float(gamma)


class LearningRates(keras.callbacks.Callback):
    """Adds the learning rates to the logs of each epoch, where they follow a schedule.

    They are those of the next update.
    """

    def on_epoch_end(self, epoch, logs=None):
        for optimizer in self.model.optimizer.optimizers:
            rate = optimizer.learning_rate
            if not isinstance(rate, keras.Variable):
                rate = float(keras.ops.convert_to_numpy(rate))
                logs[f"{optimizer.name}_learning_rate"] = rate


class AugmentationProbability(keras.callbacks.Callback):
    """Adds the probability of an adaptive augmentation to the logs of each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        augmentation = self.model.augmentation
        if augmentation is not None and augmentation.target is not None:
            probability = keras.ops.convert_to_numpy(augmentation.probability)
            logs["augmentation_probability"] = float(probability)


def own():
    """Returns the callbacks that every `GAN` has, which add to the logs what is not a mean."""
    return [Throughput(), AttentionGammas(), LearningRates(), AugmentationProbability()]


def with_own(callbacks, metrics, validated):
    """Returns the callbacks of a `fit`, with those that every GAN has.

    Args:
        callbacks: A callback, a list of them, None, or a `keras.callbacks.CallbackList`, to which
            nothing is added.
        metrics: Names of what the GAN reports.
        validated: Whether there are held-out images.

    Raises:
        ValueError: A callback that cannot do its work here.
    """
    if isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [callbacks]
    given = getattr(callbacks, "callbacks", callbacks) or []
    for callback in given:
        _check(callback, metrics, validated)
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    return [*own(), *given]


def _check(callback, metrics, validated):
    name = type(callback).__name__
    for refused, reason in _REFUSED.items():
        if isinstance(callback, refused):
            raise ValueError(f"{name} does not work with a GAN: {reason}")
    monitor = getattr(callback, "monitor", None)
    if not isinstance(monitor, str) or not getattr(callback, "save_best_only", True):
        return
    if monitor in ("loss", "val_loss"):
        raise ValueError(
            f"{name} monitors {monitor!r}, but a GAN has two losses: give monitor one of "
            f"{', '.join(metrics)}, or val_ and one of these, and mode"
        )
    if not validated and monitor.removeprefix("val_") in metrics and monitor not in metrics:
        raise ValueError(f"{name} monitors {monitor!r}: give fit validation_data too")
    if getattr(callback, "mode", None) == "auto" and monitor.removeprefix("val_") in metrics:
        raise ValueError(
            f"{name} monitors {monitor!r}, which may be better high or low: give it "
            "mode='min' or mode='max'"
        )
