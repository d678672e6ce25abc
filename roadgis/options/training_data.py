"""Data that a model is trained on and scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadgis.errors import InputError
from roadgis.options.option import Option, setting


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


@dataclass(frozen=True)
class DataSettings:
    """Data that a model is trained on.

    Attributes
    ----------
    roads : Path or None
        Also a raster mask.
    label_width_m : float or None
        For lines that have no width of their own.
    sets : tuple of DataSet
        Several data sets with shares and pixel sizes of their own, in place of `folders`, `images`
        and `validation`; in a settings file only.
    normalize_to : tuple of two floats, or None
        Mean and standard deviation, 0..255, that each band of a scene is brought to before
        anything else, in training and in use; see :class:`roadgis.model.card.ModelCard`.
    classes : tuple of str
        ``("road",)`` for road or not; else the first name is the background's.
    gsd_m : float
        Pairs must have it; georeferenced imagery is resampled to it.
    gsd_range_m : tuple of two floats, or None
        Smallest and largest ground sampling distance of georeferenced imagery: within it, imagery
        keeps its own, beyond it the nearest bound counts. None for `gsd_m` alone.
    road_share : float
        Share of road that half of the crops must reach.
    """

    folders: tuple[Path, ...] = setting(
        (),
        Option(
            "Folder with 'images' and 'masks' (or 'sat' and 'map'); may be repeated.",
            flags=("--data",),
            path=("in", "folder"),
            repeat=True,
        ),
    )
    images: tuple[Path, ...] = setting(
        (),
        Option(
            "Georeferenced imagery, a file or a folder, labelled by --labels; may be repeated.",
            "data",
            path=("in", "raster"),
            repeat=True,
        ),
    )
    roads: Path | None = setting(
        None,
        Option(
            "Roads as lines or polygons, in any CRS.", flags=("--labels",), path=("in", "vector")
        ),
    )
    layer: str | None = setting(
        None,
        Option(
            "Layer of --labels.",
            "data",
            flags=("--labels-layer",),
            metavar="NAME",
            default_text="the first",
        ),
    )
    label_width_m: float | None = setting(
        None, Option("Width of the road lines, in metres.", "data", unit="m")
    )
    label_width_field: str | None = setting(
        None, Option("Field with the width of each line, in metres.", "data", metavar="FIELD")
    )
    area: Path | None = setting(
        None,
        Option(
            "Polygons within which --labels is complete; pixels outside are ignored.",
            "data",
            path=("in", "vector"),
        ),
    )
    validation: tuple[Path, ...] = setting(
        (),
        Option(
            "Folder of pairs to score on after each epoch, never trained on; may be repeated.",
            path=("in", "folder"),
            repeat=True,
        ),
    )
    hold_out: float = setting(
        0.0,
        Option(
            "Share of the training data to hold out, in blocks, and score on.",
            "data",
            metavar="SHARE",
            low=0,
            high=1,
            high_open=True,
        ),
    )
    sets: tuple[DataSet, ...] = ()
    normalize_to: tuple[float, float] | None = None
    classes: tuple[str, ...] = setting(
        ("road",),
        Option(
            "Class names of the mask values, from 0, to train several classes.",
            "data",
            metavar="NAME,...",
        ),
    )
    road: str = setting("road", Option("Class of --classes that is road.", "data", metavar="NAME"))
    gsd_m: float = setting(
        1.0,
        Option(
            "Pixel size to train at, in metres.",
            "data",
            unit="m",
            default_text="{}; with --init suited to the model",
        ),
    )
    gsd_range_m: tuple[float, float] | None = None
    crop_px: int = setting(
        256,
        Option(
            "Side of the crops to train on.",
            "optimization",
            unit="px",
            low=32,
            default_text="{}; with --init suited to the model",
        ),
    )
    batch: int = setting(
        8, Option("Number of crops in a step.", "optimization", metavar="N", low=1)
    )
    road_share: float = 0.02
    augmentation: Path | None = setting(
        None,
        Option("YAML list that replaces the built-in augmentation.", "data", path=("in", "yaml")),
    )
    workers: int = setting(
        2, Option("Number of threads that prepare crops.", "performance", metavar="N", low=1)
    )

    def __post_init__(self) -> None:
        if self.batch < 1 or self.crop_px < 1 or self.workers < 1:
            raise InputError("batch, crop_px and workers must be at least 1.")
        if not 0 <= self.hold_out < 1:
            raise InputError(f"hold_out is {self.hold_out}, expected a share from 0 to below 1.")
        if not self.gsd_m > 0:
            raise InputError(f"gsd_m is {self.gsd_m}, expected a positive number of metres.")
        bounds = self.gsd_range_m
        if bounds is not None and not 0 < bounds[0] <= bounds[1]:
            raise InputError(
                f"gsd_range_m is {list(bounds)}, expected the smallest and the largest pixel size "
                "in metres."
            )
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise InputError(f"classes are {self.classes}, expected names that differ.")
        if self.normalize_to is not None and not (
            0 <= self.normalize_to[0] <= 255 and 0 < self.normalize_to[1] <= 255
        ):
            raise InputError(
                f"normalize_to is {list(self.normalize_to)}, expected a mean and a standard "
                "deviation, 0 to 255."
            )
        if self.sets and (self.folders or self.images or self.validation or self.hold_out):
            raise InputError(
                "Found data sets (sets) together with folders, images, validation or hold_out. "
                "Make each of them one of the sets."
            )
        if not self.images and self.roads is None:
            self._reject_what_needs_roads()

    @property
    def working_gsd_m(self) -> float | tuple[float, float]:
        """The pixel size to read georeferenced imagery at, or the range its own may lie in."""
        return self.gsd_m if self.gsd_range_m is None else self.gsd_range_m

    def _reject_what_needs_roads(self) -> None:
        """Reject settings that need imagery with a road layer."""
        given = [
            option
            for option, value in (
                ("--labels-layer", self.layer),
                ("--label-width", self.label_width_m),
                ("--label-width-field", self.label_width_field),
                ("--area", self.area),
            )
            if value is not None
        ]
        if given:
            raise InputError(
                f"Found {' and '.join(given)} without imagery; expected georeferenced "
                "imagery with --images, and its roads with --labels, as well."
            )


#: Folders of pairs, or imagery with a road layer, to score a model on.
ScoredOn = Sequence[Path] | DataSettings
