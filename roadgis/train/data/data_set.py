"""Settings of one of several data sets of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from roadgis.errors import InputError

__all__ = ["DataSet"]


@dataclass(frozen=True)
class DataSet:
    """Settings of a data set.

    Attributes
    ----------
    folders : tuple of Path
        Folders of image and mask pairs.
    validation : tuple of Path
        Folders of validation pairs.
    hold_out_every : int
        Every n-th image of `folders`, sorted by name, is held out for validation, starting with the
        first; 0 disables it.
    share : float
        Share of the crops, relative to the other data sets; 0 for validation only.
    gsd_m : float or None
        Pixel size of the images, metres. None: from their georeference.
    crop_gsd_m : tuple of float
        Smallest and largest pixel size of crops, metres: each crop is resampled to a size drawn
        uniformly on a log scale. Empty: the images' own size.
    redraw_width_m : float or None
        Redraw labels as lines of this width along their centreline, metres; for labels narrower
        than the roads.
    teacher : str or None
        Trained model whose probabilities are mixed into the training labels: a name or file as for
        ``--model``.
    teacher_weight : float
        Share of the teacher in the labels, 0 to 1.
    """

    name: str
    folders: tuple[Path, ...] = ()
    validation: tuple[Path, ...] = ()
    hold_out_every: int = 0
    share: float = 1.0
    gsd_m: float | None = None
    crop_gsd_m: tuple[float, ...] = ()
    redraw_width_m: float | None = None
    teacher: str | None = None
    teacher_weight: float = 0.5

    def __post_init__(self) -> None:
        if self.gsd_m is not None and not self.gsd_m > 0:
            raise InputError(f"gsd_m of {self.name} is {self.gsd_m}, expected a positive number.")
        if self.crop_gsd_m and (
            len(self.crop_gsd_m) != 2 or not 0 < self.crop_gsd_m[0] <= self.crop_gsd_m[1]
        ):
            raise InputError(
                f"crop_gsd_m of {self.name} is {list(self.crop_gsd_m)}, expected the smallest and "
                "the largest pixel size in metres."
            )
        if self.share < 0 or self.hold_out_every < 0 or self.hold_out_every == 1:
            raise InputError(
                f"share of {self.name} is {self.share} and hold_out_every {self.hold_out_every}; "
                "expected a share of 0 or more, and 0 or at least 2."
            )
        if not 0 <= self.teacher_weight <= 1:
            raise InputError(
                f"teacher_weight of {self.name} is {self.teacher_weight}, expected 0 to 1."
            )

    def nearest_gsd_m(self, gsd_m: float) -> float:
        """Return the training pixel size nearest to a given one, metres."""
        low, high = self.crop_gsd_m or (gsd_m, gsd_m)
        return min(max(gsd_m, low), high)
