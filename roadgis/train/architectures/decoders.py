"""The decoders of segmentation-models, on an encoder cut at a chosen depth."""

from __future__ import annotations

from typing import Any

import numpy as np

from roadgis.train.architectures.encoders import build_encoder, cut_encoder, encoder_taps
from roadgis.train.architectures.options import ArchitectureOptions
from roadgis.train.framework import decoder_modules, import_keras, import_segmentation_models


def build_segmentation_model(options: ArchitectureOptions) -> Any:
    """Build segmentation-models' U-Net, Linknet, FPN or PSPNet.

    Its public functions (``Unet`` and so on) always use the whole encoder, and build a model that
    Keras 3 cannot load again; the builders below them accept an encoder of ours.
    """
    import_segmentation_models()
    from segmentation_models.models import fpn, linknet, pspnet, unet

    module = {"unet": unet, "linknet": linknet, "fpn": fpn, "pspnet": pspnet}[options.architecture]
    # The builders find the framework's modules in globals, which the public functions set.
    modules = decoder_modules()
    module.backend, module.layers = modules["backend"], modules["layers"]
    module.models, module.keras_utils = modules["models"], modules["utils"]

    side = options.crop_px if options.architecture == "pspnet" else None
    whole = build_encoder(
        options.backbone,
        (side, side, options.bands),
        options.encoder_weights,
        options.encoder_units,
    )
    common = {
        "classes": options.classes,
        "activation": options.activation,
        "use_batchnorm": options.batch_norm,
    }
    if options.architecture == "pspnet":
        return pspnet.build_psp(
            whole,
            encoder_taps(options.backbone)[4 - options.stages],
            conv_filters=options.filters[0],
            final_upsampling_factor=2**options.stages,
            **common,
        )
    encoder, skips = cut_encoder(whole, options.backbone, options.stages)
    if options.architecture == "fpn":
        return fpn.build_fpn(
            encoder,
            skips,
            pyramid_filters=options.filters[0],
            segmentation_filters=options.filters[1],
            # The default of segmentation-models' FPN.
            aggregation="concat",
            **common,
        )
    if options.subpixel:
        features = unet.build_unet(
            backbone=encoder,
            decoder_block=module.DecoderUpsamplingX2Block,
            skip_connection_layers=skips,
            decoder_filters=options.filters,
            n_upsample_blocks=options.stages - 1,
            **common,
        )
        return _with_subpixel_output(features, options)
    widths = options.filters
    if options.architecture == "linknet":
        # A block with a skip connection has the width of that connection.
        widths = (None,) * len(skips) + options.filters  # type: ignore[assignment]
    return {"unet": unet.build_unet, "linknet": linknet.build_linknet}[options.architecture](
        backbone=encoder,
        decoder_block=module.DecoderUpsamplingX2Block,
        skip_connection_layers=skips,
        decoder_filters=widths,
        n_upsample_blocks=options.stages,
        **common,
    )


def _with_subpixel_output(model: Any, options: ArchitectureOptions) -> Any:
    """Replace the last convolution by one that computes 2 by 2 pixels per position.

    Both layers are linear, so one transposed convolution would do; the 1 by 1 convolution first
    reduces the channels, which saves most of the time.
    """
    keras = import_keras()
    layers = keras.layers
    classes = options.classes
    x = model.get_layer("final_conv").input
    x = layers.Conv2D(4 * classes, 1, name="subpixel_conv")(x)
    lay_out = layers.Conv2DTranspose(classes, 2, strides=2, use_bias=False, name="final_conv")
    x = lay_out(x)
    x = layers.Activation(options.activation, dtype="float32", name=options.activation)(x)
    kernel = np.eye(4 * classes, dtype=np.float32).reshape(2, 2, classes, 4 * classes)
    lay_out.set_weights([kernel])
    return keras.Model(model.input, x)
