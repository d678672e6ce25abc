"""Clean raw centrelines: the order of the steps, and the reasons why nothing may be left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from roadgis.network.attributes import edge_attributes
from roadgis.network.bridging.bridge import bridge_gaps
from roadgis.network.centerlines import Centerlines
from roadgis.network.edit import merge_interstitial, take_nodes
from roadgis.network.junctions import contract_junctions
from roadgis.network.network import RoadNetwork
from roadgis.network.parallels import merge_parallels
from roadgis.network.prune import (
    apply_rules,
    drop_dangles,
    drop_small_components,
    drop_small_loops,
    drop_weak_components,
)
from roadgis.network.shape.edge_shapes import edge_shapes
from roadgis.options.cleaning import CleanOptions
from roadgis.probability.source import ProbabilitySource

__all__ = [
    "NODATA_ADVICE",
    "RasterFacts",
    "Removed",
    "WhyEmpty",
    "clean_network",
    "cleaned_lines",
    "removed_by_cleaning",
]


def clean_network(
    lines: Centerlines,
    options: CleanOptions | None = None,
    *,
    source: ProbabilitySource | None = None,
) -> RoadNetwork:
    """Turn raw centrelines into a road network.

    Applies :func:`cleaned_lines`, then measures attributes and draws the shapes.

    Parameters
    ----------
    lines : Centerlines
        As traced.
    options : CleanOptions, optional
        What to drop, bridge and merge, and how much to smooth.
    source : ProbabilitySource, optional
        Probability on the lines' grid, as evidence for bridges. Without it, geometry alone
        decides.

    Returns
    -------
    RoadNetwork
        Nodes in the order of their lowest pixel, edges in the order of their nodes; each
        edge from its lower node to its higher one.
    """
    options = options or CleanOptions()
    gsd = lines.grid.gsd_m
    lines = cleaned_lines(lines, options, source=source)
    if not len(lines):
        return RoadNetwork.empty(lines.grid.crs)
    attributes = edge_attributes(lines)
    shapes, nodes = edge_shapes(
        lines, np.nan_to_num(attributes.width_m / gsd), options.smooth_m / gsd, options.tolerance_m
    )
    return RoadNetwork(
        crs=lines.grid.crs,
        edges=shapes,
        start=lines.start,
        end=lines.end,
        nodes=nodes,
        bridged=lines.bridged,
        **attributes._asdict(),
    )


def cleaned_lines(
    lines: Centerlines, options: CleanOptions, *, source: ProbabilitySource | None = None
) -> Centerlines:
    """Apply the steps of cleaning, on lines that still lie on pixels.

    1. Drop components with too little above the threshold (hysteresis).
    2. Drop dangles and small loops; then contract junctions, and drop what dangles after that.
    3. Merge carriageways, if asked for.
    4. Bridge gaps: now dead ends are real ones.
    5. Apply the rules against false roads.
    6. Drop components that are small for how sure they are: last, so that a bridge can save the
       piece behind it.

    Parameters
    ----------
    lines : Centerlines
        As traced.
    options : CleanOptions
        What to drop, bridge and merge.
    source : ProbabilitySource, optional
        Probability on the lines' grid.

    Returns
    -------
    Centerlines
        Only nodes in use, in the order of their keys; edges in the order of their nodes.
    """
    steps = _steps(options, lines.grid.gsd_m, source)
    # A copy, so that what is derived on the way is not kept with the caller's lines.
    lines = replace(lines)
    for step in steps:
        lines = step.run(lines)
    return _ordered(lines)


def removed_by_cleaning(
    lines: Centerlines, options: CleanOptions, *, source: ProbabilitySource | None = None
) -> tuple[Removed, ...]:
    """Return what each step of :func:`cleaned_lines` removes, if anything."""
    gsd = lines.grid.gsd_m
    removed = []
    lines = replace(lines)
    for step in _steps(options, gsd, source):
        before = float(lines.length_px.sum())
        lines = step.run(lines)
        metres = (before - float(lines.length_px.sum())) * gsd
        if step.what and metres > 0.5:
            removed.append(Removed(step.what, metres, step.advice))
    return tuple(removed)


class _Step(NamedTuple):
    """A step of cleaning: what it removes, the option that keeps that, and the step itself."""

    what: str
    advice: str
    run: Callable[[Centerlines], Centerlines]


def _steps(
    options: CleanOptions, gsd: float, source: ProbabilitySource | None
) -> tuple[_Step, ...]:
    def hysteresis(lines: Centerlines) -> Centerlines:
        return merge_interstitial(drop_weak_components(lines, options.min_strong_m / gsd))

    def junctions(lines: Centerlines) -> Centerlines:
        return _pruned(contract_junctions(lines, options.junction_factor), options)

    return (
        _Step(
            f"pieces with less than {options.min_strong_m:g} m above the threshold",
            "a lower --threshold",
            hysteresis,
        ),
        _Step("dead ends", "--min-dangle 0", lambda lines: _pruned(lines, options)),
        _Step("dead ends", "--min-dangle 0", junctions),
        _Step(
            "second carriageways",
            "no --merge-carriageways",
            lambda lines: merge_parallels(lines, options.parallels),
        ),
        _Step("", "", lambda lines: bridge_gaps(lines, options.bridge, source)),
        _Step(
            "false roads",
            "--no-rule all",
            lambda lines: _pruned(apply_rules(lines, options.rules), options),
        ),
        _Step(
            f"pieces shorter than {options.min_component_m:g} m",
            "--min-component 0",
            lambda lines: drop_small_components(lines, options.min_component_m / gsd),
        ),
    )


def _pruned(lines: Centerlines, options: CleanOptions) -> Centerlines:
    """Drop dangles and small loops until there are none; merge edges after each round."""
    factor = options.dangle_factor
    while True:
        count = len(lines)
        lines = drop_dangles(lines, factor, options.sure_dangle_share)
        lines = merge_interstitial(drop_small_loops(lines, factor))
        if len(lines) == count:
            return lines


def _ordered(lines: Centerlines) -> Centerlines:
    """Return the edges in the order of their nodes, and the nodes in use in that of their pixels.

    Steps that split edges append nodes, so numbers alone do not give the order.
    """
    used = np.unique(np.concatenate([lines.start, lines.end]))
    rank = np.lexsort([lines.node_col[used], lines.node_row[used], lines.node_key[used]])
    lines = take_nodes(lines, used[rank])
    lines = lines.reversed_where(lines.start > lines.end)
    return lines.take(np.lexsort([lines.key, lines.end, lines.start]))


NODATA_ADVICE = "another --nodata, if data are read as no data"


@dataclass(frozen=True)
class Removed:
    """Lines that a step removed.

    Attributes
    ----------
    what : str
        Kind of line, for messages.
    metres : float
        Their length.
    advice : str
        Option that keeps them.
    """

    what: str
    metres: float
    advice: str


@dataclass(frozen=True)
class RasterFacts:
    """Facts about the raster that lines were traced from.

    Attributes
    ----------
    nodata_share : float
        Share of the pixels without data, 0..1.
    highest : float or None
        Highest probability; None where all is nodata.
    threshold : float or None
        Probability from which a pixel is road; None in a mask.
    road_m2, wide_m2 : float
        Area above the weak threshold, and the part of it that exceeds the maximum road width.
    """

    nodata_share: float
    highest: float | None
    threshold: float | None
    road_m2: float
    wide_m2: float

    @property
    def is_low(self) -> bool:
        """Whether no pixel reaches the threshold."""
        if self.threshold is None or self.highest is None:
            return False
        return self.highest < self.threshold


@dataclass(frozen=True)
class WhyEmpty:
    """Why a network holds no road.

    Attributes
    ----------
    lines_m : float
        Length of the lines that were traced or given, metres.
    removed : tuple of Removed
        One for each step that removed something.
    raster : RasterFacts or None
        The raster; None where lines were given.
    """

    lines_m: float
    removed: tuple[Removed, ...] = ()
    raster: RasterFacts | None = None

    @property
    def advice(self) -> tuple[str, ...]:
        """Options to try, the one for the step that removed most first."""
        return tuple(dict.fromkeys([*self._of_raster(), *self._of_steps()]))

    def _of_steps(self) -> list[str]:
        ranked = sorted(self.removed, key=lambda step: -step.metres)
        facts = self.raster
        # Masks and given lines have no threshold; a low probability has its own advice.
        by_threshold = facts is not None and facts.threshold is not None and not facts.is_low
        return [s.advice for s in ranked if by_threshold or "--threshold" not in s.advice]

    def _of_raster(self) -> list[str]:
        facts = self.raster
        if facts is None:
            return []
        if facts.highest is None:
            return [NODATA_ADVICE]
        if facts.is_low:
            # Slightly lower, because stored probabilities are rounded.
            lower = int(facts.highest * 95) / 100
            return [f"--threshold {lower:g}"] if lower > 0 else []
        return ["a larger --max-road-width"] if facts.wide_m2 > facts.road_m2 / 2 else []

    @property
    def text(self) -> str:
        """The reason in full sentences."""
        parts = [*self._raster_texts(), *self._line_texts()]
        if self.advice:
            parts.append(f"What may help: {'; '.join(self.advice)}.")
        return " ".join(parts)

    def _raster_texts(self) -> list[str]:
        facts = self.raster
        if facts is None:
            return []
        if facts.highest is None:
            return ["The whole raster is nodata."]
        texts = [f"{facts.nodata_share:.1%} of the raster is nodata"]
        if facts.threshold is not None:
            texts[0] += (
                f"; the highest probability is {facts.highest:.2f}, the threshold "
                f"{facts.threshold:.2f}."
            )
        else:
            texts[0] += "." if facts.highest else "; no pixel of the mask is road."
        if facts.wide_m2:
            texts.append(
                f"Of {facts.road_m2:.0f} m² of road, {facts.wide_m2:.0f} m² are wider than roads."
            )
        return texts

    def _line_texts(self) -> list[str]:
        if not self.lines_m:
            return ["No line was traced." if self.raster else "The input has no lines."]
        removed = ", ".join(f"{step.metres:.0f} m as {step.what}" for step in self.removed)
        return [f"{self.lines_m:.0f} m of lines; removed: {removed or 'all, as too short'}."]

    def to_dict(self) -> dict[str, Any]:
        """Return the reason as JSON values."""
        return {**asdict(self), "removed": [asdict(step) for step in self.removed],
                "advice": list(self.advice), "text": self.text}  # fmt: skip
