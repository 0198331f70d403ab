"""A generator and a discriminator, trained against each other with `fit`."""

import operator
import random
import types

import keras
from keras import ops

from keras_sagan.adversarial import callback_list, compiling, losses, saving
from keras_sagan.adversarial.drawing import Drawing, copy_of_generator
from keras_sagan.adversarial.fakes import label_sampler
from keras_sagan.adversarial.inputs import check_no_weights, check_values, checked
from keras_sagan.adversarial.regularizers import ModelLosses
from keras_sagan.models import named_networks
from keras_sagan.sampling import latents

if keras.config.backend() == "jax":
    from keras_sagan.adversarial.jax_step import Step
elif keras.config.backend() == "torch":
    from keras_sagan.adversarial.torch_step import Step
elif keras.config.backend() == "tensorflow":
    from keras_sagan.adversarial.tensorflow_step import Step
else:
    raise ImportError(
        "GAN trains on Keras's tensorflow, jax and torch backends, and this is "
        f"{keras.config.backend()}: set KERAS_BACKEND before Keras is imported"
    )


@keras.saving.register_keras_serializable(package="keras_sagan")
class GAN(Drawing, Step, keras.Model):
    """Trains a generator and a discriminator, and samples pictures.

    Args:
        generator: Model from latents (batch, length) and, with classes, labels (batch,) to images
            in [-1, 1], such as those of `keras_sagan.models`. Functional, `keras.Sequential` or of
            a class of its own; it takes a dictionary `{"latent", "label"}`, a list in this order,
            one tensor, or two arguments. One that was not built yet tells the length of its
            latents by an attribute `latent_dim`. The number of classes is that of an attribute
            `num_classes`.
        discriminator: Model from images and, with classes, labels to logits (batch, 1): the same
            with "image" for "latent".
        seed: Seed of the latents in training, from 0 to 2**32 - 1; None takes one at random.
        **kwargs: Of `keras.Model`.

    A call of the GAN, `predict` and `export` are those of `sampler`: images of latents and labels.

    Raises:
        ValueError: Networks whose inputs cannot be understood, or of which one takes labels and
            the other does not; or another seed.

    Example:

    >>> gan = keras_sagan.GAN(
    ...     keras_sagan.models.DCGANGenerator(image_size=64),
    ...     keras_sagan.models.DCGANDiscriminator(image_size=64),
    ... )
    >>> gan.compile()
    >>> gan.fit(dataset, epochs=10)
    >>> gan.sample(range(16)).shape
    (16, 64, 64, 3)
    """

    def __init__(self, generator, discriminator, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.generator = generator
        self.discriminator = discriminator
        self.ema_generator = None
        self.generator_optimizer = None
        self.regularizers = []
        self.augmentation = None
        self._kept_sampler = None
        self.seed = _checked_seed(seed)
        # In a namespace, which Keras does not look into: their layers are those of the networks.
        named = named_networks(generator, discriminator)
        self.named = types.SimpleNamespace(generator=named[0], discriminator=named[1])
        self.conditional = "label" in self.named.generator.input
        self._step = self._counter("step")
        self._images_seen = self._counter("images_seen")
        self._means = {
            name: keras.metrics.Mean(name=name)
            for name in ("discriminator_loss", "generator_loss", "real_logits", "fake_logits")
        }
        self.built = True

    def compile(
        self,
        generator_optimizer=None,
        discriminator_optimizer=None,
        loss="hinge",
        discriminator_steps=1,
        ema=0.999,
        regularizers=(),
        augmentation=None,
        fake_labels="real",
        fake_latents=latents.normal,
        joint_batch=None,
        jit_compile=None,
        **kwargs,
    ):
        """Prepares training.

        Args:
            generator_optimizer: A Keras optimizer or its name; by default Adam as in the paper
                (learning rate 1e-4, beta1 0, beta2 0.9).
            discriminator_optimizer: Likewise, by default Adam with 4e-4, 0 and 0.9. A schedule of
                its rate counts `discriminator_steps` updates a step.
            loss: A name in `keras_sagan.losses.LOSSES` or an `AdversarialLoss`.
            discriminator_steps: Discriminator updates a generator update. The batch (under
                `tf.distribute` each replica's part of it) is split into as many parts, so that
                every update sees new images.
            ema: Momentum of the exponential moving average of the generator, from which pictures
                are sampled: from 0 to below 1, or None for none. After t steps it is
                t / (t + 14) at most, or the beginning would be remembered too long.
            regularizers: `keras_sagan.regularizers.Regularizer`s to add to those of the loss. What
                the networks' own layers add to a loss (`add_loss`, weight decay) counts too.
            augmentation: A `keras_sagan.augmentation.Augmentation` of all images, real and fake,
                that the discriminator sees in training; None for none.
            fake_labels: Classes of the generator's pictures: "real", those of the batch;
                "uniform", each class alike, as the official code; or a function of seeds
                (batch,) int32 and the batch's labels that returns labels (batch,) int32.
            fake_latents: Function of seeds (batch,) int32 and the length of a latent that returns
                latents (batch, length), such as `keras_sagan.latents.normal`, from which pictures
                are sampled too.
            joint_batch: Whether real and fake images go through the discriminator in one batch,
                which is faster; False keeps layers that mix a batch from mixing the two. None is
                False if the discriminator has batch normalization.
            jit_compile: Whether to use XLA. By default on JAX alone: on CPUs TensorFlow is slower
                with it, but for networks whose operations take no longer than their start.
            **kwargs: Of `keras.Model.compile`, such as `run_eagerly` or `steps_per_execution`.

        Raises:
            ValueError: An `ema` outside its range, an optimizer that averages or is that of both
                networks, another `augmentation`, other `fake_labels`, or arguments of Keras that a
                GAN has no use for.
        """
        compiling.check_names(kwargs)
        if ema is not None and not 0 <= ema < 1:
            raise ValueError(f"ema must be from 0 to below 1, or None; got {ema}")
        optimizers = compiling.two_optimizers(generator_optimizer, discriminator_optimizer)
        self._compile_arguments = types.SimpleNamespace(
            generator_optimizer=optimizers[0],
            discriminator_optimizer=optimizers[1],
            loss=loss,
            discriminator_steps=discriminator_steps,
            ema=ema,
            regularizers=list(regularizers),
            augmentation=augmentation,
            fake_labels=fake_labels,
            fake_latents=fake_latents,
            joint_batch=joint_batch,
            jit_compile=jit_compile,
            **kwargs,
        )
        self.ema = ema
        if ema is None:
            self.ema_generator = None
        elif self.ema_generator is None:
            with self._strategy_scope():
                self.ema_generator = copy_of_generator(self.named.generator)
        self.loss_pair = losses.get(loss)
        self._fake_labels = label_sampler(fake_labels, self.named.generator)
        self._fake_latents = fake_latents
        if joint_batch is None:
            joint_batch = not compiling.has_batch_statistics(self.discriminator)
        self.joint_batch = joint_batch
        own = [ModelLosses(network) for network in ("discriminator", "generator")]
        self.regularizers = [*self.loss_pair.regularizers, *regularizers, *own]
        self.augmentation = compiling.checked_augmentation(augmentation)
        self.discriminator_steps = discriminator_steps
        self.generator_optimizer, self.discriminator_optimizer = optimizers = [
            compiling.with_loss_scale(optimizer, network)
            for optimizer, network in zip(
                optimizers, (self.generator, self.discriminator), strict=True
            )
        ]
        with self._strategy_scope():
            # `fit` would otherwise build them from a symbolic forward pass with a loss.
            self.generator_optimizer.build(self.generator.trainable_variables)
            self.discriminator_optimizer.build(self.discriminator.trainable_variables)
        jit_compile = self.jit_by_default if jit_compile is None else jit_compile
        # Keras knows of one optimizer, and here are two.
        super().compile(optimizer=None, jit_compile=jit_compile, **kwargs)
        self.optimizer = compiling.as_one_optimizer(*optimizers)

    def get_compile_config(self):
        return saving.serialized_arguments(vars(self._compile_arguments)) if self.compiled else {}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x=None, y=None, batch_size=None, *args, callbacks=None, **kwargs):
        """As `keras.Model.fit`, on batches of images or (images, labels).

        Args:
            x: Images (batch, height, width, 3), integers from 0 to 255 or float in [-1, 1], or
                pairs of them and integer labels (batch,), or dictionaries with "image" and
                "label", in batches: a `tf.data.Dataset`, or what else Keras takes. Or an array of
                all images, and `y` one of all labels. Models without classes take no account of
                labels. The first batch, or all of an array, is looked at before training.
            y: See `x`.
            batch_size: Of arrays; None is 32.
            *args: Of `keras.Model.fit`.
            callbacks: A callback, or a list of them. `LearningRateScheduler` and
                `ReduceLROnPlateau` set the rates of both optimizers.
            **kwargs: Of `keras.Model.fit`. With `validation_data` or `validation_split`, the logs
                have what `evaluate` gives for it too, by the names with `val_` before them.

        Returns:
            The `keras.callbacks.History`. It has the means over each epoch of both losses and of
            the logits on real and on fake images, every attention layer's gamma, learning rates
            that follow a schedule, and the steps and images a second.

        Raises:
            ValueError: Images or labels of another shape or range than the networks', a batch
                that cannot be split into `discriminator_steps`, data with weights
                (`class_weight`, `sample_weight`), or a callback that cannot do its work with a
                GAN. Nothing was trained then.
        """
        check_no_weights(kwargs.get("class_weight"), kwargs.get("sample_weight"))
        validated = kwargs.get("validation_data") is not None or kwargs.get("validation_split")
        callbacks = callback_list.with_own(callbacks, list(self._means), validated)

        def check(data, is_batch):
            count = self._check_values(data)
            size = count if is_batch else batch_size or 32
            if size % self.discriminator_steps:
                raise ValueError(
                    f"a batch of {size} images cannot be split into "
                    f"discriminator_steps={self.discriminator_steps} equal parts"
                )

        x = checked(x, y, check)
        if (held_out := kwargs.get("validation_data")) is not None:
            kwargs["validation_data"] = self._checked_held_out(held_out)
        return super().fit(x, y, batch_size, *args, callbacks=callbacks, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.evaluate`, on held-out images or (images, labels), as of `fit`.

        Args:
            x: As of `fit`.
            y: As of `fit`.
            *args: Of `keras.Model.evaluate`.
            **kwargs: Of `keras.Model.evaluate`.

        Returns:
            The adversarial losses of both networks as they are at inference, without what
            regularizers add, and the mean logits of these images and of as many fakes, which are
            the same in each evaluation. A discriminator that gives held-out images smaller logits
            than those it was trained on has learnt these by heart. No weight changes.
        """
        if not kwargs.get("_use_cached_eval_dataset"):  # of `fit`, which has looked at it
            x = checked(x, y, self._check_values)
        return super().evaluate(x, y, *args, **kwargs)

    def _check_values(self, data, is_batch=True):
        image_shape = self.named.discriminator.input["image"].shape[1:]
        num_classes = getattr(self.generator, "num_classes", None)
        return check_values(data, self.conditional, image_shape, num_classes)

    def _checked_held_out(self, data):
        """What `validation_data` is, after a look at it."""
        if not isinstance(data, (tuple, list)):
            return checked(data, None, self._check_values)
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        check_no_weights(weights)
        return checked(x, y, self._check_values), y

    @property
    def step(self):
        """Generator updates so far."""
        self._synchronize()
        return int(ops.convert_to_numpy(self._step))

    @step.setter
    def step(self, step):
        self._step.assign(step)

    @property
    def images_seen(self):
        """Real images that the discriminator was trained on so far, over all replicas."""
        self._synchronize()
        return int(ops.convert_to_numpy(self._images_seen))

    @property
    def metrics(self):
        return list(self._means.values())

    def get_config(self):
        config = super().get_config()
        config.update(
            generator=saving.serialized_network(self.generator),
            discriminator=saving.serialized_network(self.discriminator),
            seed=self.seed,
            averaged=self.ema_generator is not None,
        )
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        for name in ("generator", "discriminator"):
            config[name] = saving.network_of(config[name], custom_objects)
        averaged = config.pop("averaged")
        gan = cls(**config)
        if averaged:  # its weights are loaded with the others
            gan.ema_generator = copy_of_generator(gan.named.generator)
        return gan

    def _counter(self, name):
        return self.add_weight(
            name=name,
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )


def _checked_seed(seed):
    if seed is None:
        return random.SystemRandom().randrange(2**32)
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**32:
        raise ValueError(f"seed must be an integer from 0 to {2**32 - 1}, or None; got {seed!r}")
    return number
