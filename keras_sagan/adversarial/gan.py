"""A generator and a discriminator, trained against each other with `fit`."""

import keras
from keras import ops

from keras_sagan.adversarial import losses
from keras_sagan.adversarial.fakes import label_sampler
from keras_sagan.adversarial.inputs import check_values, checked
from keras_sagan.adversarial.optimizers import Adam
from keras_sagan.adversarial.regularizers import ModelLosses
from keras_sagan.adversarial.throughput import Throughput
from keras_sagan.models import attention_layers
from keras_sagan.sampling import latents
from keras_sagan.sampling.inference import copy_of
from keras_sagan.sampling.sampler import Sampler

if keras.config.backend() == "jax":
    from keras_sagan.adversarial.jax_step import Step
else:
    from keras_sagan.adversarial.tensorflow_step import Step


@keras.saving.register_keras_serializable(package="keras_sagan")
class GAN(Step, keras.Model):
    """Trains a generator and a discriminator, and samples pictures.

    Args:
        generator: Model from `{"latent", "label"}` to images in [-1, 1]; without classes there
            is no "label". `keras_sagan.models` has some; any functional model will do.
        discriminator: Model from `{"image", "label"}` to logits (batch, 1).
        seed: Seed of the latents in training.
        **kwargs: Of `keras.Model`.

    Raises:
        ValueError: One model takes labels and the other does not.

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
        self._kept_sampler = None
        self.seed = seed
        self.conditional = "label" in generator.input
        if self.conditional != ("label" in discriminator.input):
            raise ValueError("generator and discriminator must both take labels, or neither")
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
        fake_labels="real",
        fake_latents=latents.normal,
        joint_batch=None,
        jit_compile=None,
        **kwargs,
    ):
        """Prepares training.

        Args:
            generator_optimizer: By default Adam as in the paper (learning rate 1e-4, beta1 0,
                beta2 0.9).
            discriminator_optimizer: By default Adam with 4e-4, 0 and 0.9.
            loss: A name in `keras_sagan.losses.LOSSES` or an `AdversarialLoss`.
            discriminator_steps: Discriminator updates a generator update. The batch (under
                `tf.distribute` each replica's part of it) is split into as many parts, so that
                every update sees new images.
            ema: Momentum of the exponential moving average of the generator, from which pictures
                are sampled: from 0 to below 1, or None for none.
            regularizers: `keras_sagan.regularizers.Regularizer`s to add to those of the loss. What
                the networks' own layers add to a loss (`add_loss`, weight decay) counts too.
            fake_labels: Classes of the generator's pictures: "real", those of the batch;
                "uniform", each class alike, as the official code; or a function of seeds
                (batch,) int32 and the batch's labels that returns labels (batch,) int32.
            fake_latents: Function of seeds (batch,) int32 and the length of a latent that returns
                latents (batch, length), such as `keras_sagan.latents.normal`, from which pictures
                are sampled too.
            joint_batch: Whether real and fake images go through the discriminator in one batch,
                which is faster; False keeps layers that mix a batch from mixing the two. None is
                False if the discriminator has batch normalization.
            jit_compile: Whether to use XLA. By default on JAX alone: TensorFlow is slower with it
                on CPUs.
            **kwargs: Of `keras.Model.compile`, such as `run_eagerly` or `steps_per_execution`.

        Raises:
            ValueError: An `ema` outside its range, an optimizer that averages, or other
                `fake_labels`.
        """
        if ema is not None and not 0 <= ema < 1:
            raise ValueError(f"ema must be from 0 to below 1, or None; got {ema}")
        generator_optimizer = generator_optimizer or Adam(1e-4, beta_1=0.0, beta_2=0.9)
        discriminator_optimizer = discriminator_optimizer or Adam(4e-4, beta_1=0.0, beta_2=0.9)
        optimizers = (generator_optimizer, discriminator_optimizer)
        if any(getattr(each, "inner_optimizer", each).use_ema for each in optimizers):
            raise ValueError("GAN averages by itself: give compile an ema, not optimizers use_ema")
        self.ema = ema
        self.loss_pair = losses.get(loss)
        self._fake_labels = label_sampler(fake_labels, self.generator)
        self._fake_latents = fake_latents
        if joint_batch is None:
            joint_batch = not _has_batch_statistics(self.discriminator)
        self.joint_batch = joint_batch
        own = [ModelLosses(network) for network in ("discriminator", "generator")]
        self.regularizers = [*self.loss_pair.regularizers, *regularizers, *own]
        self.discriminator_steps = discriminator_steps
        self.generator_optimizer = _with_loss_scale(generator_optimizer, self.generator)
        self.discriminator_optimizer = _with_loss_scale(discriminator_optimizer, self.discriminator)
        with self._strategy_scope():
            # `fit` would otherwise build them from a symbolic forward pass with a loss.
            self.generator_optimizer.build(self.generator.trainable_variables)
            self.discriminator_optimizer.build(self.discriminator.trainable_variables)
            if ema is None:
                self.ema_generator = None
            elif self.ema_generator is None:
                self.ema_generator = _copy_of(self.generator)
        jit_compile = self.jit_by_default if jit_compile is None else jit_compile
        # Keras knows of one optimizer, and here are two.
        super().compile(optimizer=None, jit_compile=jit_compile, **kwargs)

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
            callbacks: List of callbacks.
            **kwargs: Of `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`. It has the means over each epoch of both losses and of
            the logits on real and on fake images, every attention layer's gamma, and the steps
            and images a second.

        Raises:
            ValueError: Images or labels of another shape or range than the networks', or a batch
                that cannot be split into `discriminator_steps`. Nothing was trained then.
        """

        def check(data, is_batch):
            count = check_values(
                data,
                self.conditional,
                self.discriminator.input["image"].shape[1:],
                getattr(self.generator, "num_classes", None),
            )
            size = count if is_batch else batch_size or 32
            if size % self.discriminator_steps:
                raise ValueError(
                    f"a batch of {size} images cannot be split into "
                    f"discriminator_steps={self.discriminator_steps} equal parts"
                )

        x = checked(x, y, check)
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = [Throughput(), *(callbacks or [])]
        return super().fit(x, y, batch_size, *args, callbacks=callbacks, **kwargs)

    def call(self, inputs, training=None):
        return self.generator(inputs, training=training)

    @property
    def step(self):
        """Generator updates so far."""
        self._synchronize()
        return int(ops.convert_to_numpy(self._step))

    @property
    def images_seen(self):
        """Real images that the discriminator was trained on so far, over all replicas."""
        self._synchronize()
        return int(ops.convert_to_numpy(self._images_seen))

    @property
    def metrics(self):
        return list(self._means.values())

    def get_metrics_result(self):
        results = {name: mean.result() for name, mean in self._means.items()}
        for model in (self.generator, self.discriminator):
            for layer in attention_layers(model):
                results[f"{model.name}_{layer.name}_gamma"] = ops.cast(layer.gamma, "float32")
        return results

    def sample(self, seeds, labels=None, truncation=1.0, batch_size=64):
        """Draws pictures, (n, height, width, 3) uint8, from the averaged weights.

        Arguments and errors are those of `keras_sagan.sampling.sample`.
        """
        return self._up_to_date_sampler().sample(seeds, labels, truncation, batch_size)

    def sample_batches(self, seeds, labels=None, truncation=1.0, batch_size=64):
        """Draws pictures as `sample` does, but as an iterator of batches: for very many."""
        return self._up_to_date_sampler().batches(seeds, labels, truncation, batch_size)

    @property
    def sampler(self):
        """The generator that pictures are sampled from: the averaged one if there is one."""
        self._synchronize()
        return self.generator if self.ema_generator is None else self.ema_generator

    def _up_to_date_sampler(self):
        generator = self.sampler
        if self._kept_sampler is None or self._kept_sampler.generator is not generator:
            self._kept_sampler = Sampler(generator)
        else:
            self._kept_sampler.update()
        return self._kept_sampler

    def get_config(self):
        config = super().get_config()
        config.update(
            generator=keras.saving.serialize_keras_object(self.generator),
            discriminator=keras.saving.serialize_keras_object(self.discriminator),
            seed=self.seed,
            averaged=self.ema_generator is not None,
        )
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        for name in ("generator", "discriminator"):
            config[name] = keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
        averaged = config.pop("averaged")
        gan = cls(**config)
        if averaged:  # its weights are loaded with the others
            gan.ema_generator = _copy_of(gan.generator)
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


def _with_loss_scale(optimizer, model):
    """Wraps an optimizer, unless it is already, if the model computes in float16."""
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if scaled or "float16" not in {layer.compute_dtype for layer in model.layers}:
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def _copy_of(model):
    copy = copy_of(model)
    copy.set_weights(model.get_weights())
    return copy


def _has_batch_statistics(model):
    return any(
        isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers()
    )
