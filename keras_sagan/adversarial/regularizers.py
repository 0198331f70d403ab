"""What is added to the loss of a network beside the adversarial loss.

A regularizer is a layer, so that what it remembers is saved and restored with the `GAN`. It has a
method `term(update)`, which returns the scalar to add, given an `Update` of its network.
"""

import dataclasses
from collections.abc import Callable

import keras
from keras import ops

from keras_sagan.sampling import latents


@dataclasses.dataclass(frozen=True)
class Update:
    """What a regularizer sees of one update of a network.

    Args:
        critic: Function of images (batch, height, width, 3) in [-1, 1] and labels (batch,) or None
            that returns the discriminator's logits (batch, 1) of them, augmented if the `GAN` has
            an augmentation. It changes no state, and gradients follow its weights in updates of
            the discriminator alone.
        real: Images of the data.
        real_labels: Their labels, or None without classes.
        real_logits: What the update itself has computed of them, (batch, 1), which gradients
            follow as those of `critic`. In an update of the generator None, or, with a
            relativistic loss, constants.
        fake: Images of the generator.
        fake_labels: Their labels, or None.
        fake_logits: Likewise, in updates of both networks.
        weight: What a mean over these images counts in the mean over all devices, each of which
            has its part of a batch: 1 unless the parts differ.
        model_losses: A list for each call of the network in this update, of the losses that its
            layers added and of the regularizers of its weights.
        draw: Function of a name that returns seeds (batch,) int32, as of `sampling.draws`: others
            at each step, and for each name.
        input_gradient: Function of (function, inputs) that returns the gradient of the sum of
            `function(inputs)` by the inputs.
    """

    critic: Callable
    real: object
    real_labels: object
    real_logits: object
    fake: object
    fake_labels: object
    fake_logits: object
    weight: object
    model_losses: list
    draw: Callable
    input_gradient: Callable


class Regularizer(keras.layers.Layer):
    """One term of a network's loss.

    A subclass has a method `term(update)`; what it remembers are weights with `trainable=False`,
    which it makes in its constructor (for several devices with an `aggregation`, as "mean") and
    assigns in `term`.

    Args:
        network: "discriminator" or "generator": whose loss it is a term of.
        every: Steps from one time that the term is added to the next. It counts `every` times as
            much then, which is the same on average (lazy regularization: Karras et al.,
            arXiv:1912.04958, appendix B).
        **kwargs: Of `keras.layers.Layer`. Two of one class that draw need names of their own.

    Raises:
        ValueError: Another network, or `every` below 1.

    Example:

    >>> class SmallLogits(keras_sagan.regularizers.Regularizer):
    ...     def term(self, update):
    ...         logits = update.critic(update.real, update.real_labels)
    ...         return 1e-3 * keras.ops.mean(keras.ops.square(logits))
    >>> gan.compile(regularizers=[SmallLogits(every=4)])
    """

    def __init__(self, network="discriminator", every=1, **kwargs):
        # A fixed name, on which the draws depend: Keras would count the instances.
        kwargs.setdefault("name", type(self).__name__)
        super().__init__(**kwargs)
        if network not in ("discriminator", "generator"):
            raise ValueError(f'network must be "discriminator" or "generator", got {network!r}')
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self.network = network
        self.every = every
        self.built = True


