"""Settings of cleaning an existing line layer."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

from roadgis.errors import InputError
from roadgis.options.cleaning import CleanOptions, RuleOptions
from roadgis.options.option import Option, setting


@dataclass(frozen=True)
class DrawnOptions:
    """Settings of noding drawn lines.

    Attributes
    ----------
    snap_m : float
        How far ends are moved to meet other lines.
    step_m : float
        Largest distance between vertices while the lines are worked on; none of the added
        vertices remains at the end.
    width_m : float
        Width of roads that have none.
    node_crossings : bool
        Make junctions where lines cross without a shared vertex.
    """

    snap_m: float = setting(
        1.0, Option("Snapping distance of line ends, in metres.", "lines", unit="m", low=0)
    )
    step_m: float = 1.0
    width_m: float = setting(
        6.0,
        Option(
            "Road width to assume where unknown, in metres.",
            "lines",
            unit="m",
            low=0,
            low_open=True,
        ),
    )
    node_crossings: bool = setting(
        False,
        Option(
            "Make junctions where lines cross without a shared vertex; without it, one passes "
            "over the other.",
            "lines",
        ),
    )

    def __post_init__(self) -> None:
        for name in ("step_m", "width_m", "snap_m"):
            value = getattr(self, name)
            if not (math.isfinite(value) and (value > 0 or (value == 0 and name == "snap_m"))):
                raise InputError(f"{name} is {value}; a number above 0 is expected. Correct it.")


def drawn_clean_options(
    base: CleanOptions | None = None, *, evidence: bool = False
) -> CleanOptions:
    """Return settings of cleaning for drawn lines.

    Junctions are not contracted, as this needs a measured width. Rules against
    false roads, and sure dead ends, need probability along the lines.

    Parameters
    ----------
    base : CleanOptions, optional
        Where the other settings come from; by default lines are not smoothed, and simplified
        by 5 cm.
    evidence : bool
        Whether there is a raster of probability.
    """
    base = base or CleanOptions(smooth_m=0.0, tolerance_m=0.05)
    return dataclasses.replace(
        base,
        junction_factor=0.0,
        sure_dangle_share=base.sure_dangle_share if evidence else 1.0,
        rules=base.rules if evidence else RuleOptions.none(),
    )


@dataclass(frozen=True)
class CleanLinesOptions:
    """Settings of cleaning a line layer.

    Attributes
    ----------
    layer : str or None
        Which layer of the file.
    assume_crs : str or None
        CRS of a layer that has none.
    width_field : str or None
        Field with the road's width in metres, or ``NAME*FACTOR`` such as ``lanes*3.5``.
    confidence_field : str or None
        Field with the confidence 0..1, or ``NAME*FACTOR``.
    keep_fields : tuple of str
        Fields that roads take over from the feature that they mostly come from.
    drawn : DrawnOptions
        How ends are attached, and the width of roads that have none.
    clean : CleanOptions
        Settings of the steps of cleaning.
    """

    layer: str | None = setting(
        None, Option("Layer of LINES.", "lines", metavar="NAME", default_text="the only one")
    )
    assume_crs: str | None = setting(
        None, Option("CRS of lines that have none.", "lines", metavar="CRS")
    )
    width_field: str | None = setting(
        None,
        Option(
            "Field with the width in metres, or NAME*FACTOR such as lanes*3.5.",
            "lines",
            metavar="NAME",
        ),
    )
    confidence_field: str | None = setting(
        None,
        Option(
            "Field with the confidence, 0 to 1, or NAME*FACTOR such as percent*0.01.",
            "lines",
            metavar="NAME",
        ),
    )
    keep_fields: tuple[str, ...] = setting(
        (),
        Option(
            "Fields to keep: each road gets them from the feature with the largest share of it.",
            "lines",
            metavar="A,B,...",
        ),
    )
    drawn: DrawnOptions = field(default_factory=DrawnOptions)
    clean: CleanOptions = field(default_factory=drawn_clean_options)
