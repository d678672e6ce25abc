"""The decoders of segmentation-models, on an encoder cut where it is asked for."""

from __future__ import annotations

from typing import Any

from roadgis.train.architectures.encoders import build_encoder, cut_encoder, encoder_taps
from roadgis.train.architectures.options import ArchitectureOptions
from roadgis.train.framework import decoder_modules, import_segmentation_models

__all__ = ["build_segmentation_model"]


def build_segmentation_model(options: ArchitectureOptions) -> Any:
    """Build segmentation-models' U-Net, Linknet, FPN or PSPNet.

    Its public functions (``Unet`` and so on) always take the whole encoder, and build it as
    Keras 3 will not load it again; the builders below them take an encoder of ours.
    """
    import_segmentation_models()
    from segmentation_models.models import fpn, linknet, pspnet, unet

    module = {"unet": unet, "linknet": linknet, "fpn": fpn, "pspnet": pspnet}[options.architecture]
    # The builders look the framework's modules up as globals, which the public functions set.
    modules = decoder_modules()
    module.backend, module.layers = modules["backend"], modules["layers"]
    module.models, module.keras_utils = modules["models"], modules["utils"]

    side = options.crop_px if options.architecture == "pspnet" else None
    whole = build_encoder(options.backbone, (side, side, options.bands), options.encoder_weights)
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
            # What segmentation-models' FPN does unless it is told otherwise.
            aggregation="concat",
            **common,
        )
    widths = options.filters
    if options.architecture == "linknet":
        # Blocks with a skip connection have the width of what they are added to.
        widths = (None,) * len(skips) + options.filters  # type: ignore[assignment]
    return {"unet": unet.build_unet, "linknet": linknet.build_linknet}[options.architecture](
        backbone=encoder,
        decoder_block=module.DecoderUpsamplingX2Block,
        skip_connection_layers=skips,
        decoder_filters=widths,
        n_upsample_blocks=options.stages,
        **common,
    )
