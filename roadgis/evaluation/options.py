"""The settings of an evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from roadgis.errors import InputError

__all__ = ["LEAST", "EvaluateOptions"]

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
    """How two layers of lines are compared; lengths in metres.

    Attributes
    ----------
    buffer_m : float
        Half width of the buffer of relaxed precision and recall, completeness, correctness,
        quality, RMSE and the classes of error.
    width_m, gsd_m : float
        Width of the roads and size of the pixels that IoU is measured on.
    junction_radius_m : float
        Farthest that a junction may lie from its partner.
    displaced_m : float, optional
        A road that is missed by no more than this is displaced; by default three buffers.
    gap_m : float
        Longest missed stretch between found parts that is called a gap.
    apls_spacing_m, apls_snap_m : float
        Distance between control points of APLS, and farthest from the other network.
    apls_max_controls : int
        Control points that routes start from; above it they are drawn at random.
    speed_field : str, optional
        Field of both layers with the speed of each line in km/h; with it, APLS is measured
        by travel time too.
    topo_radius_m, topo_hole_m, topo_interval_m : float
        How far to walk from each seed of TOPO, farthest that a marble falls into a hole from,
        way between holes.
    topo_seeds : int
        Most seeds on each layer.
    seed : int
        Seed of all random choices.
    """

    buffer_m: float = 3.0
    width_m: float = 7.0
    gsd_m: float = 1.0
    junction_radius_m: float = 10.0
    displaced_m: float | None = None
    gap_m: float = 100.0
    apls_spacing_m: float = 50.0
    apls_snap_m: float = 4.0
    apls_max_controls: int = 500
    speed_field: str | None = None
    topo_radius_m: float = 300.0
    topo_hole_m: float = 5.0
    topo_interval_m: float = 5.0
    topo_seeds: int = 200
    seed: int = 0

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
