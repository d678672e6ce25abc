"""Settings of models: which one, its device, and the description of files without a card."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from roadgis.errors import InputError
from roadgis.options.option import Option, setting

#: Order of the axes of a batch: N images, C channels, H rows, W columns.
Layout = Literal["NHWC", "NCHW"]
#: Activation to apply to the output; "none" if the output is probabilities.
Activation = Literal["none", "sigmoid", "softmax"]
#: Largest stride and margin, and side of a tile, pixels.
MOST_PX = 8192

_GROUP = "model description"


@dataclass(frozen=True)
class DeviceOptions:
    """Device and threads of a model.

    Attributes
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" uses a GPU if the runtime supports it, else the CPU.
    threads : int or None
        CPU threads; None for all cores.
    """

    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", Option("Device that the model runs on.", "model")
    )
    threads: int | None = setting(
        None,
        Option(
            "Number of CPU threads for inference.", "performance", metavar="N", low=1,
            default_text="all cores"
        )
    )  # fmt: skip


@dataclass(frozen=True)
class RuntimeOptions(DeviceOptions):
    """Model and device.

    Attributes
    ----------
    model : str or None
        File, folder of a training run or name of a model; None for the bundled one.
    """

    model: str | None = setting(
        None,
        Option(
            "Model: an .onnx or .keras file, the folder of a training run, or the name of an "
            "installed model.",
            flags=("-m", "--model"),
            metavar="FILE",
            path=("in", "model"),
            default_text="the bundled model",
        ),
    )


@dataclass(frozen=True)
class ModelDescription:
    """Description of a model by the user or by the file's metadata; None for unknown values.

    Attributes
    ----------
    gsd_m : float or None
        Ground sampling distance of the training data, metres per pixel.
    mean, std : tuple of float or None
        Per band: the input of the model is ``(value - mean) / std``.
    value_range : {"unit", "byte"} or None
        Whether `value` there is 0..1 (the default) or 0..255.
    classes : tuple of str or None
        Names of the output's channels in order, or of the numbers in a map of classes.
    road : str or None
        Road class: its name, or its number from 0.
    layout : {"NHWC", "NCHW"} or None
        Axis order of the input; None detects it from the shape.
    activation : {"none", "sigmoid", "softmax"} or None
        Activation to apply to the output; None detects it.
    tile_px : int or None
        Side of the tiles, pixels.
    margin_px : int or None
        Border of a tile's output that is not used, pixels.
    overlap_percent : float or None
        Overlap of neighbouring tiles, in percent of their side; half of it is the margin.
    threshold : float or None
        Probability from which a pixel is road.
    """

    gsd_m: float | None = setting(
        None,
        Option(
            "Pixel size that the model was trained at, in metres. The --model-* options override "
            "the metadata in the file.",
            _GROUP,
            ("--model-gsd",),
            unit="m",
        ),
    )
    mean: tuple[float, ...] | None = setting(
        None,
        Option(
            "Mean of each band, subtracted from the input.",
            _GROUP,
            ("--model-mean",),
            metavar="X,X,X",
            default_text="0",
            example="0.485,0.456,0.406",
        ),
    )
    std: tuple[float, ...] | None = setting(
        None,
        Option(
            "Standard deviation of each band, a divisor of the input.",
            _GROUP,
            ("--model-std",),
            metavar="X,X,X",
            default_text="1",
            example="0.229,0.224,0.225",
        ),
    )
    value_range: Literal["unit", "byte"] | None = setting(
        None,
        Option(
            "Value range that mean and std refer to: 0 to 1 (unit) or 0 to 255 (byte).",
            _GROUP,
            ("--model-range",),
            default_text="unit",
        ),
    )
    classes: tuple[str, ...] | None = setting(
        None,
        Option(
            "Class names of the output's channels, in order.",
            _GROUP,
            ("--model-classes",),
            metavar="A,B,...",
        ),
    )
    road: str | None = setting(
        None,
        Option(
            "Class that is road: its name, or its number from 0.",
            _GROUP,
            ("--model-road",),
            metavar="NAME",
            default_text="by the names",
        ),
    )
    layout: Layout | None = setting(
        None,
        Option(
            "Axis order of the input: bands first (nchw) or last (nhwc).",
            _GROUP,
            ("--model-layout",),
            choices=("auto", "nchw", "nhwc"),
            default_text="auto, by its shape",
            convert=lambda text: None if text == "auto" else text.upper(),
        ),
    )
    activation: Activation | None = setting(
        None,
        Option(
            "Activation to apply to the model output.",
            _GROUP,
            ("--model-activation",),
            choices=("auto", "none", "sigmoid", "softmax"),
            default_text="auto, detected",
        ),
    )
    tile_px: int | None = setting(
        None,
        Option(
            "Side of the tiles that the model is given.",
            _GROUP,
            ("--model-tile-px",),
            unit="px",
            default_text="by its shape, else any",
        ),
    )
    margin_px: int | None = setting(
        None,
        Option(
            "Border of each output tile to discard.",
            _GROUP,
            ("--model-margin",),
            unit="px",
            default_text="an eighth of the tile",
        ),
    )
    overlap_percent: float | None = None
    threshold: float | None = setting(
        None,
        Option(
            "Probability from which a pixel is road.",
            _GROUP,
            ("--model-threshold",),
            metavar="P",
            default_text="0.5",
        ),
    )

    def __post_init__(self) -> None:
        if self.tile_px is not None and not 1 <= self.tile_px <= MOST_PX:
            raise InputError(f"--model-tile-px is {self.tile_px}, expected 1 to {MOST_PX}.")
        if self.margin_px is not None and not 0 <= self.margin_px <= MOST_PX:
            raise InputError(f"--model-margin is {self.margin_px}, expected 0 to {MOST_PX}.")
        if self.overlap_percent is not None and not 0 <= self.overlap_percent < 100:
            raise InputError(
                f"The overlap of tiles is {self.overlap_percent}, expected percent below 100."
            )
        if self.value_range not in (None, "unit", "byte"):
            raise InputError(
                f"value_range is {self.value_range!r}, expected 'unit' (0..1) or 'byte' (0..255)."
            )

    @property
    def given(self) -> dict[str, object]:
        """Values that are given, by field."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) is not None
        }

    def over(self, other: ModelDescription) -> ModelDescription:
        """Return `other` with its values replaced by those given here."""
        return dataclasses.replace(other, **self.given)  # type: ignore[arg-type]
