"""Settings of the segmentation of videos."""

from __future__ import annotations

from dataclasses import dataclass

from roadgis.errors import InputError
from roadgis.options.option import OVERWRITE, Option, setting


@dataclass(frozen=True)
class VideoOptions:
    """Settings of the segmentation of a video.

    Attributes
    ----------
    height : int, optional
        Rounded to the nearest multiple of the model's stride.
    allow_truncated : bool
        A video that ends before its announced end is segmented as far as it goes, with a warning.
    """

    alpha: float = setting(
        0.5,
        Option(
            "Opacity of the class colours over the picture.",
            "drawing",
            metavar="SHARE",
            low=0,
            high=1,
        ),
    )
    every: int = setting(
        1,
        Option(
            "Segment every N-th frame; the frames between keep the classes of the previous one.",
            "drawing",
            metavar="N",
            low=1,
        ),
    )
    height: int | None = setting(
        None,
        Option(
            "Frame height that the model sees.",
            "drawing",
            unit="px",
            low=1,
            default_text="that of its training crops, else 512",
        ),
    )
    legend: bool = setting(True, Option("Draw no legend.", "drawing", ("--no-legend",)))
    allow_truncated: bool = setting(
        False, Option("Accept truncated videos, as far as they can be decoded.", "drawing")
    )
    overwrite: bool = setting(False, OVERWRITE)

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha is {self.alpha}, expected a number between 0 and 1.")
        if self.every < 1:
            raise InputError(f"every is {self.every}, expected at least 1.")
        if self.height is not None and self.height < 1:
            raise InputError(f"height is {self.height}, expected at least 1 px.")
