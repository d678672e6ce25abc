"""States of a model: encoder frozen or not, float32 or mixed precision."""

from __future__ import annotations

from typing import Any

from roadgis.train.framework import import_keras

# Name prefixes of all layers outside the encoder. A loaded model has no other
# mark of them.
_NOT_ENCODER = (
    *("decoder_", "center_block", "subpixel_", "final_", "head_conv", "sigmoid", "softmax"),
    *("fpn_", "segm_", "upsampling_stage", "pyramid_dropout"),
    *("psp_", "aggregation", "spatial_dropout"),
    *("context_", "direction_"),
)


def encoder_layers(model: Any) -> list[Any]:
    """Return the encoder layers of a model built by :func:`build_model`, built or loaded."""
    return [layer for layer in model.layers if not layer.name.startswith(_NOT_ENCODER)]


def freeze_encoder(model: Any) -> None:
    """Freeze the encoder's weights; its batch normalization then uses the stored means.

    Compile the model afterwards: Keras collects the trainable weights when it compiles.
    """
    for layer in encoder_layers(model):
        layer.trainable = False


def thaw_encoder(model: Any) -> None:
    """Train the encoder's weights again; compile the model afterwards."""
    for layer in encoder_layers(model):
        layer.trainable = True


def as_float32(model: Any) -> Any:
    """Return a copy that computes in float32, for saving and export.

    Weights are float32 under mixed precision too, so nothing is rounded. See
    :func:`with_precision`.
    """
    return with_precision(model, "float32")


def with_precision(model: Any, policy: str) -> Any:
    """Return a copy under another precision policy, with the same weights and layer names.

    Parameters
    ----------
    model : keras.Model
        A functional model of any policy, whose last layer is the activation. It is not changed.
    policy : str
        ``"float32"``, ``"mixed_bfloat16"`` or ``"mixed_float16"``. Weights and the activation are
        float32 under all of them, as 16 bits do not separate high probabilities.

    Returns
    -------
    keras.Model
        Not compiled.
    """
    keras = import_keras()
    last = model.layers[-1].name

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, keras.Layer):  # otherwise an operation, such as a slice
            config["dtype"] = "float32" if layer.name == last else policy
        return type(layer).from_config(config)

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)  # for operations, which have no own policy
    try:
        result = keras.models.clone_model(model, clone_function=copy)
    finally:
        keras.config.set_dtype_policy(before)
    result.set_weights(model.get_weights())
    return result
