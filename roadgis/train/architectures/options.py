"""Settings of a model architecture, checked before heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from roadgis.errors import InputError
from roadgis.options.training import ARCHITECTURES

#: Encoders of segmentation-models 1.0.1, and EfficientNet-Lite. Listed here so that help texts do
#: not import tensorflow.
BACKBONES = (
    *("vgg16", "vgg19"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("seresnet18", "seresnet34", "seresnet50", "seresnet101", "seresnet152"),
    *("resnext50", "resnext101", "seresnext50", "seresnext101", "senet154"),
    *("inceptionv3", "inceptionresnetv2"),
    *("densenet121", "densenet169", "densenet201"),
    *("mobilenet", "mobilenetv2"),
    *(f"efficientnetb{size}" for size in range(8)),
    *(f"efficientnetlite{size}" for size in range(3)),
)

# Encoder stages (stride 2 ** depth): the default first, then the other possible numbers.
_DEPTHS = {
    "unet": (5, 4, 3),
    "linknet": (5, 4, 3),
    "fpn": (5,),
    "pspnet": (3, 2, 4),
    "canet": (4, 5, 3),
}
# Encoders whose stages can have any number of residual units of two convolutions.
_RESIDUAL = ("resnet18", "resnet34")
_PLAIN_FILTERS = (64, 128, 256, 512, 1024)
_MEANING = {
    "linknet": "the width of the last block (the others follow the encoder)",
    "fpn": "the widths of the pyramid and of its segmentation branches",
    "pspnet": "the width of the pyramid",
    "canet": "the widths of the context flows, of the decoder and of the low-level features",
}
_DEFAULT_FILTERS = {"linknet": (16,), "fpn": (256, 128), "pspnet": (512,), "canet": (256, 256, 48)}


def _check_architecture(name: str) -> None:
    if name not in ARCHITECTURES:
        raise InputError(
            f"Found the architecture {name!r}, expected one of: {', '.join(ARCHITECTURES)}."
        )


@dataclass(frozen=True)
class ArchitectureOptions:
    """Settings of a model architecture; converts to JSON with ``dataclasses.asdict``.

    Attributes
    ----------
    architecture : {"unet", "linknet", "fpn", "pspnet", "plain-unet", "canet"}
        The first four are those of segmentation-models; ``plain-unet`` is the U-Net of Ronneberger
        et al. with padding; ``canet`` is that of Tang et al.
    backbone : str
        The encoder, one of :data:`BACKBONES`; ignored by ``plain-unet``.
    depth : int, optional
        Encoder stages; the stride is ``2 ** depth``. Default: 5 for unet, linknet and fpn, 4 for
        canet, 3 for pspnet; set by `decoder_filters` for ``plain-unet``.
    encoder_units : tuple of int, optional
        Residual units of each encoder stage, finest first: ``depth - 1`` numbers, for resnet18 and
        resnet34 only. Default: the encoder's own numbers.
    subpixel : bool
        unet only. Nothing is computed at full resolution: at half of it the last layer computes
        four values per position, which a transposed convolution lays out as 2 by 2 pixels
        (sub-pixel convolution, Shi et al. 2016), in place of the decoder's last block.
    decoder_filters : tuple of int, optional
        Widths. unet: one per stage, deepest first; without the last if `subpixel`. linknet: last
        block. fpn: pyramid and branches. pspnet: pyramid. plain-unet: one per resolution, finest
        first, including the deepest (usually 64 to 1024). canet: context flows, decoder, low-level
        features.
    batch_norm : bool
        Batch normalization in the decoder; everywhere in ``plain-unet``. Encoders keep their own.
    encoder_weights : str, optional
        ``"imagenet"`` (downloaded; for EfficientNet-Lite from an installed package), a ``.keras``,
        ``.weights.h5`` or ``.h5`` file, or None for random weights.
    bands : int
        Input channels.
    classes : int
        Output channels: 1 for road or not, else one per class.
    crop_px : int, optional
        Side of the crops. Fixes the input size of a pspnet, a multiple of ``6 * 2 ** depth``;
        ignored by the others.

    Raises
    ------
    InputError
        If such a model cannot be built.
    """

    architecture: str = "unet"
    backbone: str = "resnet18"
    depth: int | None = None
    encoder_units: tuple[int, ...] | None = None
    subpixel: bool = False
    decoder_filters: tuple[int, ...] | None = None
    batch_norm: bool = True
    encoder_weights: str | None = None
    bands: int = 3
    classes: int = 1
    crop_px: int | None = None

    def __post_init__(self) -> None:
        _check_architecture(self.architecture)
        for name in ("encoder_units", "decoder_filters"):
            value = getattr(self, name)
            if value is not None:  # a list if read from JSON or YAML
                object.__setattr__(self, name, tuple(value))
        if self.architecture != "plain-unet" and self.backbone not in BACKBONES:
            raise InputError(
                f"Found the backbone {self.backbone!r}, expected one of: {', '.join(BACKBONES)}."
            )
        if self.bands < 1 or self.classes < 1:
            raise InputError(
                f"Found {self.bands} bands and {self.classes} classes, expected at least 1 each."
            )
        if self.encoder_weights == "imagenet" and self.bands != 3:
            raise InputError(
                f"Found {self.bands} bands with encoder weights from ImageNet, which are for 3. "
                "Choose 3 bands, or no encoder weights."
            )
        if self.encoder_weights == "imagenet" and self.architecture == "plain-unet":
            raise InputError(
                "There are no ImageNet weights for a plain-unet. Choose no encoder weights, a "
                ".keras file of another plain-unet, or an architecture with a backbone."
            )
        self._check_depth()
        self._check_units()
        self._check_filters()
        self._check_crop()

    def _check_depth(self) -> None:
        depths = _DEPTHS.get(self.architecture, (self.stages,))
        if self.stages not in depths:
            raise InputError(
                f"Found {self.architecture} with a depth of {self.depth}; expected one of "
                f"{sorted(depths)}."
            )

    def _check_units(self) -> None:
        units = self.encoder_units
        if units is None:
            return
        if self.architecture == "plain-unet" or self.backbone not in _RESIDUAL:
            built = self.architecture if self.architecture == "plain-unet" else self.backbone
            raise InputError(
                f"Found encoder units {units} for {built}; they can be chosen for "
                f"{' and '.join(_RESIDUAL)} only."
            )
        if self.encoder_weights == "imagenet":
            raise InputError(
                f"Found encoder units {units} with weights from ImageNet, which are for the "
                "encoder with its own units. Choose one of the two."
            )
        # A pyramid uses the deepest stage at any depth.
        wanted = 4 if self.architecture == "pspnet" else self.stages - 1
        if len(units) != wanted or any(number < 1 for number in units):
            raise InputError(
                f"Found encoder units {units}, expected {wanted} numbers above 0: one for each "
                "residual stage that is kept, finest first."
            )

    def _check_filters(self) -> None:
        filters = self.filters
        if self.subpixel and self.architecture != "unet":
            raise InputError(
                f"Found {self.architecture} with subpixel output, which is for unet only."
            )
        if any(width < 1 for width in filters):
            raise InputError(f"Found decoder filters {filters}, expected whole numbers above 0.")
        blocks = self.stages - self.subpixel
        if self.architecture == "unet" and len(filters) != blocks:
            less = " but the last, as its output is subpixel" if self.subpixel else ""
            raise InputError(
                f"Found {len(filters)} decoder filters {filters}, expected one for each of the "
                f"{self.stages} stages{less}."
            )
        if self.architecture == "plain-unet":
            if not 2 <= len(filters) <= 7:
                raise InputError(
                    f"Found {len(filters)} decoder filters {filters}, expected the widths of a "
                    "plain-unet's 2 to 7 resolutions, finest first."
                )
            if self.depth not in (None, len(filters) - 1):
                raise InputError(
                    f"Found a depth of {self.depth} with {len(filters)} decoder filters, expected "
                    f"{len(filters) - 1}. Leave the depth of a plain-unet out."
                )
        wanted = _DEFAULT_FILTERS.get(self.architecture)
        if wanted is not None and len(filters) != len(wanted):
            raise InputError(
                f"Found decoder filters {filters} for {self.architecture}, expected "
                f"{_MEANING[self.architecture]}, for example {wanted}."
            )

    def _check_crop(self) -> None:
        if self.architecture != "pspnet":
            return
        unit = 6 * 2**self.stages
        if self.crop_px is None or self.crop_px < unit or self.crop_px % unit:
            raise InputError(
                f"Found crops of {self.crop_px} px for a pspnet, whose pooling fixes the size of "
                f"its tiles: expected a multiple of {unit}, for example {unit * 6}."
            )

    @property
    def stages(self) -> int:
        """Encoder stages: `depth`, or the architecture's default."""
        if self.architecture == "plain-unet":
            return len(self.filters) - 1
        return self.depth if self.depth is not None else _DEPTHS[self.architecture][0]

    @property
    def filters(self) -> tuple[int, ...]:
        """Widths: `decoder_filters`, or the architecture's defaults."""
        if self.decoder_filters is not None:
            return self.decoder_filters
        if self.architecture == "plain-unet":
            return _PLAIN_FILTERS
        if self.architecture == "unet":
            last = 4 if self.subpixel else 5
            return (256, 128, 64, 32, 16)[5 - self.stages : last] if self.stages <= 5 else ()
        return _DEFAULT_FILTERS[self.architecture]

    @property
    def activation(self) -> str:
        """The last layer: sigmoid for one class, else softmax."""
        return "sigmoid" if self.classes == 1 else "softmax"
