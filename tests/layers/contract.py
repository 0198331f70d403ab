"""What every layer must do, whatever it computes."""

import keras
import numpy as np


def check_layer(make_layer, inputs, tmp_path, tolerance, **call_arguments):
    """Checks the policies of bfloat16 and float16, mixed and pure, and saving.

    Args:
        make_layer: Makes the layer, given keyword arguments of `keras.layers.Layer`.
        inputs: Array of the first call argument.
        tmp_path: Folder to save to.
        tolerance: Largest difference between float32 and float16, relative to the
            largest output.
        **call_arguments: Other call arguments, arrays or constants.
    """
    layer = make_layer()
    expected = np.asarray(layer(inputs, **call_arguments))
    # bfloat16 keeps 8 bits of the mantissa, float16 11: 8 times the rounding error.
    for dtype, factor in (("bfloat16", 8), ("float16", 1)):
        for policy in (f"mixed_{dtype}", dtype):
            keras.config.set_dtype_policy(policy)
            other = make_layer()
            outputs = other(inputs, **call_arguments)
            other.set_weights(layer.get_weights())
            outputs = other(inputs, **call_arguments)
            assert keras.backend.standardize_dtype(outputs.dtype) == dtype
            stored = "float32" if policy.startswith("mixed") else dtype
            assert {v.dtype for v in other.trainable_variables} <= {stored}
            outputs = np.asarray(keras.ops.cast(outputs, "float32"))
            error = np.abs(outputs - expected).max() / np.abs(expected).max()
            assert error < factor * tolerance, policy
            keras.config.set_dtype_policy("float32")

    tensors = {
        name: keras.Input(value.shape[1:], dtype=value.dtype, name=name)
        for name, value in {"inputs": inputs, **call_arguments}.items()
        if isinstance(value, np.ndarray)
    }
    constants = {k: v for k, v in call_arguments.items() if not isinstance(v, np.ndarray)}
    arguments = {k: v for k, v in tensors.items() if k != "inputs"}
    model = keras.Model(tensors, layer(tensors["inputs"], **arguments, **constants))
    values = {"inputs": inputs, **{k: call_arguments[k] for k in arguments}}
    before = model.predict(values, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.predict(values, verbose=0), before)
