"""A run whose pictures and networks are shown."""

import keras
import numpy as np
from keras import ops

from keras_sagan.models import named_generator
from keras_sagan.running import checkpoints
from keras_sagan.sampling.inference import ConditionalScaleOffset, inference_model
from keras_sagan.sampling.sampler import generator_inputs, to_uint8

_BATCH = 32  # of one size, as each other one is traced anew


class Subject:
    """A checkpoint of a run, which draws pictures of any latents.

    Args:
        run: A `Run`.
        folder: That of the checkpoint.
        seed: The first seed that pictures are of.

    Attributes:
        generator: The averaged generator.
        image_size: Height and width of its pictures.
        class_names: Names of the classes, or None without classes.

    Raises:
        InputError: A checkpoint that is damaged.
    """

    def __init__(self, run, folder, seed=0):
        self.run, self.folder, self.seed = run, folder, seed
        self.generator = named_generator(run.load_generator(folder))
        self.image_size = self.generator.output.shape[1]
        self.class_names = run.class_names()
        self._model = inference_model(self.generator)

    def classes(self, count):
        """Returns the numbers of some classes, (count,) or fewer, spread evenly over all."""
        total = len(self.class_names)
        return np.linspace(0, total - 1, min(count, total)).astype(np.int32)

    def latents(self, seeds):
        """Returns the latents of seeds, (n, length) float32, as `keras_sagan.sampling` has them."""
        labels = None if self.class_names is None else np.zeros(len(seeds), np.int32)
        return generator_inputs(self.generator, seeds, labels)["latent"]

    def draw(self, latents, labels=None):
        """Draws pictures.

        Args:
            latents: (n, length).
            labels: (n,) integers where there are classes, else None.

        Returns:
            (n, height, width, 3) uint8.
        """
        inputs = {"latent": np.asarray(latents, np.float32)}
        if labels is not None:
            inputs["label"] = np.asarray(labels, np.int32)
        parts = []
        for start in range(0, len(latents), _BATCH):
            part = {name: values[start : start + _BATCH] for name, values in inputs.items()}
            count = len(part["latent"])
            padded = {name: np.resize(v, (_BATCH, *v.shape[1:])) for name, v in part.items()}
            images = to_uint8(self._model.predict_on_batch(padded)[:count])
            parts.append(ops.convert_to_numpy(images))
        return np.concatenate(parts)

    def draw_between(self, latents, first, second, share):
        """Draws pictures of something between two classes.

        Whatever the generator looks up by class is blended.

        Args:
            latents: (n, length).
            first: (n,) integers, all different.
            second: (n,) integers.
            share: That of the second, from 0 to 1.

        Returns:
            (n, height, width, 3) uint8.
        """
        tables = [
            table
            for layer in self._model.layers
            for table in _tables_of(layer)
            if table.shape[0] == len(self.class_names)
        ]
        values = [ops.convert_to_numpy(table).copy() for table in tables]
        try:
            for table, value in zip(tables, values, strict=True):
                blended = value.copy()
                blended[first] = (1 - share) * value[first] + share * value[second]
                table.assign(blended)
            return self.draw(latents, first)
        finally:
            for table, value in zip(tables, values, strict=True):
                table.assign(value)

    def discriminator(self):
        """Loads the discriminator; None of an imported run that has none.

        Raises:
            InputError: It is damaged, or the run's config is not of it.
        """
        return checkpoints.load_discriminator(self.folder, self.run.config())


def _tables_of(layer):
    """The weights of a layer that it looks up by class."""
    if isinstance(layer, ConditionalScaleOffset):
        return [layer.scale, layer.offset]
    return layer.weights if isinstance(layer, keras.layers.Embedding) else []
