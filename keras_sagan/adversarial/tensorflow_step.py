"""Training on TensorFlow: gradients by tapes, replicas by `tf.distribute`."""

import functools
import warnings

import tensorflow as tf

from keras_sagan.adversarial.step import AdversarialStep, Part, of_replica
from keras_sagan.layers.kernels.device import has_only_cpus, leaves_onednn_off


class Step(AdversarialStep):
    """`train_step` and `test_step` of Keras's TensorFlow trainer."""

    jit_by_default = False  # on CPUs XLA is slower

    def compile(self, **kwargs):
        super().compile(**kwargs)
        if has_only_cpus() and leaves_onednn_off():
            _say_that_onednn_is_off()

    def train_step(self, data):
        of_replica.updated = []
        # A data set whose size is not known ends in a step that has no batch. What does not depend
        # on the batch, such as counting steps, would take place all the same.
        with tf.control_dependencies([x for x in tf.nest.flatten(data) if x is not None]):
            return self._step_on(data)

    def test_step(self, data):
        return self._evaluate_on(data)

    def _minimize(self, loss, model, optimizer):
        # One network after the other: the memory of both at once is a quarter more.
        with tf.control_dependencies(of_replica.updated), tf.GradientTape() as tape:
            results = loss()
            # Optimizers sum the gradients of the replicas; each loss is a mean over its replica.
            scaled = optimizer.scale_loss(results[0] * of_replica.part.share)
        variables = model.trainable_variables
        gradients = [_dense(gradient) for gradient in tape.gradient(scaled, variables)]
        # Weights change once all have been read. TensorFlow orders that by itself, but takes a
        # gradient that needs no more than the shape of what was read for an order too, and then
        # drops it with the shape: the gradients behind a linear layer came from changed weights.
        with tf.control_dependencies(results[:1]):
            optimizer.apply(gradients, variables)
        of_replica.updated = [tf.group(*(tf.convert_to_tensor(variable) for variable in variables))]
        return results

    def _input_gradient(self, function, inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(inputs)
        return tape.gradient(outputs, inputs)

    def _move(self, averages, variables, share):
        def move(average, variable, share):
            # The difference waits for the gradient; `momentum * average` would be computed when the
            # step begins, and kept.
            difference = average - tf.cast(variable, average.dtype)
            average.assign_sub(tf.cast(share, average.dtype) * difference)

        def move_all(strategy, averages, variables, share):
            for average, variable in zip(averages, variables, strict=True):
                strategy.extended.update(average, move, args=(variable, share))

        # Every replica would compute the same.
        values = ([variable.value for variable in group] for group in (averages, variables))
        tf.distribute.get_replica_context().merge_call(move_all, (*values, share))

    def _part_of(self, images, labels, updates):
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas == 1:
            return super()._part_of(images, labels, updates)
        count = tf.shape(images)[0]
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group
        if images.shape[0] is not None:  # known, so all have as many
            first = replica * -(-images.shape[0] // updates)
            return images, labels, Part(first, replicas * count, replicas, 1 / replicas)
        # The last batch of an epoch fills one replica after the other. One that gets nothing needs
        # something to compute with, since it takes part in what all compute together: an image of
        # zeros, which counts nothing.
        counts = context.all_gather(count[tf.newaxis], axis=0)
        total = tf.reduce_sum(counts)
        share = tf.cast(count / total, tf.float32)
        of_update = -(-tf.maximum(counts, 1) // updates)
        first = tf.reduce_sum(of_update[:replica])
        logit_weight = tf.cast(tf.minimum(count, 1), tf.float32)
        part = Part(first, total, replicas, share, share * replicas, logit_weight)
        return _or_zeros(images), _or_zeros(labels), part

    def _strategy_scope(self):
        return self.distribute_strategy.scope()

    def _synchronize(self):
        """Nothing is to be done: steps change the variables themselves."""


@functools.cache
def _say_that_onednn_is_off():
    warnings.warn(
        "TensorFlow leaves oneDNN off on this CPU, and trains more slowly without it: set the "
        "environment variable TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported (0 keeps it "
        "off, and this from being said)",
        stacklevel=4,
    )


def _or_zeros(values):
    """Values (batch, ...), or one of zeros if the batch is empty."""
    if values is None:
        return None
    missing = tf.maximum(1 - tf.shape(values)[0], 0)
    return tf.pad(values, [[0, missing], *([0, 0] for _ in values.shape[1:])])


def _dense(gradient):
    # Of a row that was looked up twice, Keras's optimizers would square each part of the gradient
    # instead of their sum.
    return tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient
