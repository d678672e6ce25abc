"""The QA report of a scene: one HTML page to read, print and sign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import geopandas
import numpy as np
import shapely
from markupsafe import Markup

from roadgis._version import __version__
from roadgis.network.network import RoadNetwork
from roadgis.report.html import Table, number, render
from roadgis.web.network_style import CONFIDENCE_CLASSES, DRAWN, UNKNOWN
from roadgis.web.store import Edit

#: Rows of the table of doubtful roads.
_ROWS = 100
#: Side of the map, and largest deviation of its lines, in its own units.
_MAP, _DETAIL = 1000.0, 0.7
_REJECTED = (120, 120, 120)


def scene_report(
    network: RoadNetwork,
    number_: int,
    edits: Sequence[Edit],
    doubtful: Sequence[Mapping[str, Any]],
    job: Mapping[str, Any],
) -> str:
    """Return the report of a scene as HTML.

    Parameters
    ----------
    network : RoadNetwork
        With the corrections applied.
    number_ : int
        Number of the network that was corrected.
    edits : sequence of Edit
        The corrections.
    doubtful : sequence of mapping
        See :meth:`roadgis.web.road_tiles.NetworkTiles.doubtful`, before the corrections.
    job : mapping
        ``name``, ``warnings``, ``facts`` and, where there was one, ``comparison`` of the job.
    """
    decided = {edit.edge for edit in edits if edit.network == number_}
    left = [entry for entry in doubtful if entry["edge"] not in decided]
    length_m = network.length_m
    km = float(length_m.sum()) / 1000
    shown, legend = _map(network, edits)
    return render(
        "scene.html.j2",
        title=f"Roads of {job['name']}",
        summary=f"{km:,.2f} km of road in {len(network):,} edges. {len(left):,} doubtful roads are "
        f"not checked yet; {len(edits):,} corrections were made.",
        totals=_totals(network),
        warnings=[*job["warnings"], *filter(None, [job["facts"].get("unlike_training")])],
        map=shown,
        legend=legend,
        classes=_class_table(network),
        doubtful=_doubtful_table(left),
        corrections=_correction_table(edits),
        comparison=_comparison(job.get("comparison")),
        provenance=_provenance(network, job["facts"]),
    )


def _totals(network: RoadNetwork) -> dict[str, str]:
    length_m, confidence = network.length_m, network.confidence
    known = np.isfinite(confidence)
    bridged = float(length_m[network.bridged].sum())
    return {
        "Roads": f"{length_m.sum() / 1000:,.2f} km",
        "Bridged gaps": f"{int(network.bridged.sum()):,} ({bridged:,.0f} m)",
        "Mean confidence": (
            f"{np.average(confidence[known], weights=length_m[known]):.2f}" if known.any() else ""
        ),
        "Dead ends": f"{int((network.degree == 1).sum()):,}",
        "Connected components": f"{len(np.unique(network.component)):,}",
    }


def _classes(network: RoadNetwork) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the class of confidence of each edge; the last number is for unknown."""
    lows = [low for low, _, _ in CONFIDENCE_CLASSES]
    found = np.searchsorted(lows, network.confidence, side="right") - 1
    return np.where(np.isfinite(network.confidence), found, len(lows))


def _class_table(network: RoadNetwork) -> Table:
    of, length_m = _classes(network), network.length_m
    total = max(float(length_m.sum()), 1e-9)
    names = [*(text for _, _, text in CONFIDENCE_CLASSES), "not known"]
    rows = []
    for at, name in enumerate(names):
        metres = float(length_m[of == at].sum())
        if metres or at < len(CONFIDENCE_CLASSES):
            edges = f"{int((of == at).sum()):,}"
            rows.append([name, edges, f"{metres / 1000:,.2f}", f"{metres / total:.1%}"])
    return Table("Roads by confidence", ["confidence", "edges", "km", "share"], rows)


def _doubtful_table(left: Sequence[Mapping[str, Any]]) -> Table | None:
    rows = []
    for entry in left[:_ROWS]:
        west, south, east, north = entry["bounds"]
        rows.append(
            [
                str(entry["edge"]),
                "bridged gap" if entry["reason"] == "bridge" else "low confidence",
                number(entry["confidence"], 2),
                f"{(south + north) / 2:.6f}, {(west + east) / 2:.6f}",
            ]
        )
    some = f"The first {_ROWS} of {len(left):,}. " if len(left) > _ROWS else ""
    caption = f"{some}The most doubtful first, with latitude and longitude of the middle."
    return Table(caption, ["edge", "why", "confidence", "place"], rows) if rows else None


