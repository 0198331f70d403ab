"""One step of adversarial training, in `keras.ops`: what it computes on every backend."""

import dataclasses
import itertools
import threading

import keras
from keras import ops

from keras_sagan.adversarial.inputs import unpack
from keras_sagan.adversarial.regularizers import Update
from keras_sagan.sampling import draws


@dataclasses.dataclass(frozen=True)
class Part:
    """What a replica has of a batch: all of it if there is no other.

    Args:
        first: Index of its first image among those of an update.
        total: Images of the whole batch.
        replicas: How many share it.
        share: Its share of them, by which its losses count.
        loss_weight: What its losses count in the means of all replicas; None is 1.
        logit_weight: What each of its logits counts there: 0 if it got no image; None is 1.
    """

    first: object
    total: object
    replicas: int = 1
    share: object = 1.0
    loss_weight: object = None
    logit_weight: object = None


# What the step of one replica keeps while it is traced: tf.distribute traces each in a thread of
# its own, and changes between them within a step.
of_replica = threading.local()


class AdversarialStep:
    """The updates of a step. `GAN` has one of its subclasses, by backend, among its bases.

    A subclass provides `train_step` and `test_step`, which are Keras's interface; and

    - `_minimize(loss, model, optimizer)`: calls `loss`, updates the weights of the model by the
      gradient of the first of the scalars and logits that it returns, and returns them all;
    - `_input_gradient(function, inputs)`: the gradient of the sum of `function(inputs)`;
    - `_strategy_scope()`: the scope to create variables in;
    - `_synchronize()`: makes the values of variables those of the last step;
    - `jit_by_default`: what `compile` takes for `jit_compile` unless told.
    """

    def critic(self, images, labels):
        """Logits (batch, 1) of images in training: all images come by here, real and fake."""
        return self.named.discriminator(_inputs("image", images, labels), training=True)

    def _augmented(self, images, stream):
        """Images as the discriminator is to see them; `stream` names what is drawn for it.

        Not within the scope of a `frozen` network, where the state cannot be read on JAX.
        """
        if self.augmentation is None:
            return images
        batch = ops.shape(images)[0]
        return self.augmentation.augment(
            images, lambda policy: self._draw(f"{stream}/augmentation/{policy}", batch)
        )

    def _step_on(self, data):
        """Trains on one batch; returns the logs."""
        images, labels = unpack(data, self.conditional)
        images, labels, part = self._part_of(images, labels, self.discriminator_steps)
        of_replica.part = part
        parts = self._parts(images)
        label_parts = self._parts(labels)
        for i, (real, label) in enumerate(zip(parts, label_parts, strict=True)):
            self._discriminator_step(real, label, f"discriminator{i}")
        self._generator_step(parts[-1], label_parts[-1])
        self._step.assign_add(1)
        self._images_seen.assign_add(of_replica.part.total)
        return self.get_metrics_result()

    def _part_of(self, images, labels, updates):
        """What this replica has, never empty, and its `Part` of a batch for so many updates."""
        return images, labels, Part(0, ops.shape(images)[0])

    def _parts(self, values):
        """Images or labels for each update of the discriminator."""
        steps = self.discriminator_steps
        if values is None or steps == 1:
            return [values] * steps
        count = values.shape[0]
        if count is None or count % steps:  # the last batch of an epoch: some go in twice
            count = ops.shape(values)[0]
            values = ops.take(values, ops.arange(-(-count // steps) * steps) % count, axis=0)
        return ops.split(values, steps)

    @property
    def _latent_dim(self):
        return self.named.generator.input["latent"].shape[1]

    def _draw(self, name, batch):
        """Seeds of one thing that is drawn in a step: the same whatever the number of replicas."""
        return draws.seeds(self.seed, self._step.value, name, batch, first=of_replica.part.first)

    def _fake(self, real_label, batch, update):
        """Images of the generator, and their labels."""
        label = None
        if self.conditional:
            label = self._fake_labels(self._draw(f"{update}/labels", batch), real_label)
        latent = self._fake_latents(self._draw(f"{update}/latents", batch), self._latent_dim)
        return self.named.generator(_inputs("latent", latent, label), training=True), label

    def _evaluate_on(self, data):
        """Adds one batch of held-out images to the metrics; returns the logs.

        Both networks compute as at inference, so that nothing else changes. Image number i of an
        evaluation is set against picture number i of a stream of its own, whatever the batches.
        """
        real, label, part = self._part_of(*unpack(data, self.conditional), updates=1)
        batch = ops.shape(real)[0]
        seen = ops.cast(self._means["real_logits"].count, "int32")

        def draw(name):
            first = seen * part.replicas + part.first
            return draws.seeds(self.seed, 0, f"evaluation/{name}", batch, first)

        fake_label = self._fake_labels(draw("labels"), label) if self.conditional else None
        latent = self._fake_latents(draw("latents"), self._latent_dim)
        fake = self.named.generator(_inputs("latent", latent, fake_label), training=False)
        logits = [
            self.named.discriminator(_inputs("image", *images), training=False)
            for images in ((real, label), (fake, fake_label))
        ]
        of_generator = (logits[0] if self.loss_pair.relativistic else None, logits[1])
        values = (
            self.loss_pair.discriminator(*logits),
            self.loss_pair.generator(*of_generator),
            *(ops.mean(each) for each in logits),
        )
        weight = batch if part.logit_weight is None else part.logit_weight * batch
        for mean, value in zip(self._means.values(), values, strict=True):
            mean.update_state(value, sample_weight=weight)
        return self.get_metrics_result()

    def _discriminator_step(self, real, label, name):
        batch = ops.shape(real)[0]
        fake, fake_label = self._fake(label, batch, name)
        seen_real = self._augmented(real, f"{name}/real")
        seen_fake = self._augmented(fake, f"{name}/fake")

        def loss():
            logits, model_losses = self._logits_of_both(seen_real, label, seen_fake, fake_label)
            value = self.loss_pair.discriminator(*logits)
            images = (real, label, fake, fake_label)
            terms = self._terms("discriminator", name, images, logits, model_losses)
            return value + terms, *logits

        results = self._minimize(loss, self.discriminator, self.discriminator_optimizer)
        loss, *logits = results
        part = of_replica.part
        self._log("discriminator_loss", loss, part.loss_weight)
        for name, values in zip(("real_logits", "fake_logits"), logits, strict=True):
            self._log(name, values, part.logit_weight)
        if self.augmentation is not None:
            images = part.total / self.discriminator_steps
            self.augmentation.observe(logits[0], images, _weight(part))

    def _generator_step(self, real, label):
        real_logits = None
        if self.loss_pair.relativistic:
            seen = self._augmented(real, "generator/real")
            with frozen(self.discriminator):
                real_logits = self.critic(seen, label)
        discriminator = frozen(self.discriminator)  # read here, so no gradient follows its weights

        def loss():
            fake, fake_label = self._fake(label, ops.shape(real)[0], "generator")
            model_losses = [self.named.generator.losses]
            seen = self._augmented(fake, "generator/fake")
            with discriminator:
                fake_logits = self.critic(seen, fake_label)
            logits = (real_logits, fake_logits)
            value = self.loss_pair.generator(*logits)
            images = (real, label, fake, fake_label)
            return (value + self._terms("generator", "generator", images, logits, model_losses),)

        (value,) = self._minimize(loss, self.generator, self.generator_optimizer)
        self._average_generator()
        self._log("generator_loss", value, of_replica.part.loss_weight)

    def _log(self, name, values, weight):
        weights = None if weight is None else weight * ops.ones_like(values)
        self._means[name].update_state(values, sample_weight=weights)

    def _logits_of_both(self, real, label, fake, fake_label):
        """Logits of real and fake images, and the discriminator's own losses of each call."""
        if not self.joint_batch:
            logits, losses = [], []
            for image, of_image in ((real, label), (fake, fake_label)):
                logits.append(self.critic(image, of_image))
                # A call forgets those of the one before.
                losses.append(self.named.discriminator.losses)
            return logits, losses
        image = ops.concatenate([real, ops.cast(fake, real.dtype)], axis=0)
        both = None if label is None else ops.concatenate([label, fake_label], axis=0)
        return ops.split(self.critic(image, both), 2), [self.named.discriminator.losses]

    def _terms(self, network, name, images, logits, model_losses):
        """The sum of what the regularizers add to the loss of a network."""
        real, real_labels, fake, fake_labels = images
        total = 0.0
        for regularizer in self.regularizers:
            if regularizer.network != network:
                continue
            stream = f"{name}/{regularizer.name}"
            update = Update(
                critic=self._critic_of(stream),
                real=real,
                real_labels=real_labels,
                real_logits=logits[0],
                fake=fake,
                fake_labels=fake_labels,
                fake_logits=logits[1],
                weight=_weight(of_replica.part),
                model_losses=model_losses,
                draw=lambda what, of=stream: self._draw(f"{of}/{what}", ops.shape(real)[0]),
                input_gradient=self._input_gradient,
            )
            total += self._term(regularizer, update)
        return total

    def _critic_of(self, stream):
        """What a regularizer has for `critic`; each of its calls draws by itself."""
        calls = itertools.count()

        def critic(images, labels):
            seen = self._augmented(images, f"{stream}/call{next(calls)}")
            with frozen(self.discriminator):
                return self.critic(seen, labels)

        return critic

    def _term(self, regularizer, update):
        if regularizer.every == 1:
            return regularizer.term(update)

        def due():
            # A branch hands on what it computes, so it hands on what it assigns too.
            state = [(variable, variable.value) for variable in self.variables]
            with keras.StatelessScope(state) as scope:
                value = ops.cast(regularizer.every * regularizer.term(update), "float32")
                return value, [scope.get_current_value(v) for v in regularizer.variables]

        def not_due():
            return ops.zeros(()), [variable.value for variable in regularizer.variables]

        value, state = ops.cond(self._step.value % regularizer.every == 0, due, not_due)
        for variable, new in zip(regularizer.variables, state, strict=True):
            variable.assign(new)
        return value

    def _average_generator(self):
        """Moves the averaged generator towards the one that is trained.

        The first step copies it. From then on the momentum rises as t / (t + 14) up to `ema`, which
        is StyleGAN2-ADA's half-life of at most a twentieth of the training so far (`ema_rampup`,
        arXiv:2006.06676): or what was drawn at the beginning, and moving variances of 1, would be
        remembered for several times 1 / (1 - ema) steps.
        """
        if self.ema_generator is None:
            return
        step = ops.cast(self._step, "float32")
        share = ops.maximum(1.0 - self.ema, 14.0 / (step + 14.0))
        # Not the seeds of layers that draw.
        averages, variables = (
            [variable for variable in model.variables if "float" in variable.dtype]
            for model in (self.ema_generator, self.named.generator)
        )
        self._move(averages, variables, share)

    def _move(self, averages, variables, share):
        """Moves each average by a share of the difference. TensorFlow has a way of its own."""
        for average, variable in zip(averages, variables, strict=True):
            difference = average - ops.cast(variable, average.dtype)
            average.assign_sub(ops.cast(share, average.dtype) * difference)


def frozen(model):
    """Returns a scope in which a model runs without changing its state.

    Weights are read where the scope is made, so gradients follow them only if it is made within
    what is differentiated.
    """
    return keras.StatelessScope([(variable, variable.value) for variable in model.variables])


def _weight(part):
    """What a mean over a replica's images counts in the mean of all replicas."""
    return 1.0 if part.loss_weight is None else part.loss_weight


def _inputs(name, value, label):
    return {name: value} if label is None else {name: value, "label": label}
