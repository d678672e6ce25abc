"""The report of an evaluation: one HTML page with scores, lengths by class of error, and maps."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
from shapely.geometry.base import BaseGeometry

from roadgis._version import __version__
from roadgis.atomic import atomic_path
from roadgis.errors import OutputError
from roadgis.evaluation.errors import ErrorPieces
from roadgis.evaluation.report.backdrop import Backdrop
from roadgis.evaluation.report.maps import MAP_STYLE, LineMap, legend
from roadgis.evaluation.report.worst_windows import Place, worst_places
from roadgis.evaluation.table import SCORES, flat, total_row
from roadgis.html import facts, figure, page, table
from roadgis.progress import Progress, no_progress

__all__ = ["ReportPair", "report_page", "write_report"]

#: Maps of the whole extent, and of the worst places; of several pairs the worst have them.
_OVERVIEWS, _PLACES = 4, 12
_OVERVIEW_PX, _PLACE_PX = 960, 480
_OVERVIEW_OF_SEVERAL_PX = 640
#: Characters of all maps, and rows of the table of pairs: the page stays below 5 MB.
_BUDGET = 4_000_000
_ROWS = 1_000
_STYLE = (
    MAP_STYLE
    + """
.scores { display: grid; gap: 1rem; margin: 1.5rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); }
.scores div { background: var(--panel); border-radius: .5rem; padding: .8rem 1rem; }
.scores b { display: block; font-size: 1.9rem; line-height: 1.2; font-weight: 650; }
.wide { margin: 1rem 0; }
.scores p { font-size: .9rem; margin: .35rem 0 0; }
"""
)


@dataclass(frozen=True)
class ReportPair:
    """One proposal with its truth, evaluated.

    Attributes
    ----------
    name : str
        Of the pair, where there are several; else of the proposal.
    scores : mapping
        As ``Evaluation.to_dict`` gives them; None where a score does not apply.
    pieces : ErrorPieces
        Both layers by class of error.
    crs : pyproj.CRS
        The metric CRS of the pieces.
    area : Polygon or MultiPolygon, optional
        Area of interest, in the same CRS.
    issues : tuple of str
        What was left out of the layers.
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
    """Write a report as one HTML file, which needs nothing else and runs no script.

    Parameters
    ----------
    path : Path
        Written beside and renamed.
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
        Told after each map.

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
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{html.escape(_summary(scores, options))}</p>",
        _headline(scores, options),
    ]
    if several:
        parts += _pair_table(pairs, scores)
    parts += _length_tables(pairs)
    subject = _Imagery(image, assume_crs)
    parts += _maps(pairs, subject, progress)
    parts += _all_scores(scores)
    parts += _settings(pairs, options, image)
    return page(title, parts, style=_STYLE)


@dataclass(frozen=True)
class _Imagery:
    source: Path | str | None
    assume_crs: str | None

    def backdrop(self, crs: pyproj.CRS) -> Backdrop | None:
        if self.source is None:
            return None
        return Backdrop(self.source, crs, assume_crs=self.assume_crs)


def _number(value: Any, digits: int = 3) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"  # noqa: RUF001 - a dash is meant
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if isinstance(value, float) else str(value)


def _kilometres(length_m: float) -> str:
    return f"{length_m / 1000:,.3f}"


def _summary(scores: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    values = flat(scores)
    buffer_m = options.get("buffer_m", 3.0)
    if values.get("relaxed_f1") is None:
        return "The truth holds no road here, so that most scores mean nothing."
    return (
        f"{values['relaxed_recall']:.1%} of the true road is found within {buffer_m:g} m, and "
        f"{values['relaxed_precision']:.1%} of the road that was found is true."
    )


def _headline(scores: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    buffer_m, width_m = options.get("buffer_m", 3.0), options.get("width_m", 7.0)
    texts = {
        "relaxed_f1": (
            "Relaxed F1",
            f"Harmonic mean of two shares of length: what was found that lies within {buffer_m:g} "
            f"m of a true road, and true road within {buffer_m:g} m of what was found.",
        ),
        "apls": (
            "APLS",
            "How well the lengths of shortest routes agree, both ways round: each break, each "
            "connection that is not there and each missing road makes it smaller.",
        ),
        "topo_f1": (
            "TOPO F1",
            "How much of what can be reached along roads from the same place is the same in both "
            "networks.",
        ),
        "junction_f1": (
            "Junction F1",
            "Harmonic mean of the shares of junctions, found and true, that have a partner of the "
            "other kind.",
        ),
        "iou": (
            "IoU",
            f"Both networks drawn {width_m:g} m wide: the area that they share, of the area that "
            "either covers.",
        ),
    }
    cells = "".join(
        f"<div>{name}<b>{_number(scores.get(key))}</b><p>{html.escape(text)}</p></div>"
        for key, (name, text) in texts.items()
    )
    return f'<div class="scores">{cells}</div>'


def _pair_table(pairs: Sequence[ReportPair], total: Mapping[str, Any]) -> list[str]:
    head = ["pair", *(name.replace("_", " ") for name in SCORES)]
    rows = [["all", *(_number(total.get(name)) for name in SCORES)]]
    rows += [
        [pair.name, *(_number(pair.scores.get(name)) for name in SCORES)] for pair in pairs[:_ROWS]
    ]
    caption = (
        "Scores of each pair. All: relaxed scores from the lengths of all pairs; the others are "
        "means, weighted by the length of the truth."
    )
    if len(pairs) > _ROWS:
        caption += f" The first {_ROWS:,} of {len(pairs):,} pairs; --csv has all."
    return ["<h2>Pairs</h2>", table(caption, head, rows, total=True)]


_CLASSES = {
    "truth": {
        "hit": "found",
        "displaced": "beside its place",
        "gap": "missing between found parts",
        "missed": "missing",
    },
    "proposal": {
        "hit": "right",
        "duplicate": "right, but drawn twice",
        "displaced": "beside its place",
        "false": "false",
    },
}


def _length_tables(pairs: Sequence[ReportPair]) -> list[str]:
    parts = ["<h2>Length by class of error</h2>"]
    captions = {
        "truth": "The true roads",
        "proposal": "The roads that were found",
    }
    for side, caption in captions.items():
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
        parts.append(table(caption, ["class", "km", "share"], rows, total=True))
    return parts


def _wrong(pair: ReportPair) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Return the pieces of the truth that are missed, of whatever class, and the false ones."""
    truth, proposal = pair.pieces.truth, pair.pieces.proposal
    return truth.lines[truth.kind != "hit"], proposal.lines[proposal.kind != "hit"]


