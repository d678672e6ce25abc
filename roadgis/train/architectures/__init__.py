"""Model architectures: what can be built, how it is built, and properties of a built model.

In dependency order: ``options`` (names and settings), ``encoders`` (backbones of
segmentation-models, their feature layers and weights), ``decoders`` (its U-Net, Linknet, FPN,
PSPNet), ``canet``, ``build`` (and the plain U-Net); then ``geometry`` (stride, margin, fixed tile)
and ``states`` (frozen encoder, float32 copy), which take any model, built or loaded.

Importing this package loads neither Keras nor tensorflow.
"""

from __future__ import annotations

from roadgis.train.architectures.build import build_model
from roadgis.train.architectures.geometry import fixed_tile, model_stride, receptive_margin
from roadgis.train.architectures.options import ArchitectureOptions
from roadgis.train.architectures.states import (
    as_float32,
    freeze_encoder,
    thaw_encoder,
    with_precision,
)

__all__ = [
    "ArchitectureOptions",
    "as_float32",
    "build_model",
    "fixed_tile",
    "freeze_encoder",
    "model_stride",
    "receptive_margin",
    "thaw_encoder",
    "with_precision",
]
