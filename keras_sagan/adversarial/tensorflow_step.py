"""Training on TensorFlow: gradients by tapes, replicas by `tf.distribute`."""

import tensorflow as tf

from keras_sagan.adversarial.step import AdversarialStep


class Step(AdversarialStep):
    """`train_step` of Keras's TensorFlow trainer."""

    jit_by_default = False  # on CPUs XLA is slower

    def train_step(self, data):
        self._updated = []
        return self._step_on(data)

    def _minimize(self, loss, model, optimizer):
        # One network after the other: the memory of both at once is a quarter more.
        with tf.control_dependencies(self._updated), tf.GradientTape() as tape:
            results = loss()
            # Optimizers sum the gradients of the replicas; each loss is a mean over its replica.
            replicas = self.distribute_strategy.num_replicas_in_sync
            scaled = optimizer.scale_loss(results[0] / replicas)
        variables = model.trainable_variables
        gradients = [_dense(gradient) for gradient in tape.gradient(scaled, variables)]
        optimizer.apply(gradients, variables)
        self._updated = [tf.group(*(tf.convert_to_tensor(variable) for variable in variables))]
        return results

    def _input_gradient(self, function, inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(inputs)
        return tape.gradient(outputs, inputs)

    def _move(self, averages, variables, shares):
        def move(average, variable, share):
            # The difference waits for the gradient; `momentum * average` would be computed when the
            # step begins, and kept.
            average.assign_sub(share * (average - variable))

        def move_all(strategy, averages, variables, shares):
            for average, *others in zip(averages, variables, shares, strict=True):
                strategy.extended.update(average, move, args=others)

        # Every replica would compute the same.
        values = ([variable.value for variable in group] for group in (averages, variables))
        tf.distribute.get_replica_context().merge_call(move_all, (*values, shares))

    def _replica(self):
        context = tf.distribute.get_replica_context()
        return context.replica_id_in_sync_group, self.distribute_strategy.num_replicas_in_sync

    def _strategy_scope(self):
        return self.distribute_strategy.scope()

    def _synchronize(self):
        """Nothing is to be done: steps change the variables themselves."""


def _dense(gradient):
    # Of a row that was looked up twice, Keras's optimizers would square each part of the gradient
    # instead of their sum.
    return tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient
