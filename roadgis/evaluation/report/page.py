"""The report of an evaluation: one HTML page with scores, lengths by class of error, and maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyproj
from markupsafe import Markup
from shapely.geometry.base import BaseGeometry

from roadgis._version import __version__
from roadgis.atomic import atomic_path
from roadgis.errors import OutputError
from roadgis.evaluation.errors import ErrorPieces
from roadgis.evaluation.report.backdrop import Backdrop
from roadgis.evaluation.report.maps import KINDS, LineMap
from roadgis.evaluation.report.worst_windows import Place, worst_places
from roadgis.evaluation.table import SCORES, flat, total_row
from roadgis.progress import Progress, no_progress
from roadgis.report.html import Table, number, render

#: Numbers of maps: of whole extents (of the worst pairs), and of the largest errors.
_OVERVIEWS, _PLACES = 4, 12
_OVERVIEW_PX, _PLACE_PX = 960, 480
_OVERVIEW_OF_SEVERAL_PX = 640
#: Characters of all maps, and rows of the table of pairs: the page stays below 5 MB.
_BUDGET = 4_000_000
_ROWS = 1_000


@dataclass(frozen=True)
class ReportPair:
    """One proposal with its truth, evaluated.

    Attributes
    ----------
    name : str
        Name of the pair, where there are several; else of the proposal.
    scores : mapping
        As ``Evaluation.to_dict`` gives them; None where a score does not apply.
    pieces : ErrorPieces
        Both layers by class of error.
    crs : pyproj.CRS
        The metric CRS of the pieces.
    area : Polygon or MultiPolygon, optional
        Area of interest, in the same CRS.
    issues : tuple of str
        Warnings about ignored features.
    """

    name: str
    scores: Mapping[str, Any]
    pieces: ErrorPieces
    crs: pyproj.CRS
    area: BaseGeometry | None = None
    issues: tuple[str, ...] = ()


def write_report(
    path: Path,
    pairs: Sequence[ReportPair],
    *,
    options: Mapping[str, Any],
    image: Path | str | None = None,
    assume_crs: str | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> None:
    """Write a report as one self-contained HTML file without scripts.

    Parameters
    ----------
    path : Path
        Written under a temporary name and renamed.
    pairs : sequence of ReportPair
        At least one.
    options : mapping
        Settings of the evaluation by name, for the page.
    image : path or URL, optional
        A raster, or a folder of them, behind the maps.
    assume_crs : str, optional
        CRS of rasters that have none.
    overwrite : bool
        Replace an existing file.
    progress : Progress
        Progress callback, called after each map.

    Raises
    ------
    SceneError, ReadError
        If the image cannot be used.
    OutputError
        If the file exists and may not be replaced, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists. Choose another name, or replace it with --overwrite.")
    text = report_page(
        pairs, options=options, image=image, assume_crs=assume_crs, progress=progress
    )
    with atomic_path(path, overwrite=overwrite) as partial:
        partial.write_text(text, encoding="utf-8")


def report_page(
    pairs: Sequence[ReportPair],
    *,
    options: Mapping[str, Any],
    image: Path | str | None = None,
    assume_crs: str | None = None,
    progress: Progress = no_progress,
) -> str:
    """Return a report as HTML; see :func:`write_report`."""
    several = len(pairs) > 1
    scores = total_row([pair.scores for pair in pairs]) if several else pairs[0].scores
    title = f"{len(pairs)} road networks evaluated" if several else f"{pairs[0].name}, evaluated"
    return render(
        "evaluation.html.j2",
        title=title,
        summary=_summary(scores, options),
        scores=scores,
        buffer_m=f"{options.get('buffer_m', 3.0):g}",
        width_m=f"{options.get('width_m', 7.0):g}",
        pairs=_pair_table(pairs, scores) if several else None,
        length_tables=_length_tables(pairs),
        kinds=KINDS,
        pair_maps=_maps(pairs, _Imagery(image, assume_crs), progress),
        pair_count=len(pairs),
        all_scores=_all_scores(scores),
        settings=_settings(pairs, options, image),
    )


@dataclass(frozen=True)
class _Imagery:
    source: Path | str | None
    assume_crs: str | None

    def backdrop(self, crs: pyproj.CRS) -> Backdrop | None:
        if self.source is None:
            return None
        return Backdrop(self.source, crs, assume_crs=self.assume_crs)


def _kilometres(length_m: float) -> str:
    return f"{length_m / 1000:,.3f}"


def _summary(scores: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    values = flat(scores)
    if values.get("relaxed_f1") is None:
        return "The ground truth holds no road here, so that most scores are undefined."
    return (
        f"{values['relaxed_recall']:.1%} of the true length is found within "
        f"{options.get('buffer_m', 3.0):g} m; {values['relaxed_precision']:.1%} of the extracted "
        "length is true."
    )


def _pair_table(pairs: Sequence[ReportPair], total: Mapping[str, Any]) -> Table:
    head = ["pair", *(name.replace("_", " ") for name in SCORES)]
    rows = [["all", *(number(total.get(name)) for name in SCORES)]]
    rows += [
        [pair.name, *(number(pair.scores.get(name)) for name in SCORES)] for pair in pairs[:_ROWS]
    ]
    caption = (
        "Scores of each pair. In the row of all pairs, relaxed scores come from the total lengths; "
        "the others are means weighted by the length of the ground truth."
    )
    if len(pairs) > _ROWS:
        caption += f" The first {_ROWS:,} of {len(pairs):,} pairs; --csv has all."
    return Table(caption, head, rows, total=True)


_CLASSES = {
    "truth": {
        "hit": "found",
        "displaced": "found, displaced",
        "gap": "missing between found parts",
        "missed": "missing",
    },
    "proposal": {
        "hit": "correct",
        "duplicate": "correct, but drawn twice",
        "displaced": "displaced",
        "false": "false",
    },
}


def _length_tables(pairs: Sequence[ReportPair]) -> list[Table]:
    tables = []
    for side, caption in (("truth", "Ground truth"), ("proposal", "Extracted roads")):
        sums: dict[str, float] = {}
        for pair in pairs:
            for kind, length_m in getattr(pair.pieces, side).length_by_kind().items():
                sums[kind] = sums.get(kind, 0.0) + length_m
        whole = sum(sums.values())
        rows = [["all", _kilometres(whole), ""]]
        rows += [
            [
                _CLASSES[side].get(kind, kind),
                _kilometres(length_m),
                f"{length_m / whole:.1%}" if whole else "",
            ]
            for kind, length_m in sums.items()
        ]
        tables.append(Table(caption, ["class", "km", "share"], rows, total=True))
    return tables


def _wrong(pair: ReportPair) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Return the pieces of the truth that are not hits, and those of the proposal."""
    truth, proposal = pair.pieces.truth, pair.pieces.proposal
    return truth.lines[truth.kind != "hit"], proposal.lines[proposal.kind != "hit"]


def _wrong_m(pair: ReportPair) -> float:
    truth, proposal = pair.pieces.truth, pair.pieces.proposal
    return float(
        truth.length_m[truth.kind != "hit"].sum() + proposal.length_m[proposal.kind != "hit"].sum()
    )


class _Figure(NamedTuple):
    svg: Markup
    caption: str


class _PairMaps(NamedTuple):
    """The maps of one pair; no overview where the pair has no roads."""

    name: str
    overview: _Figure | None = None
    worst: Sequence[_Figure] = ()
    side_m: str = ""


def _maps(pairs: Sequence[ReportPair], imagery: _Imagery, progress: Progress) -> list[_PairMaps]:
    shown = sorted(pairs, key=lambda pair: (-round(_wrong_m(pair), 3), pair.name))[:_OVERVIEWS]
    maps = []
    for at, pair in enumerate(shown):
        maps.append(_pair_maps(pair, imagery, len(shown)))
        progress((at + 1) / len(shown), f"drawing maps: {at + 1} of {len(shown)}")
    return maps


def _pair_maps(pair: ReportPair, imagery: _Imagery, shared_by: int) -> _PairMaps:
    """Draw the maps of one of several pairs that share the page."""
    misses, false_roads = _wrong(pair)
    drawing = LineMap(
        [pair.pieces.proposal.of("hit"), misses, false_roads],
        area=pair.area,
        backdrop=imagery.backdrop(pair.crs),
    )

    def drawn(bounds: tuple[float, float, float, float], text: str, width_px: int) -> _Figure:
        return _Figure(Markup(drawing.svg(bounds, text, width_px=width_px)), text)

    bounds = drawing.bounds
    if bounds is None:
        return _PairMaps(pair.name)
    whole = _framed(bounds)
    text = f"The whole extent of {pair.name}: {_extent(whole)}."
    overview = drawn(whole, text, _OVERVIEW_PX if shared_by == 1 else _OVERVIEW_OF_SEVERAL_PX)
    side_m = _side(whole)
    if side_m >= max(whole[2] - whole[0], whole[3] - whole[1]):
        return _PairMaps(pair.name, overview)
    left = _BUDGET // shared_by - len(overview.svg)
    worst: list[_Figure] = []
    count = max(1, _PLACES // shared_by)
    for place in worst_places(misses, false_roads, side_m=side_m, count=count):
        closer = drawn(place.bounds, _place_text(place, pair.crs), _PLACE_PX)
        left -= len(closer.svg)
        if left < 0 and worst:
            break
        worst.append(closer)
    return _PairMaps(pair.name, overview, worst, f"{side_m:g}")


def _framed(bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Return bounds with a margin, and of a shape that fits on a page."""
    west, south, east, north = bounds
    size = max(east - west, north - south, 50.0)
    width, height = max(east - west, 0.4 * size), max(north - south, 0.3 * size)
    x, y = (west + east) / 2, (south + north) / 2
    half = (width / 2 + 0.02 * size, height / 2 + 0.02 * size)
    return x - half[0], y - half[1], x + half[0], y + half[1]


def _side(bounds: tuple[float, float, float, float]) -> float:
    """Return the side of the squares for zoomed maps, metres."""
    size = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    return min((side for side in (100.0, 200.0, 300.0, 400.0) if side >= size / 8), default=500.0)


def _extent(bounds: tuple[float, float, float, float]) -> str:
    width, height = (bounds[2] - bounds[0]) / 1000, (bounds[3] - bounds[1]) / 1000
    return f"{width:.1f} km by {height:.1f} km"


def _place_text(place: Place, crs: pyproj.CRS) -> str:
    west, south, east, north = place.bounds
    x, y = (west + east) / 2, (south + north) / 2
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    return (
        f"{place.missed_m:,.0f} m missed, {place.false_m:,.0f} m false. Centre {lat:.5f}, "
        f"{lon:.5f} (latitude, longitude); {x:,.0f}, {y:,.0f} in {crs.name}."
    )


def _all_scores(scores: Mapping[str, Any]) -> Table:
    values = flat(scores)
    known = [*SCORES, *(name for name in values if name not in SCORES)]
    rows = [
        [name, number(values.get(name), 1 if name.endswith("_m") and name != "rmse_m" else 4)]
        for name in known
        if not isinstance(values.get(name), (str, list, tuple))
    ]
    caption = "Named as in --json. A dash: undefined, for instance without true roads."
    return Table(caption, ["score", "value"], rows)


def _settings(
    pairs: Sequence[ReportPair], options: Mapping[str, Any], image: Path | str | None
) -> dict[str, str]:
    values = {
        name: f"{value:g}" if isinstance(value, float) else number(value)
        for name, value in options.items()
        if value is not None
    }
    values["CRS of the measurements"] = ", ".join(dict.fromkeys(pair.crs.name for pair in pairs))
    values["imagery"] = "" if image is None else str(image)
    values["left out or changed"] = "; ".join(
        dict.fromkeys(issue for pair in pairs for issue in pair.issues)
    )
    now = datetime.now(timezone.utc)
    values["made"] = f"{now:%Y-%m-%d %H:%M} UTC with roadgis {__version__}"
    return values
