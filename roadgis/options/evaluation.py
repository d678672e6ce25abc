"""Settings of the evaluation of a road network."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from roadgis.errors import InputError
from roadgis.options.option import Option, setting

_POSITIVE = (
    "buffer_m",
    "width_m",
    "gsd_m",
    "junction_radius_m",
    "apls_spacing_m",
    "apls_snap_m",
    "topo_radius_m",
    "topo_hole_m",
    "topo_interval_m",
)
#: Smallest settings, metres. Finer ones add no accuracy, but take hours or all memory.
LEAST = {"gsd_m": 0.05, "apls_spacing_m": 1.0, "topo_interval_m": 0.5}
_COUNTS = ("apls_max_controls", "topo_seeds")


@dataclass(frozen=True)
class EvaluateOptions:
    """Settings of the scores of two line layers; lengths in metres.

    Attributes
    ----------
    buffer_m : float
        Half width of the buffer of relaxed precision and recall, completeness, correctness,
        quality, RMSE and the classes of error.
    displaced_m : float, optional
        A road that is missed by no more than this is displaced; by default three buffers.
    topo_seeds : int
        On each layer.
    """

    buffer_m: float = setting(
        3.0,
        Option(
            "Maximum distance between matching roads, in metres.",
            "basic",
            unit="m",
            low=0,
            low_open=True,
        ),
    )
    width_m: float = setting(
        7.0,
        Option(
            "Width of the roads that IoU is measured on, in metres.",
            "scores",
            unit="m",
            low=0,
            low_open=True,
        ),
    )
    gsd_m: float = setting(
        1.0,
        Option(
            "Size of the pixels that IoU is measured on, in metres.",
            "scores",
            unit="m",
            low=LEAST["gsd_m"],
        ),
    )
    junction_radius_m: float = setting(
        10.0,
        Option(
            "Maximum distance between matching junctions, in metres.",
            "scores",
            unit="m",
            low=0,
            low_open=True,
        ),
    )
    displaced_m: float | None = None
    gap_m: float = setting(
        100.0,
        Option(
            "Maximum length of a missed stretch between found parts that counts as a gap, in "
            "metres.",
            "scores",
            unit="m",
            low=0,
        ),
    )
    apls_spacing_m: float = setting(
        50.0,
        Option(
            "APLS: spacing of the control points, in metres.",
            "scores",
            ("--spacing",),
            unit="m",
            low=LEAST["apls_spacing_m"],
        ),
    )
    apls_snap_m: float = setting(
        4.0,
        Option(
            "APLS: maximum distance from a control point to the other network, in metres.",
            "scores",
            ("--snap",),
            unit="m",
            low=0,
            low_open=True,
        ),
    )
    apls_max_controls: int = setting(
        500,
        Option(
            "APLS: maximum number of control points that routes start from; of more, a random "
            "sample is taken.",
            "scores",
            ("--max-controls",),
            metavar="N",
            low=1,
        ),
    )
    speed_field: str | None = setting(
        None,
        Option(
            "APLS by travel time too: field of both layers with the speed in km/h.",
            "scores",
            metavar="FIELD",
        ),
    )
    topo_radius_m: float = setting(
        300.0,
        Option(
            "TOPO: distance to walk from each seed, in metres.",
            "scores",
            unit="m",
            low=0,
            low_open=True,
        ),
    )
    topo_hole_m: float = setting(
        5.0,
        Option(
            "TOPO: maximum distance between matching holes and marbles, in metres.",
            "scores",
            unit="m",
            low=0,
            low_open=True,
        ),
    )
    topo_interval_m: float = setting(
        5.0,
        Option(
            "TOPO: spacing of holes and marbles, in metres.",
            "scores",
            unit="m",
            low=LEAST["topo_interval_m"],
        ),
    )
    topo_seeds: int = setting(
        200, Option("TOPO: maximum number of seed points.", "scores", metavar="N", low=1)
    )
    seed: int = setting(
        0,
        Option(
            "Seed of random samples; the same seed gives the same scores.",
            "scores",
            metavar="N",
            low=0,
        ),
    )

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}; expected a length above 0, in metres.")
            if value < LEAST.get(name, 0.0):
                raise InputError(f"{name} is {value}; expected {LEAST[name]} m or more. Raise it.")
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected 1 or more. Raise it.")
        if not (math.isfinite(self.gap_m) and self.gap_m >= 0):
            raise InputError(f"gap_m is {self.gap_m}; expected 0 or more, in metres.")
        if self.seed < 0:
            raise InputError(f"The seed is {self.seed}; expected 0 or more. Raise it.")
        if not self.displacement_m >= self.buffer_m:
            raise InputError(
                f"displaced_m is {self.displaced_m}; expected at least buffer_m, "
                f"{self.buffer_m}. Raise it, or leave it out."
            )

    @property
    def displacement_m(self) -> float:
        """`displaced_m`, or three buffers."""
        return 3 * self.buffer_m if self.displaced_m is None else self.displaced_m

    def to_dict(self) -> dict[str, float | int | str | None]:
        """Return all settings by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