def _wrong_m(pair: ReportPair) -> float:
    truth, proposal = pair.pieces.truth, pair.pieces.proposal
    return float(
        truth.length_m[truth.kind != "hit"].sum() + proposal.length_m[proposal.kind != "hit"].sum()
    )


def _maps(pairs: Sequence[ReportPair], imagery: _Imagery, progress: Progress) -> list[str]:
    shown = sorted(pairs, key=lambda pair: (-round(_wrong_m(pair), 3), pair.name))[:_OVERVIEWS]
    parts = ["<h2>Maps</h2>", legend()]
    for at, pair in enumerate(shown):
        parts += _pair_maps(pair, imagery, len(shown))
        progress((at + 1) / len(shown), f"drawing maps: {at + 1} of {len(shown)}")
    if len(shown) < len(pairs):
        parts.append(f"<p>Maps of the {len(shown)} pairs with the most wrong length.</p>")
    return parts


def _pair_maps(pair: ReportPair, imagery: _Imagery, shared_by: int) -> Iterator[str]:
    """Draw the maps of one of several pairs that share the page."""
    misses, false_roads = _wrong(pair)
    drawing = LineMap(
        [pair.pieces.proposal.of("hit"), misses, false_roads],
        area=pair.area,
        backdrop=imagery.backdrop(pair.crs),
    )
    if shared_by > 1:
        yield f"<h3>{html.escape(pair.name)}</h3>"
    bounds = drawing.bounds
    if bounds is None:
        yield "<p>No road here, neither true nor found.</p>"
        return
    whole = _framed(bounds)
    text = f"The whole extent of {pair.name}: {_extent(whole)}."
    width_px = _OVERVIEW_PX if shared_by == 1 else _OVERVIEW_OF_SEVERAL_PX
    overview = figure(drawing.svg(whole, text, width_px=width_px), text)
    yield overview
    side_m = _side(whole)
    found = worst_places(misses, false_roads, side_m=side_m, count=max(1, _PLACES // shared_by))
    if not found or side_m >= max(whole[2] - whole[0], whole[3] - whole[1]):
        return
    left = _BUDGET // shared_by - len(overview)
    figures: list[str] = []
    for place in found:
        text = _place_text(place, pair.crs)
        figures.append(figure(drawing.svg(place.bounds, text, width_px=_PLACE_PX), text))
        left -= len(figures[-1])
        if left < 0 and len(figures) > 1:
            figures.pop()
            break
    yield f"<h3>Where the most is wrong</h3><p>Squares of {side_m:g} m.</p>"
    yield f'<div class="pictures">{"".join(figures)}</div>'


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


def _all_scores(scores: Mapping[str, Any]) -> list[str]:
    values = flat(scores)
    known = [*SCORES, *(name for name in values if name not in SCORES)]
    rows = [
        [name, _number(values.get(name), 1 if name.endswith("_m") and name != "rmse_m" else 4)]
        for name in known
        if not isinstance(values.get(name), (str, list, tuple))
    ]
    caption = "By the names of --json. A dash: it does not apply, for instance without true roads."
    return ["<h2>All scores</h2>", table(caption, ["score", "value"], rows)]


def _settings(
    pairs: Sequence[ReportPair], options: Mapping[str, Any], image: Path | str | None
) -> list[str]:
    values = {
        name: f"{value:g}" if isinstance(value, float) else _number(value)
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
    return ["<h2>Settings</h2>", facts(values)]
