"""The JSON API of what a job shows on the map: tiles, roads, networks, corrections, downloads."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse
from rasterio.errors import CRSError, RasterioError
from rio_tiler.errors import RioTilerError

from roadgis.errors import RoadgisError
from roadgis.web import tasks
from roadgis.web.api.context import Context, Shared, TheJob
from roadgis.web.api.downloads import DOWNLOADS
from roadgis.web.api.jobs_api import ERRORS, FILE_BODY
from roadgis.web.api.models import (
    ComparisonRequest,
    EditView,
    NetworkView,
    NewEdit,
    RouteEnds,
    VectorSettings,
)
from roadgis.web.api.receiving import receive_body
from roadgis.web.api.uploads import check_free, safe_name
from roadgis.web.files import JobFiles
from roadgis.web.raster_tiles import imagery_tile, probability_tile
from roadgis.web.road_tiles import NetworkTiles, open_layer
from roadgis.web.route import route
from roadgis.web.store import Job

router = APIRouter(prefix="/api/jobs/{job_id}", responses=ERRORS)

Zoom = Annotated[int, PathParameter(ge=0, le=24)]
Cell = Annotated[int, PathParameter(ge=0, lt=2**24)]
Number = Annotated[int, PathParameter(ge=0, le=2**31)]
#: A network's number, or "live": the roads of the blocks that are finished.
NetworkName = Annotated[str, PathParameter(pattern=r"^(live|[0-9]{1,9})$")]
_PNG: dict[str, Any] = {"image/png": {}}
_KEPT = {"Cache-Control": "private, max-age=86400"}
_VIDEO_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
}


@router.get(
    "/tiles/{layer}/{z}/{x}/{y}.png", response_class=Response, responses={200: {"content": _PNG}}
)
async def tile(
    context: Shared,
    job: TheJob,
    layer: Literal["imagery", "probability"],
    z: Zoom,
    x: Cell,
    y: Cell,
) -> Response:
    """Return a map tile, in Web Mercator."""
    if max(x, y) >= 2**z:
        raise HTTPException(404, "There is no such tile.")
    draw = _imagery_tile if layer == "imagery" else _probability_tile
    try:
        data = await context.draw(draw, context.files(job), z, x, y)
    except (RasterioError, RioTilerError, CRSError) as error:
        raise HTTPException(404, "This tile cannot be read.") from error
    kept = layer == "imagery" or job.state == "done"
    return Response(data, media_type="image/png", headers=_KEPT if kept else None)


def _imagery_tile(files: JobFiles, z: int, x: int, y: int) -> bytes:
    sheets = [
        shown if shown.exists() else path
        for shown, path in zip(files.shown, files.sheets(), strict=True)
    ]
    return imagery_tile(sheets, files.job.facts, z, x, y)


def _probability_tile(files: JobFiles, z: int, x: int, y: int) -> bytes:
    # A run that is repeated has a finished raster of the last one.
    path = files.live if files.job.state == "running" else files.probability
    if not path.exists():
        raise HTTPException(404, "There is no probability yet.")
    return probability_tile(path, z, x, y)


def _layer(context: Context, job: Job, network: str) -> NetworkTiles:
    files = context.files(job)
    path = files.live_roads if network == "live" else files.network(int(network))
    try:
        return open_layer(path)
    except OSError as error:
        raise HTTPException(404, "There is no such network.") from error


@router.get("/roads/{network}/{z}/{x}/{y}.json")
async def road_tile(
    context: Shared, job: TheJob, network: NetworkName, z: Zoom, x: Cell, y: Cell
) -> Response:
    """Return the edges of a map tile, simplified to what its pixels show.

    ``edges`` is a list of ``[id, confidence in percent, width in decimetres, bridged, component,
    [x, y, dx, dy, ...]]`` in ``units`` of the tile's side from its north-west corner.
    """
    if max(x, y) >= 2**z:
        raise HTTPException(404, "There is no such tile.")
    body = await context.draw(_road_tile, context, job, network, z, x, y)
    headers = _KEPT if network != "live" and job.state == "done" else None
    return Response(body, media_type="application/json", headers=headers)


def _road_tile(context: Context, job: Job, network: str, z: int, x: int, y: int) -> str:
    found = _layer(context, job, network).tile(z, x, y)
    return json.dumps(found, separators=(",", ":"))


@router.get("/roads/{network}/edges/{edge}")
def edge(context: Shared, job: TheJob, network: NetworkName, edge: Number) -> dict[str, Any]:
    """Return an edge with all attributes as a GeoJSON feature."""
    found = _layer(context, job, network).edge(edge)
    if found is None:
        raise HTTPException(404, "There is no such edge.")
    return found


@router.get("/roads/{network}/doubtful")
def doubtful(
    context: Shared,
    job: TheJob,
    network: Number,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 500,
) -> dict[str, Any]:
    """List doubtful edges, bridged gaps and low confidence, the most doubtful first."""
    layer = _layer(context, job, str(network))
    done = {e.edge for e in context.store.edits(job.id) if e.network == network}
    found = layer.doubtful()
    left = [entry for entry in found if entry["edge"] not in done]
    return {"total": len(found), "left": len(left), "edges": left[:limit]}


@router.post("/networks", status_code=201)
async def redo(context: Shared, job: TheJob, settings: VectorSettings) -> NetworkView:
    """Make a network from the stored probability with other settings."""
    _check_done(job)
    files = context.files(job)
    networks = job.result["networks"]
    number = max(entry["number"] for entry in networks) + 1
    current = job.result["current"]
    counts = await _short(
        context,
        tasks.redo,
        files.work,
        files.sheets(),
        job.settings.get("assume_crs"),
        files.network(current),
        files.network(number),
        files.difference(number),
        settings.model_dump(exclude_none=True),
    )
    made = {"number": number, "settings": settings.model_dump(exclude_none=True), **counts}
    job = context.store.get(job.id) or job
    result = {**job.result, "networks": [*networks, made], "current": number}
    context.store.update(job.id, result=result)
    return NetworkView(**made)


async def _short(context: Context, task: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return await context.pool.run(task, *arguments)
    except RoadgisError as error:
        raise HTTPException(422, str(error).replace(str(context.root), "the server")) from error
    except MemoryError as error:
        raise HTTPException(507, "Out of memory; try a smaller area.") from error


def _check_done(job: Job) -> None:
    if job.state != "done" or "networks" not in job.result:
        raise HTTPException(409, f"The job is {job.state}; this needs a finished network.")


@router.get("/networks/{number}/difference")
def difference(context: Shared, job: TheJob, number: Number) -> FileResponse:
    """Return the lines added and removed since the previous network, lon and lat."""
    path = context.files(job).difference(number)
    if not path.is_file():
        raise HTTPException(404, "There is no such network, or none before it.")
    return FileResponse(path, media_type="application/json", headers=_KEPT)


@router.post("/route")
async def find_route(context: Shared, job: TheJob, ends: RouteEnds) -> dict[str, Any]:
    """Find the path of highest probability between two places."""
    _check_done(job)
    line = await _short(context, route, context.files(job).work, ends.start, ends.end)
    return {"type": "LineString", "coordinates": line}


@router.get("/edits")
def edits(context: Shared, job: TheJob) -> list[EditView]:
    """List the corrections, oldest first."""
    return [EditView.of(edit) for edit in context.store.edits(job.id)]


@router.post("/edits", status_code=201)
def add_edit(context: Shared, job: TheJob, new: NewEdit) -> EditView:
    """Store a correction."""
    _check_done(job)
    geometry = [list(place) for place in new.geometry or []]
    if (new.action in ("draw", "redraw")) != bool(geometry):
        raise HTTPException(422, f"{new.action}: a line is for draw and redraw only.")
    if (new.action == "draw") != (new.edge is None):
        raise HTTPException(422, f"{new.action}: name an edge, but none for draw.")
    if geometry:
        _check_in_imagery(job, geometry)
    if new.edge is not None:
        line = _layer(context, job, str(new.network)).coordinates(new.edge)
        if line is None:
            raise HTTPException(404, "There is no such edge.")
        geometry = geometry or line
    user = "".join(c for c in new.user if c.isprintable()).strip() or "anonymous"
    edit = context.store.add_edit(job.id, new.action, new.edge, new.network, geometry, user)
    return EditView.of(edit)


def _check_in_imagery(job: Job, line: list[list[float]]) -> None:
    # Up to one side of the imagery beyond it; far away, coordinates in its CRS may not exist.
    west, south, east, north = job.facts["bounds_lonlat"]
    wide, high = east - west, north - south
    for lon, lat in line:
        if not (west - wide <= lon <= east + wide and south - high <= lat <= north + high):
            raise HTTPException(422, "The line is outside of the imagery. Draw it on the imagery.")
    if len({tuple(place) for place in line}) < 2:
        raise HTTPException(422, "The line has no length. Draw two places or more.")


@router.delete("/edits/last")
def undo(context: Shared, job: TheJob) -> dict[str, int]:
    """Undo the last correction."""
    identifier = context.store.undo(job.id)
    if identifier is None:
        raise HTTPException(404, "There is no correction to undo.")
    return {"id": identifier}


@router.put("/base/{name}", status_code=201, openapi_extra=FILE_BODY)
async def send_base(context: Shared, job: TheJob, name: str, request: Request) -> dict[str, Any]:
    """Send a line layer to compare with, as the body of the request."""
    _check_done(job)
    file_name = safe_name(name, "base")
    folder = context.files(job).base
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    size = await receive_body(context, request, folder / file_name, "base")
    return {"name": file_name, "bytes": size}


@router.post("/comparison")
async def compare(context: Shared, job: TheJob, wanted: ComparisonRequest) -> dict[str, Any]:
    """Compare a network with the layer that was sent."""
    _check_done(job)
    files = context.files(job)
    base = next((path for path in sorted(files.base.glob("*")) if path.is_file()), None)
    if base is None:
        raise HTTPException(409, "There is no layer to compare with. Send one first.")
    number = job.result["current"] if wanted.network is None else wanted.network
    if not files.network(number).is_file():
        raise HTTPException(404, "There is no such network.")
    found: dict[str, Any] = await _short(
        context,
        _compare,
        files.network(number),
        base,
        files.comparison,
        wanted.truth,
    )
    found = {"network": number, "layer": base.name, **found}
    job = context.store.get(job.id) or job
    context.store.update(job.id, result={**job.result, "comparison": found})
    return found


def _compare(network: Path, base: Path, output: Path, truth: bool) -> dict[str, Any]:
    return tasks.compare_with(network, base, output, truth=truth)


@router.get("/comparison")
def comparison(context: Shared, job: TheJob) -> FileResponse:
    """Return the lines that are missing, extra and moved, longitude and latitude."""
    path = context.files(job).comparison
    if not path.is_file():
        raise HTTPException(404, "Nothing was compared yet.")
    return FileResponse(path, media_type="application/json")


@router.get("/result", response_class=FileResponse)
def video_result(context: Shared, job: TheJob) -> FileResponse:
    """Return the segmented video or picture."""
    path = context.files(job).video
    if job.kind != "video" or job.state != "done" or not path.is_file():
        raise HTTPException(404, "There is no result.")
    kind = "image/png" if path.suffix == ".png" else "video/webm"
    return _play(path, kind, f"{_stem(job)}-segmented{path.suffix}")


@router.get("/original", response_class=FileResponse)
def video_original(context: Shared, job: TheJob) -> FileResponse:
    """Return the uploaded video or picture."""
    path = next(iter(context.files(job).paths()), None) if job.kind == "video" else None
    kind = None if path is None else _VIDEO_TYPES.get(path.suffix.lower())
    if path is None or kind is None or not path.is_file():
        raise HTTPException(404, "There is no original.")
    return _play(path, kind, f"{_stem(job)}{path.suffix.lower()}")


@router.get("/download/{what}", response_class=FileResponse)
async def download(
    context: Shared,
    job: TheJob,
    what: Annotated[str, PathParameter(pattern=f"^({'|'.join(DOWNLOADS)})$")],
    network: Annotated[int | None, Query(ge=0, le=2**31)] = None,
    corrected: bool = True,
) -> Response:
    """Return the network in a format, the probability, corrections, labels or the QA report."""
    _check_done(job)
    files = context.files(job)
    number = job.result["current"] if network is None else network
    if not files.network(number).is_file():
        raise HTTPException(404, "There is no such network.")
    made = context.store.edits(job.id)
    if what == "probability":
        return _offer(job, what, files.probability)
    if what == "edits":
        text = json.dumps(_edit_features(made), ensure_ascii=False)
        headers = _disposition(_stem(job) + DOWNLOADS[what].ending)
        return Response(text, media_type=DOWNLOADS[what].media_type, headers=headers)
    check_free(context.root, 0, context.options.quota_mb * 1e6)
    if what == "labels":
        path = files.exports / "labels.zip"
        await _short(context, tasks.labels, files.networks, number, made, files.sheets(), path)
        return _offer(job, what, path)
    if what == "report":
        path = files.exports / "report.html"
        about = {"name": job.name, "warnings": job.warnings, "facts": job.facts}
        compared = job.result.get("comparison")
        if compared and compared["network"] == number:
            about["comparison"] = compared
        await _short(context, tasks.report, files.networks, number, made, about, path)
        return _offer(job, what, path)
    last = made[-1].id if made and corrected else 0
    path = files.exports / f"{number}-{last}{DOWNLOADS[what].ending}"
    if not path.is_file():
        await _short(context, _export, files.networks, number, made, path, corrected)
    return _offer(job, what, path)


def _export(folder: Path, number: int, edits: Any, path: Path, corrected: bool) -> None:
    tasks.export(folder, number, edits, path, as_edited=corrected)


def _edit_features(made: list[Any]) -> dict[str, Any]:
    features = []
    for edit in made:
        values = EditView.of(edit).model_dump()
        line = {"type": "LineString", "coordinates": values.pop("geometry")}
        features.append({"type": "Feature", "geometry": line, "properties": values})
    return {"type": "FeatureCollection", "features": features}


def _stem(job: Job) -> str:
    return re.sub(r"[^\w.-]+", "_", Path(job.name).stem)[:60] or "roads"


def _disposition(name: str, *, inline: bool = False) -> dict[str, str]:
    how = "inline" if inline else "attachment"
    return {"Content-Disposition": f"{how}; filename*=UTF-8''{quote(name, safe='')}"}


def _offer(job: Job, what: str, path: Path) -> FileResponse:
    made = DOWNLOADS[what]
    headers = _disposition(_stem(job) + made.ending)
    return FileResponse(path, media_type=made.media_type, headers=headers)


def _play(path: Path, kind: str, name: str) -> FileResponse:
    return FileResponse(path, media_type=kind, headers=_disposition(name, inline=True))