@keras.saving.register_keras_serializable(package="keras_sagan")
class GradientPenalty(Regularizer):
    """Keeps the gradient of the logits by the image at length 1, between real and fake images.

    Args:
        weight: Factor of the penalty.
        **kwargs: Of `Regularizer`.

    Reference:
        Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017 (arXiv:1704.00028),
        eq. 3.
    """

    def __init__(self, weight=10.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def term(self, update):
        share = latents.uniform(update.draw("between"), 1)[:, :, None, None]
        fake = ops.cast(update.fake, update.real.dtype)
        squares = _squared_gradients(update, share * update.real + (1.0 - share) * fake)
        norm = ops.sqrt(squares + 1e-12)  # whose own gradient is infinite at 0
        return self.weight * ops.mean(ops.square(norm - 1.0))


@keras.saving.register_keras_serializable(package="keras_sagan")
class R1Penalty(Regularizer):
    """Keeps the gradient of the logits by real images small: weight / 2 * E[|gradient|^2].

    Args:
        weight: The gamma of the paper, which has 10 for pictures of 128x128 and more. It grows
            with the picture: StyleGAN2-ADA takes 0.01 for CIFAR-10.
        every: Steps from one penalty to the next, as of `Regularizer`.
        **kwargs: Of `Regularizer`.

    Reference:
        Mescheder et al., Which Training Methods for GANs do actually Converge?, ICML 2018
        (arXiv:1801.04406), eq. 9.
    """

    def __init__(self, weight=10.0, every=16, **kwargs):
        super().__init__(every=every, **kwargs)
        self.weight = weight

    def term(self, update):
        return 0.5 * self.weight * ops.mean(_squared_gradients(update, update.real))


def _squared_gradients(update, images):
    """Squared lengths of the gradients of the logits by images: (batch,) float32."""
    gradient = update.input_gradient(lambda image: update.critic(image, update.real_labels), images)
    return ops.sum(ops.square(ops.cast(gradient, "float32")), axis=(1, 2, 3))


@keras.saving.register_keras_serializable(package="keras_sagan")
class LeCam(Regularizer):
    """Keeps logits near the moving average of those of the other kind: real near fake, fake near
    real.

    The averages are of the means of a batch, with this one, and without the bias towards the 0 that
    they begin at, so that the term says something from the first update on. (The authors' code for
    StyleGAN2 does so too; that for BigGAN leaves the term out of the first 1,000 updates. In both
    only the part counts in which real logits exceed the average of the fakes, or fakes are below
    that of the real ones; here it is the whole of the paper's equation.)

    Args:
        weight: Factor of the term. The authors' scripts for a tenth of CIFAR-10 have 0.3 with
            BigGAN and the hinge loss, and 1e-6 with StyleGAN2.
        decay: What is kept of the averages in an update.
        **kwargs: Of `Regularizer`.

    Raises:
        ValueError: A `decay` that is not from 0 to below 1.

    Reference:
        Tseng et al., Regularizing Generative Adversarial Networks under Limited Data, CVPR 2021
        (arXiv:2104.03310), eq. 4 and 5.
    """

    def __init__(self, weight=0.3, decay=0.99, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be from 0 to below 1, got {decay}")
        self.weight = weight
        self.decay = decay
        # Of the mean logits on real and on fake images, and of 1, which is what they lack.
        self.averages = self.add_weight(
            name="averages",
            shape=(3,),
            initializer="zeros",
            trainable=False,
            dtype="float32",
            aggregation="mean",
        )

    def term(self, update):
        real, fake = (
            ops.cast(logits, "float32") for logits in (update.real_logits, update.fake_logits)
        )
        means = ops.stop_gradient(ops.stack([ops.mean(real), ops.mean(fake), ops.ones(())]))
        new = (1.0 - self.decay) * update.weight * means
        self.averages.assign(self.decay * self.averages + new)
        of_real, of_fake, of_one = ops.unstack(ops.convert_to_tensor(self.averages))
        distances = ops.mean(ops.square(real - of_fake / of_one)) + ops.mean(
            ops.square(fake - of_real / of_one)
        )
        return self.weight * distances


@keras.saving.register_keras_serializable(package="keras_sagan")
class ModelLosses(Regularizer):
    """The network's own losses: weight regularizers, and what its layers add by `add_loss`.

    Every `GAN` has one for each network. A network that is called on real and on fake images in
    turn has the mean over both calls, as over one batch of both.
    """

    def term(self, update):
        losses = [loss for of_call in update.model_losses for loss in of_call]
        total = sum(ops.cast(ops.sum(loss), "float32") for loss in losses)
        return total / len(update.model_losses)
