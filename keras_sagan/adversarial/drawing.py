"""What a GAN draws: pictures, from the averages of its generator's weights."""

from keras import ops

from keras_sagan.sampling.copies import copy_of
from keras_sagan.sampling.inference import float32_policy
from keras_sagan.sampling.sampler import Sampler


class Drawing:
    """The methods of `GAN` that draw. Its base classes follow."""

    def call(self, inputs, training=None):
        inputs = _by_name(inputs)
        generator, average = self.named.generator, self.ema_generator
        if training or average is None:
            return generator(inputs, training=training)
        return ops.cond(  # as `sampler`, also where a graph is made
            self._step.value > 0,
            lambda: average(inputs, training=False),
            lambda: generator(inputs, training=False),
        )

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """As `keras.Model.export`, of the generator that pictures are sampled from.

        Its inputs are `{"latent", "label"}`. The programs' exports of a run, with seeds for
        inputs and as TF Lite files, are `keras_sagan.exporting`.
        """
        self.sampler.export(filepath, format=format, **kwargs)

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
        """The generator that pictures are sampled from: the averaged one if there is one.

        It is a functional model from {"latent", "label"}, of whatever kind `generator` is. The
        averages begin at the first step. Until then they are the weights that the generator has,
        such as what `gan.generator.load_weights` gave it; what is loaded into it later moves them
        step by step.
        """
        self._synchronize()
        if self.ema_generator is None:
            return self.named.generator
        if self.step == 0:
            self.ema_generator.set_weights(self.named.generator.get_weights())
        return self.ema_generator

    def _up_to_date_sampler(self):
        generator = self.sampler
        if self._kept_sampler is None or self._kept_sampler.generator is not generator:
            self._kept_sampler = Sampler(generator)
        else:
            self._kept_sampler.update()
        return self._kept_sampler


def copy_of_generator(model):
    """Returns a functional model of its own weights, with the values that a generator's have.

    In float32: a thousandth of a difference is less than float16 or bfloat16 can add.
    """
    with float32_policy():
        copy = copy_of(model, dtype="float32")
    copy.set_weights(model.get_weights())
    if hasattr(model, "num_classes"):
        copy.num_classes = model.num_classes
    return copy


def _by_name(inputs):
    """Latents, or a list of latents and labels, as a dictionary."""
    if isinstance(inputs, dict):
        return inputs
    inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    return dict(zip(("latent", "label"), inputs, strict=False))