def _correction_table(edits: Sequence[Edit]) -> Table | None:
    count = Counter((edit.user, edit.action) for edit in edits)
    actions = ("accept", "reject", "redraw", "draw")
    rows = [
        [user, *(str(count[user, action]) for action in actions)]
        for user in sorted({edit.user for edit in edits})
    ]
    head = ["by", "accepted", "rejected", "redrawn", "drawn"]
    return Table("Corrections by user", head, rows) if rows else None


def _comparison(found: Mapping[str, Any] | None) -> dict[str, str] | None:
    if found is None:
        return None
    values = {"Layer": str(found["layer"])}
    for name in ("missing", "extra", "moved"):
        metres = found["lengths"].get(f"{name}_m", 0.0)
        values[name.capitalize()] = f"{metres / 1000:,.2f} km ({found['counts'][name]:,} places)"
    for name, value in (found.get("scores") or {}).items():
        values[name[:1].upper() + name[1:]] = number(value)
    return values


def _provenance(network: RoadNetwork, facts: Mapping[str, Any]) -> dict[str, str]:
    made_by = network.provenance
    model = made_by.get("model")
    inputs = [entry["name"] for entry in facts.get("inputs", [])]
    dates = sorted({str(date) for date in network.source_date if date is not None})
    return {
        "Program": f"roadgis {__version__}",
        "Model": str(model.get("name", "") if isinstance(model, Mapping) else model or ""),
        "Threshold": number(made_by.get("threshold"), 2),
        "Imagery": ", ".join(inputs[:10]) + (f" and {len(inputs) - 10} more" * (len(inputs) > 10)),
        "Dates": " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "",
        "CRS": network.crs.to_string(),
    }


def _map(
    network: RoadNetwork, edits: Sequence[Edit]
) -> tuple[Markup | None, list[tuple[str, str]]]:
    """Return the roads as SVG by confidence, with what was rejected, and its legend."""
    edges = geopandas.GeoSeries(network.edges, crs=network.crs)
    gone = [shapely.linestrings(edit.geometry) for edit in edits if edit.action == "reject"]
    rejected = geopandas.GeoSeries(gone, crs=4326).to_crs(network.crs)
    everything = np.concatenate([np.asarray(edges, object), np.asarray(rejected, object)])
    if not len(everything):
        return None, []
    west, south, east, north = shapely.total_bounds(everything)
    scale = _MAP / max(east - west, north - south, 1e-9)
    width, height = scale * (east - west), scale * (north - south)
    drawn = getattr(network, "fields", {}).get("edit")
    of = _classes(network)
    if drawn is not None:
        of = np.where(
            np.isin(drawn.astype(str), ("drawn", "redrawn")), len(CONFIDENCE_CLASSES) + 1, of
        )
    kinds = [
        *((colour, f"Confidence {text}") for _, colour, text in CONFIDENCE_CLASSES),
        (UNKNOWN, "Confidence not known"),
        (DRAWN, "Drawn by hand"),
    ]
    paths, legend = [], []

    def add(lines: Any, colour: tuple[int, int, int], text: str, dashes: str = "") -> None:
        if not len(lines):
            return
        paint = "#{:02x}{:02x}{:02x}".format(*colour)
        legend.append((paint, text))
        paths.append(
            f'<path d="{_path(lines, west, north, scale)}" stroke="{paint}"'
            + (f' stroke-dasharray="{dashes}"' if dashes else "")
            + "/>"
        )

    shapes = np.asarray(edges, object)
    for at, (colour, text) in enumerate(kinds):
        add(shapes[of == at], colour, text)
    add(np.asarray(rejected, object), _REJECTED, "Rejected", "2 4")
    svg = (
        f'<svg class="map" viewBox="-8 -8 {width + 16:.0f} {height + 16:.0f}" role="img" '
        'aria-label="Map of the roads" fill="none" stroke-width="2.2" stroke-linecap="round" '
        f'stroke-linejoin="round">{"".join(paths)}</svg>'
    )
    return Markup(svg), legend


def _path(lines: Any, west: float, north: float, scale: float) -> str:
    out = []
    for line in shapely.simplify(lines, _DETAIL / scale):
        xy = (shapely.get_coordinates(line) - (west, north)) * (scale, -scale)
        out.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in xy))
    return "".join(out)
