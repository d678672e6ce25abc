"""A copy of a network that computes in 16 bits where that is safe."""

from __future__ import annotations

from typing import Any

from roadgis.train.framework import import_keras

__all__ = ["with_precision"]


def with_precision(model: Any, policy: str) -> Any:
    """Return a copy of a network under a mixed precision policy.

    Parameters
    ----------
    model : keras.Model
        Functional, in float32; its last layer is the activation.
    policy : str
        ``"float32"``, ``"mixed_bfloat16"`` or ``"mixed_float16"``. Weights are float32 under all
        of them, and so is the activation, as 16 bits cannot tell high probabilities apart.

    Returns
    -------
    keras.Model
        With the same layer names and weights; `model` itself for "float32".
    """
    if policy == "float32":
        return model
    keras = import_keras()
    last = model.layers[-1].name

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, keras.layers.Layer):  # operations take their inputs' types
            config["dtype"] = "float32" if layer.name == last else policy
        return type(layer).from_config(config)

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        result = keras.models.clone_model(model, clone_function=copy)
    finally:
        keras.config.set_dtype_policy(before)
    result.set_weights(model.get_weights())
    return result
