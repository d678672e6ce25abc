"""Network architectures: segmentation-models' U-Net, whole or with the deepest stage left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from roadgis.errors import InputError
from roadgis.train.framework import import_keras, import_segmentation_models

__all__ = ["build_unet", "receptive_margin"]

# Output of each encoder stage that the U-Net may end on, by depth (stride = 2 ** depth), then
# the layers that it takes its skip connections from, deepest first. ResNets here are
# pre-activation: a stage's output is the first activation of the stage that follows.
_RESNET_TAPS = {
    5: ("relu1", ("stage4_unit1_relu1", "stage3_unit1_relu1", "stage2_unit1_relu1", "relu0")),
    4: ("stage4_unit1_relu1", ("stage3_unit1_relu1", "stage2_unit1_relu1", "relu0")),
    3: ("stage3_unit1_relu1", ("stage2_unit1_relu1", "relu0")),
}
_BACKBONES = ("resnet18", "resnet34")


def build_unet(
    backbone: str = "resnet18",
    *,
    depth: int = 4,
    decoder_filters: tuple[int, ...] = (128, 64, 32, 16),
    bands: int = 3,
    encoder_weights: str | None = None,
) -> Any:
    """Build segmentation-models' U-Net on a local encoder.

    Parameters
    ----------
    backbone : {"resnet18", "resnet34"}
        An encoder without whole-tile averaging, so that the answer for a pixel depends only
        on its surroundings.
    depth : {3, 4, 5}
        Encoder stages kept; the stride is ``2 ** depth``. Five is the usual U-Net; leaving the
        deepest stage out halves the reach of a pixel, and so the margin that tiles must overlap.
    decoder_filters : tuple of int
        One per decoder block, deepest first; `depth` of them.
    bands : int
        Input channels.
    encoder_weights : str, optional
        ``"imagenet"`` (downloaded by segmentation-models) or None for random weights.

    Returns
    -------
    keras.Model
        Input (N, H, W, bands) float32, H and W multiples of the stride; output (N, H, W, 1)
        road probability.
    """
    if backbone not in _BACKBONES or depth not in _RESNET_TAPS:
        raise InputError(
            f"Found backbone {backbone!r} with depth {depth}; expected one of {_BACKBONES} "
            f"with a depth of {sorted(_RESNET_TAPS)}."
        )
    if len(decoder_filters) != depth:
        raise InputError(
            f"Found {len(decoder_filters)} decoder filters {decoder_filters}, expected one for "
            f"each of the {depth} stages."
        )
    sm = import_segmentation_models()
    keras = import_keras()
    from segmentation_models.models import unet

    encoder = sm.Backbones.get_backbone(
        backbone,
        input_shape=(None, None, bands),
        weights=encoder_weights,
        include_top=False,
        backend=keras.backend,
        layers=keras.layers,
        models=keras.models,
        utils=keras.utils,
    )
    end, skips = _RESNET_TAPS[depth]
    encoder = keras.Model(encoder.input, encoder.get_layer(end).output)
    # build_unet looks the framework's modules up as globals, which sm.Unet sets for it.
    unet.backend, unet.layers = keras.backend, keras.layers
    unet.models, unet.keras_utils = keras.models, keras.utils
    model = unet.build_unet(
        backbone=encoder,
        decoder_block=unet.DecoderUpsamplingX2Block,
        skip_connection_layers=skips,
        decoder_filters=decoder_filters,
        classes=1,
        activation="sigmoid",
        n_upsample_blocks=depth,
        use_batchnorm=True,
    )
    model.name = f"unet_{backbone}_s{2**depth}"
    return model


def receptive_margin(model: Any, stride: int, limit_px: int = 1024) -> int | None:
    """Measure how far a pixel's value can reach in a network.

    A copy of the network with all kernels positive and all biases zero answers an impulse of
    one input column with something above zero exactly where that column is seen, as no
    contribution can cancel another. One impulse for each phase of the stride finds the
    longest reach.

    Parameters
    ----------
    model : keras.Model
        A convolutional network; its last layer is the activation.
    stride : int
        Its total downsampling, in pixels.
    limit_px : int
        Reaches from this size on count as unbounded.

    Returns
    -------
    int or None
        The reach in pixels, rounded up to a multiple of `stride`; None when the whole tile is
        seen (pooling over the tile).
    """
    keras = import_keras()
    probe = keras.models.clone_model(model)
    for layer in probe.layers:
        for variable in layer.weights:
            name = variable.name
            shape = variable.shape
            if "kernel" in name:
                fan_in = float(np.prod(shape[:-1]))
                variable.assign(np.full(shape, 1.0 / fan_in, np.float32))
            elif "gamma" in name or "variance" in name:
                variable.assign(np.ones(shape, np.float32))
            else:
                variable.assign(np.zeros(shape, np.float32))
    logits = keras.Model(probe.input, probe.layers[-1].input)
    bands = model.input_shape[-1]
    width = -(-2 * limit_px // stride) * stride + stride
    if _sees_far(logits, stride, width, bands):
        return None
    reach = 0
    for phase in range(stride):
        image = np.zeros((1, 2 * stride, width, bands), np.float32)
        column = width // 2 // stride * stride + phase
        image[:, :, column] = 1.0
        seen = np.flatnonzero(np.asarray(logits(image)).max(axis=(0, 1, 3)) > 0)
        reach = max(reach, column - int(seen[0]), int(seen[-1]) - column)
    return None if reach >= limit_px else -(-reach // stride) * stride


def _sees_far(logits: Any, stride: int, width: int, bands: int) -> bool:
    """Whether a change at one end of a wide tile is seen at the other end.

    An impulse on zeros does not show a gate (squeeze-and-excitation): zero times any factor is
    zero. On a flat image it does.
    """
    flat = np.ones((1, 2 * stride, width, bands), np.float32)
    struck = flat.copy()
    struck[:, :, :stride] = 1e6
    far = np.s_[:, :, -stride:]
    before, after = (np.asarray(logits(image))[far] for image in (flat, struck))
    return not np.allclose(before, after, rtol=1e-6, atol=0)
