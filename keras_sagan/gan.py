"""A generator and a discriminator, trained against each other with `fit`."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_sagan import callbacks as callbacks_module
from keras_sagan import latents, losses, sampling
from keras_sagan.models import attention_layers


@keras.saving.register_keras_serializable(package="keras_sagan")
class GAN(keras.Model):
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
        jit_compile=False,
        **kwargs,
    ):
        """Prepares training.

        Args:
            generator_optimizer: By default Adam as in the paper (learning rate 1e-4, beta1 0,
                beta2 0.9) with an exponential moving average of 0.999. Pictures are sampled
                from the averaged weights if the optimizer has `use_ema=True`.
            discriminator_optimizer: By default Adam with 4e-4, 0 and 0.9.
            loss: A name in `keras_sagan.losses.LOSSES` or an `AdversarialLoss`.
            discriminator_steps: Discriminator updates a generator update. The batch (under
                `tf.distribute` each replica's part of it) is split into as many parts, so that
                every update sees new images.
            jit_compile: Whether to use XLA. Off by default: on CPUs it is slower.
            **kwargs: Of `keras.Model.compile`, such as `run_eagerly` or `steps_per_execution`.
        """
        generator_optimizer = generator_optimizer or keras.optimizers.Adam(
            1e-4, beta_1=0.0, beta_2=0.9, use_ema=True, ema_momentum=0.999
        )
        discriminator_optimizer = discriminator_optimizer or keras.optimizers.Adam(
            4e-4, beta_1=0.0, beta_2=0.9
        )
        self.loss_pair = losses.get(loss)
        self.discriminator_steps = discriminator_steps
        # Keras is not told of an optimizer: at the end of `fit` it would overwrite the weights of
        # the generator with their averages, and training could not go on from where it was.
        super().compile(optimizer=None, jit_compile=jit_compile, **kwargs)
        self.generator_optimizer = _with_loss_scale(generator_optimizer, self.generator)
        self.discriminator_optimizer = _with_loss_scale(discriminator_optimizer, self.discriminator)
        with self.distribute_strategy.scope():
            # `fit` would otherwise build them from a symbolic forward pass with a loss.
            self.generator_optimizer.build(self.generator.trainable_variables)
            self.discriminator_optimizer.build(self.discriminator.trainable_variables)
            if not self._averaging_optimizer.use_ema:
                self.ema_generator = None
            elif self.ema_generator is None:
                self.ema_generator = _copy_of(self.generator)

    def fit(self, x=None, *args, callbacks=None, **kwargs):
        """As `keras.Model.fit`, on batches of images or (images, labels).

        Args:
            x: A `tf.data.Dataset` of images (batch, height, width, 3), uint8 or float in
                [-1, 1], or of pairs of images and integer labels (batch,). Models without
                classes take no account of labels.
            *args: Of `keras.Model.fit`.
            callbacks: List of callbacks.
            **kwargs: Of `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`. It has the means over each epoch of both losses and of
            the logits on real and on fake images, every attention layer's gamma, and the steps
            and images a second.
        """
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = [callbacks_module.Throughput(), *(callbacks or [])]
        return super().fit(x, *args, callbacks=callbacks, **kwargs)

    def call(self, inputs, training=None):
        return self.generator(inputs, training=training)

    @property
    def step(self):
        """Generator updates so far."""
        return int(ops.convert_to_numpy(self._step))

    @property
    def images_seen(self):
        """Real images that the discriminator was trained on so far, over all replicas."""
        return int(ops.convert_to_numpy(self._images_seen))

    @property
    def _averaging_optimizer(self):
        """The generator's optimizer, without the loss scaling around it."""
        return getattr(self.generator_optimizer, "inner_optimizer", self.generator_optimizer)

    @property
    def metrics(self):
        return list(self._means.values())

    def get_metrics_result(self):
        results = {name: mean.result() for name, mean in self._means.items()}
        for model in (self.generator, self.discriminator):
            for layer in attention_layers(model):
                results[f"{model.name}_{layer.name}_gamma"] = ops.cast(layer.gamma, "float32")
        return results

    def train_step(self, data):
        images, labels = self._unpack(data)
        if (images.shape[0] or 0) % self.discriminator_steps:
            raise ValueError(
                f"a batch of {images.shape[0]} images (of each replica) cannot be split into "
                f"discriminator_steps={self.discriminator_steps} equal parts"
            )
        parts = tf.split(images, self.discriminator_steps)
        label_parts = (
            tf.split(labels, self.discriminator_steps)
            if self.conditional
            else [None] * self.discriminator_steps
        )
        for i, (real, label) in enumerate(zip(parts, label_parts, strict=True)):
            self._discriminator_step(real, label, i)
        self._generator_step(parts[-1], label_parts[-1])
        self._step.assign_add(1)
        replicas = self.distribute_strategy.num_replicas_in_sync
        self._images_seen.assign_add(tf.shape(images)[0] * replicas)
        return self.get_metrics_result()

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
        return self.generator if self.ema_generator is None else self.ema_generator

    def _up_to_date_sampler(self):
        self.update_ema_generator()
        if self._kept_sampler is None or self._kept_sampler.generator is not self.sampler:
            self._kept_sampler = sampling.Sampler(self.sampler)
        else:
            self._kept_sampler.update()
        return self._kept_sampler

    def update_ema_generator(self):
        """Copies the averaged weights, which Keras keeps in the optimizer, to `ema_generator`."""
        # Without a compiled optimizer, or before its first step, there is nothing new to copy.
        optimizer = self._averaging_optimizer
        if self.ema_generator is None or optimizer is None:
            return
        if int(ops.convert_to_numpy(optimizer.iterations)) > 0:
            optimizer.finalize_variable_values(self.ema_generator.trainable_variables)

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

    def _unpack(self, data):
        images, labels = data[:2] if isinstance(data, (tuple, list)) else (data, None)
        if images.dtype == tf.uint8:
            images = tf.cast(images, tf.float32) / 127.5 - 1.0
        if not self.conditional:
            return images, None
        if labels is None:
            raise ValueError("the models take labels: fit needs a dataset of (images, labels)")
        return images, tf.cast(labels, tf.int32)

    def _seeds(self, batch, stream):
        """Seeds of the pictures of one update: the same whatever the number of replicas.

        Streams number the draws of one training step: the discriminator's updates, then the
        generator's, then the gradient penalties.
        """
        replicas = self.distribute_strategy.num_replicas_in_sync
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        streams = 2 * self.discriminator_steps + 1
        first = self._images_seen.value * streams + (stream * replicas + replica) * batch
        # Hashed, so that runs with neighbouring seeds do not share pictures.
        base = int(latents.numpy_hash(np.array([self.seed], np.uint32)).view(np.int32)[0])
        return tf.range(batch, dtype=tf.int32) + first + base

    def _fake(self, batch, label, stream):
        latent = latents.normal(self._seeds(batch, stream), self.generator.input["latent"].shape[1])
        return self.generator(_inputs("latent", latent, label), training=True)

    def _discriminator_step(self, real, label, i):
        batch = tf.shape(real)[0]
        fake = self._fake(batch, label, stream=i)
        with tf.GradientTape() as tape:
            real_logits, fake_logits = self._discriminate(real, fake, label)
            loss = self.loss_pair.discriminator(real_logits, fake_logits)
            if self.loss_pair.gradient_penalty:
                stream = self.discriminator_steps + 1 + i
                penalty = self._gradient_penalty(real, fake, label, self._seeds(batch, stream))
                loss += self.loss_pair.gradient_penalty * penalty
            scaled = self._scale(loss, self.discriminator_optimizer)
        variables = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply(tape.gradient(scaled, variables), variables)
        self._means["discriminator_loss"].update_state(loss)
        self._means["real_logits"].update_state(real_logits)
        self._means["fake_logits"].update_state(fake_logits)

    def _generator_step(self, real, label):
        real_logits = None
        if self.loss_pair.relativistic:
            with frozen(self.discriminator):
                real_logits = self.discriminator(_inputs("image", real, label), training=True)
        with tf.GradientTape() as tape:
            fake = self._fake(tf.shape(real)[0], label, stream=self.discriminator_steps)
            with tape.stop_recording():
                scope = frozen(self.discriminator)
            with scope:
                fake_logits = self.discriminator(_inputs("image", fake, label), training=True)
            loss = self.loss_pair.generator(real_logits, fake_logits)
            scaled = self._scale(loss, self.generator_optimizer)
        variables = self.generator.trainable_variables
        self.generator_optimizer.apply(tape.gradient(scaled, variables), variables)
        self._average_batch_statistics()
        self._means["generator_loss"].update_state(loss)

    def _discriminate(self, real, fake, label):
        """Logits of real and fake images, in one pass unless batch statistics would mix."""
        if _has_batch_statistics(self.discriminator):
            return tuple(
                self.discriminator(_inputs("image", image, label), training=True)
                for image in (real, fake)
            )
        image = tf.concat([real, tf.cast(fake, real.dtype)], axis=0)
        label = None if label is None else tf.concat([label, label], axis=0)
        return tf.split(self.discriminator(_inputs("image", image, label), training=True), 2)

    def _gradient_penalty(self, real, fake, label, seeds):
        weight = latents.uniform(seeds, 1)[:, :, None, None]
        between = weight * real + (1.0 - weight) * tf.cast(fake, real.dtype)
        with frozen(self.discriminator), tf.GradientTape() as tape:
            tape.watch(between)
            logits = self.discriminator(_inputs("image", between, label), training=True)
        gradient = tf.cast(tape.gradient(logits, between), tf.float32)
        # The small number keeps the root's own gradient finite at 0.
        norm = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=(1, 2, 3)) + 1e-12)
        return tf.reduce_mean(tf.square(norm - 1.0))

    def _scale(self, loss, optimizer):
        # Optimizers sum the gradients of the replicas; each loss is a mean over its replica.
        return optimizer.scale_loss(loss / self.distribute_strategy.num_replicas_in_sync)

    def _average_batch_statistics(self):
        """Averages what is not trained: batch statistics and the `u` of spectral norm.

        Keras's optimizer averages what is trained. Its rule is followed here but for the start,
        where the momentum rises as t / (t + 9): moving variances begin at 1, which is far from
        the variances that spectrally normalised layers have, and would be remembered for several
        times 1 / (1 - momentum) steps.
        """
        if self.ema_generator is None:
            return
        optimizer = self._averaging_optimizer
        step = tf.cast(optimizer.iterations, tf.float32) - 1.0
        momentum = tf.minimum(optimizer.ema_momentum, step / (step + 9.0))
        for average, variable in zip(
            self.ema_generator.non_trainable_variables,
            self.generator.non_trainable_variables,
            strict=True,
        ):
            average.assign(momentum * average + (1.0 - momentum) * variable)


def frozen(model):
    """Returns a scope in which a model runs without changing its state.

    Weights are read where the scope is made, so a tape follows them only if it records there.
    """
    return keras.StatelessScope([(variable, variable.value) for variable in model.variables])


def _with_loss_scale(optimizer, model):
    """Wraps an optimizer, unless it is already, if the model computes in float16."""
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if scaled or "float16" not in {layer.compute_dtype for layer in model.layers}:
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def _inputs(name, value, label):
    return {name: value} if label is None else {name: value, "label": label}


def _has_batch_statistics(model):
    return any(
        isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers()
    )


def _copy_of(model):
    copy = model.__class__.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy
