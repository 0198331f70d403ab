"""What is done to the images that the discriminator sees, real and fake alike.

With few pictures a discriminator learns them by heart. It cannot if it never sees one twice as it
is; and the generator learns the undisturbed pictures all the same, as its gradient goes through
what was done.
"""

import keras
from keras import ops

from keras_sagan.errors import did_you_mean
from keras_sagan.sampling import latents


def _color(images, applied, brightness, saturation, contrast):
    """Adds up to +-0.5; colours to 0 to 2 times theirs; then contrast to 0.5 to 1.5 times."""
    shift, saturation, contrast = (
        ops.where(applied, value, neutral)[:, None, None, None]
        for value, neutral in (
            (brightness - 0.5, 0.0),
            (2.0 * saturation, 1.0),
            (contrast + 0.5, 1.0),
        )
    )
    gray = ops.mean(images, axis=3, keepdims=True)
    mean = ops.mean(gray, axis=(1, 2), keepdims=True)
    # The three in one: each pulls towards a mean which those before it move by `shift` alone.
    of_gray = contrast * (1.0 - saturation) * gray
    return contrast * saturation * images + (of_gray + (1.0 - contrast) * mean + shift)


def _translation(images, applied, vertical, horizontal):
    """Shifts by up to an eighth of the size, filling with 0."""
    batch, (height, width, channels) = ops.shape(images)[0], images.shape[1:]
    sources, inside = [], []
    for axis, draw in ((1, vertical), (2, horizontal)):
        size = images.shape[axis]
        reach = size // 8
        shift = ops.where(applied, ops.floor(draw * (2 * reach + 1)) - reach, 0.0)
        source = _along(axis, ops.arange(size) - ops.cast(shift, "int32")[:, None])
        inside.append(ops.logical_and(source >= 0, source < size))
        sources.append(ops.clip(source, 0, size - 1))
    # Matrices of zeros and ones would do too, a little faster on CPUs; but GPUs round what they
    # multiply.
    row = ops.arange(batch)[:, None, None] * height + sources[0]
    index = ops.reshape(row * width + sources[1], (-1,))
    pixels = ops.take(ops.reshape(images, (-1, channels)), index, axis=0)
    inside = ops.cast(ops.logical_and(*inside), images.dtype)[..., None]
    return ops.reshape(pixels, (-1, height, width, channels)) * inside


def _cutout(images, applied, vertical, horizontal):
    """Sets a square of half the size to 0, whose middle is anywhere in the image."""
    inside = applied[:, None, None]
    for axis, draw in ((1, vertical), (2, horizontal)):
        size = images.shape[axis]
        length = size // 2
        first = ops.floor(draw * (size + 1 - length % 2)) - length // 2
        place = _along(axis, ops.arange(size) - ops.cast(first, "int32")[:, None])
        inside = ops.logical_and(inside, ops.logical_and(place >= 0, place < length))
    return images * ops.cast(ops.logical_not(inside), images.dtype)[..., None]


def _along(axis, values):
    """Values (batch, size) as those of an axis of (batch, height, width)."""
    return values[:, :, None] if axis == 1 else values[:, None, :]


# Each with how many numbers it draws for an image, which are uniform in (0, 1).
_POLICIES = {"color": (_color, 3), "translation": (_translation, 2), "cutout": (_cutout, 2)}
_BELOW_1 = 1.0 - 2.0**-24  # in float32


@keras.saving.register_keras_serializable(package="keras_sagan")
class Augmentation(keras.layers.Layer):
    """Changes images at random before the discriminator sees them, differentiably.

    Args:
        policies: What may be done to an image, in this order: "color" (brightness, saturation,
            contrast), "translation" (by up to an eighth of the size, filled with 0, which is
            grey), "cutout" (a square of half the size becomes 0).
        probability: How probable each policy is, for each image by itself: from 0 to 1. Below 0.8
            the generator's pictures do not show what is done (Karras et al., section 2.2).
        target: What the mean sign of the logits on real images is steered to, such as 0.6: above
            it the discriminator is too sure of the pictures it knows, and the probability rises.
            It begins at 0 then, whatever `probability` is. None keeps the probability. (Losses that
            look at differences of logits alone, `wasserstein` and `relativistic_average_hinge`,
            leave their signs to chance: no target helps there.)
        adapt_images: Images after which a probability of 0 can have become 1.
        **kwargs: Of `keras.layers.Layer`.

    Raises:
        ValueError: An unknown policy, or a number outside its range.

    Example:

    >>> gan.compile(augmentation=keras_sagan.augmentation.Augmentation(target=0.6))

    Reference:
        Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020
        (arXiv:2006.10738), for the policies; Karras et al., Training Generative Adversarial
        Networks with Limited Data, NeurIPS 2020 (arXiv:2006.06676), eq. 1 and section 3, for the
        probability (whose policies are others). There it moves after every fourth update.
    """

    def __init__(
        self,
        policies=("color", "translation", "cutout"),
        probability=1.0,
        target=None,
        adapt_images=500_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for policy in policies:
            _check_policy(policy)
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be from 0 to 1, got {probability}")
        if target is not None and not -1 < target < 1:
            raise ValueError(f"target must be between -1 and 1, or None; got {target}")
        if adapt_images <= 0:
            raise ValueError(f"adapt_images must be above 0, got {adapt_images}")
        self.policies = tuple(policies)
        self.target = target
        self.adapt_images = adapt_images
        self.probability = probability
        if target is not None:
            self.probability = self._number("probability", "only_first_replica")
            self._mean_sign = self._number("mean_sign", "mean")
        self.built = True

    def augment(self, images, draw):
        """Returns images as the discriminator is to see them.

        Args:
            images: (batch, height, width, channels), float in [-1, 1]. Colours may leave that.
            draw: Function of a name that returns seeds (batch,) int32.
        """
        changed = ops.cast(images, "float32")
        for policy in self.policies:
            change, count = _POLICIES[policy]
            share, *draws = ops.unstack(latents.uniform(draw(policy), 1 + count), axis=1)
            changed = change(changed, ops.less(share, self.probability), *draws)
        return ops.cast(changed, images.dtype)

    def observe(self, real_logits, images, weight=1.0):
        """Moves the probability after an update of the discriminator, if there is a target.

        Args:
            real_logits: (batch, 1), of the real images of the update.
            images: How many they are over all replicas.
            weight: What their mean counts in that of all replicas.
        """
        if self.target is None:
            return
        signs = ops.sign(ops.cast(real_logits, "float32"))
        # Replicas average what they assign, so that all go the same way.
        self._mean_sign.assign(weight * ops.mean(signs))
        way = ops.sign(self._mean_sign - self.target)
        moved = self.probability + way * ops.cast(images, "float32") / self.adapt_images
        self.probability.assign(ops.clip(moved, 0.0, _BELOW_1))

    def _number(self, name, aggregation):
        return self.add_weight(
            name=name,
            shape=(),
            initializer="zeros",
            trainable=False,
            dtype="float32",
            aggregation=aggregation,
        )


def _check_policy(policy):
    if policy in _POLICIES:
        return
    hint = did_you_mean(policy, _POLICIES)
    raise ValueError(f"unknown policy {policy!r}{hint}: use some of {', '.join(_POLICIES)}")
