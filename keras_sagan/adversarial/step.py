"""One step of adversarial training, in `keras.ops`: what it computes on every backend."""

import keras
import numpy as np
from keras import ops

from keras_sagan.sampling import latents


class AdversarialStep:
    """The updates of a step. `GAN` has one of its subclasses, by backend, among its bases.

    A subclass provides `train_step`, which is Keras's interface; and

    - `_minimize(loss, model, optimizer)`: calls `loss`, updates the weights of the model by the
      gradient of the first of the scalars and logits that it returns, and returns them all;
    - `_input_gradient(function, inputs)`: the gradient of the sum of `function(inputs)`;
    - `_move(averages, variables, shares)`: moves each average by its share of the difference;
    - `_replica()`: the index of this replica, and how many there are;
    - `_strategy_scope()`: the scope to create variables in;
    - `_synchronize()`: makes the values of variables those of the last step;
    - `jit_by_default`: what `compile` takes for `jit_compile` unless told.
    """

    def _step_on(self, data):
        """Trains on one batch; returns the logs."""
        images, labels = self._unpack(data)
        if (images.shape[0] or 0) % self.discriminator_steps:
            raise ValueError(
                f"a batch of {images.shape[0]} images (of each replica) cannot be split into "
                f"discriminator_steps={self.discriminator_steps} equal parts"
            )
        parts = ops.split(images, self.discriminator_steps)
        label_parts = (
            ops.split(labels, self.discriminator_steps)
            if self.conditional
            else [None] * self.discriminator_steps
        )
        for i, (real, label) in enumerate(zip(parts, label_parts, strict=True)):
            self._discriminator_step(real, label, i)
        self._generator_step(parts[-1], label_parts[-1])
        self._step.assign_add(1)
        _, replicas = self._replica()
        self._images_seen.assign_add(ops.shape(images)[0] * replicas)
        return self.get_metrics_result()

    def _unpack(self, data):
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        if keras.backend.standardize_dtype(images.dtype) == "uint8":
            images = ops.cast(images, "float32") / 127.5 - 1.0
        if not self.conditional:
            return images, None
        if labels is None:
            raise ValueError("the models take labels: fit needs a dataset of (images, labels)")
        return images, ops.cast(labels, "int32")

    def _seeds(self, batch, stream):
        """Seeds of the pictures of one update: the same whatever the number of replicas.

        Streams number the draws of one training step: the discriminator's updates, then the
        generator's, then the gradient penalties.
        """
        replica, replicas = self._replica()
        streams = 2 * self.discriminator_steps + 1
        first = self._images_seen.value * streams + (stream * replicas + replica) * batch
        # Hashed, so that runs with neighbouring seeds do not share pictures.
        base = int(latents.numpy_hash(np.array([self.seed], np.uint32)).view(np.int32)[0])
        return ops.arange(batch, dtype="int32") + first + base

    def _fake(self, batch, label, stream):
        latent = latents.normal(self._seeds(batch, stream), self.generator.input["latent"].shape[1])
        return self.generator(_inputs("latent", latent, label), training=True)

    def _discriminator_step(self, real, label, i):
        batch = ops.shape(real)[0]
        fake = self._fake(batch, label, stream=i)

        def loss():
            real_logits, fake_logits = self._discriminate(real, fake, label)
            value = self.loss_pair.discriminator(real_logits, fake_logits)
            if self.loss_pair.gradient_penalty:
                stream = self.discriminator_steps + 1 + i
                penalty = self._gradient_penalty(real, fake, label, self._seeds(batch, stream))
                value += self.loss_pair.gradient_penalty * penalty
            return value, real_logits, fake_logits

        results = self._minimize(loss, self.discriminator, self.discriminator_optimizer)
        names = ("discriminator_loss", "real_logits", "fake_logits")
        for name, result in zip(names, results, strict=True):
            self._means[name].update_state(result)

    def _generator_step(self, real, label):
        real_logits = None
        if self.loss_pair.relativistic:
            with frozen(self.discriminator):
                real_logits = self.discriminator(_inputs("image", real, label), training=True)
        discriminator = frozen(self.discriminator)  # read here, so no gradient follows its weights

        def loss():
            fake = self._fake(ops.shape(real)[0], label, stream=self.discriminator_steps)
            with discriminator:
                fake_logits = self.discriminator(_inputs("image", fake, label), training=True)
            return (self.loss_pair.generator(real_logits, fake_logits),)

        (value,) = self._minimize(loss, self.generator, self.generator_optimizer)
        self._average_generator()
        self._means["generator_loss"].update_state(value)

    def _discriminate(self, real, fake, label):
        """Logits of real and fake images, in one pass unless batch statistics would mix."""
        if _has_batch_statistics(self.discriminator):
            return tuple(
                self.discriminator(_inputs("image", image, label), training=True)
                for image in (real, fake)
            )
        image = ops.concatenate([real, ops.cast(fake, real.dtype)], axis=0)
        label = None if label is None else ops.concatenate([label, label], axis=0)
        return ops.split(self.discriminator(_inputs("image", image, label), training=True), 2)

    def _gradient_penalty(self, real, fake, label, seeds):
        weight = latents.uniform(seeds, 1)[:, :, None, None]
        between = weight * real + (1.0 - weight) * ops.cast(fake, real.dtype)
        with frozen(self.discriminator):
            gradient = self._input_gradient(
                lambda image: self.discriminator(_inputs("image", image, label), training=True),
                between,
            )
        # The small number keeps the root's own gradient finite at 0.
        squares = ops.square(ops.cast(gradient, "float32"))
        norm = ops.sqrt(ops.sum(squares, axis=(1, 2, 3)) + 1e-12)
        return ops.mean(ops.square(norm - 1.0))

    def _average_generator(self):
        """Moves the averaged generator towards the one that is trained.

        The first step copies it. Of what is not trained, batch statistics and the `u` of spectral
        norm, the momentum rises as t / (t + 9): moving variances begin at 1, which is far from the
        variances that spectrally normalised layers have, and would be remembered for several
        times 1 / (1 - momentum) steps.
        """
        if self.ema_generator is None:
            return
        step = ops.cast(self._step, "float32")
        of_trained = ops.where(step > 0, 1.0 - self.ema, 1.0)
        of_others = ops.maximum(1.0 - self.ema, 9.0 / (step + 9.0))
        # Not the seeds of layers that draw.
        averages, variables = (
            [variable for variable in model.variables if "float" in variable.dtype]
            for model in (self.ema_generator, self.generator)
        )
        shares = [ops.cast(of_trained if v.trainable else of_others, v.dtype) for v in variables]
        self._move(averages, variables, shares)


def frozen(model):
    """Returns a scope in which a model runs without changing its state.

    Weights are read where the scope is made, so gradients follow them only if it is made within
    what is differentiated.
    """
    return keras.StatelessScope([(variable, variable.value) for variable in model.variables])


def _inputs(name, value, label):
    return {name: value} if label is None else {name: value, "label": label}


def _has_batch_statistics(model):
    return any(
        isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers()
    )
