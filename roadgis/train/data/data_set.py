"""One of several data sets of a run: its folders, its pixel sizes, its share of the crops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from roadgis.errors import InputError

__all__ = ["DataSet"]


@dataclass(frozen=True)
class DataSet:
    """A data set and how a run uses it.

    Attributes
    ----------
    name : str
        Name in the log and in reports.
    folders : tuple of Path
        Folders of image and mask pairs.
    validation : tuple of Path
        Folders of pairs to score on, never trained on.
    hold_out_every : int
        Every n-th image of `folders`, sorted by name, is held out for validation, starting with
        the first; 0 for none.
    share : float
        Share of the crops, relative to the shares of the other data sets; 0 for a data set that
        only validates.
    gsd_m : float or None
        Pixel size of the images, metres; None for what their georeference says.
    crop_gsd_m : tuple of float
        Smallest and largest pixel size to train at: each crop is resampled to one drawn from
        this range, uniformly on a log scale. Empty for the images' own size.
    redraw_width_m : float or None
        Redraw labels as lines of this width along their middle line, for labels that were drawn
        thinner than roads are.
    teacher : str or None
        A trained model whose probabilities are mixed into the labels trained on: a name or file
        as for ``--model``.
    teacher_weight : float
        Its share in the labels, 0 to 1.
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
        """Return the pixel size that is trained at and is nearest to one, metres."""
        low, high = self.crop_gsd_m or (gsd_m, gsd_m)
        return min(max(gsd_m, low), high)
