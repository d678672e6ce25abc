"""Copies and states of a network: encoder frozen or not, float32 whatever it was trained in."""

from __future__ import annotations

from typing import Any

from roadgis.train.framework import import_keras

__all__ = ["as_float32", "encoder_layers", "freeze_encoder", "thaw_encoder", "with_precision"]

# How the names of all layers begin that are not the encoder's. By name, as a loaded model has
# nothing else to tell them by.
_NOT_ENCODER = (
    *("decoder_", "center_block", "subpixel_", "final_", "head_conv", "sigmoid", "softmax"),
    *("fpn_", "segm_", "upsampling_stage", "pyramid_dropout"),
    *("psp_", "aggregation", "spatial_dropout"),
    *("context_", "direction_"),
)


def encoder_layers(model: Any) -> list[Any]:
    """Return the layers of a network's encoder.

    Parameters
    ----------
    model : keras.Model
        A network of :func:`~roadgis.train.architectures.build_model`, built or loaded.
    """
    return [layer for layer in model.layers if not layer.name.startswith(_NOT_ENCODER)]


def freeze_encoder(model: Any) -> None:
    """Leave the encoder's weights as they are in training from now on.

    Its batch normalization then runs as in inference, with the stored means. Compile the model
    after this, as Keras takes up which weights are trained when it compiles.

    Parameters
    ----------
    model : keras.Model
        A network of :func:`~roadgis.train.architectures.build_model`, built or loaded.
    """
    for layer in encoder_layers(model):
        layer.trainable = False


def thaw_encoder(model: Any) -> None:
    """Train the encoder's weights again. Compile the model after this.

    Parameters
    ----------
    model : keras.Model
        A network of :func:`~roadgis.train.architectures.build_model`, built or loaded.
    """
    for layer in encoder_layers(model):
        layer.trainable = True


def as_float32(model: Any) -> Any:
    """Return a copy of a network that computes in float32: what is saved, exported and shipped.

    Weights are float32 under a mixed precision policy too, so nothing is lost or rounded. See
    :func:`with_precision`.
    """
    return with_precision(model, "float32")


def with_precision(model: Any, policy: str) -> Any:
    """Return a copy of a network under another precision policy, with the same weights and names.

    Parameters
    ----------
    model : keras.Model
        A functional network of any policy, whose last layer is the activation. It is left as it
        is.
    policy : str
        ``"float32"``, ``"mixed_bfloat16"`` or ``"mixed_float16"``. Weights are float32 under all
        of them, and so is the activation, as 16 bits cannot tell high probabilities apart.

    Returns
    -------
    keras.Model
        Not compiled.
    """
    keras = import_keras()
    last = model.layers[-1].name

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, keras.Layer):  # else an operation, such as a slice
            config["dtype"] = "float32" if layer.name == last else policy
        return type(layer).from_config(config)

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)  # for operations, which have no policy of their own
    try:
        result = keras.models.clone_model(model, clone_function=copy)
    finally:
        keras.config.set_dtype_policy(before)
    result.set_weights(model.get_weights())
    return result
