"""The JSON API of jobs: make, upload, run, watch, cancel, delete."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import json
import logging
import shutil
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse

from roadgis._version import __version__
from roadgis.errors import how_to_install
from roadgis.options.web import BASE_MAPS
from roadgis.web.api.context import Context, Shared, TheJob
from roadgis.web.api.downloads import DOWNLOADS
from roadgis.web.api.models import CheckSettings, JobView, NewJob, RunSettings, job_view
from roadgis.web.api.receiving import allowed_url, is_url, receive_body, receive_url
from roadgis.web.api.uploads import (
    SUFFIXES_OF,
    UploadError,
    check_free,
    check_pixels,
    data_path,
    printable,
    safe_name,
)
from roadgis.web.files import example_file
from roadgis.web.store import Job, JobState

__all__ = ["ERRORS", "FILE_BODY", "router"]

logger = logging.getLogger(__name__)

#: Jobs in these states count for the limit on waiting jobs.
_BUSY: tuple[JobState, ...] = ("uploading", "checking", "queued", "running")
#: File of the example by kind of job.
EXAMPLES = {"roads": "town.tif", "video": "street.webm"}
#: Name of a job until its first file arrives.
_UNNAMED = "Upload"
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text}
    for status, text in (
        (400, "The body cannot be read."),
        (401, "The token is missing or wrong."),
        (403, "The request comes from another page or host, or this is not allowed."),
        (404, "Not found."),
        (408, "The upload stalled."),
        (409, "The job's state does not allow it."),
        (413, "Too large."),
        (415, "The file type is not supported."),
        (422, "The request or the file is wrong, or needs a package that is not installed."),
        (503, "Too many jobs are waiting."),
        (507, "The disk is full, or the quota is used up."),
    )
}
#: A file as the body of a request, for the OpenAPI description.
FILE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(prefix="/api", responses=ERRORS)


@router.get("/")
def about(context: Shared) -> dict[str, Any]:
    """Return the version and limits of the server."""
    options = context.options
    return {
        "title": "roadgis",
        "version": __version__,
        "examples": [kind for kind, name in EXAMPLES.items() if example_file(name) is not None],
        "video": importlib.util.find_spec("cv2") is not None,
        "video_model": options.video_model is not None,
        "uploads": SUFFIXES_OF,
        "downloads": {name: vars(made) for name, made in DOWNLOADS.items()},
        "data_dir": bool(options.data_dirs),
        "allow_url": bool(options.allow_urls),
        "base_map": None if options.base_map is None else vars(BASE_MAPS[options.base_map]),
        "limits": {
            "max_mb": options.max_mb,
            "max_files": options.max_files,
            "max_mpx": options.max_mpx,
            "max_waiting": options.max_waiting,
            "quota_mb": options.quota_mb,
            "keep_days": options.keep_days,
        },
        "token": options.token is not None,
    }


@router.get("/processes")
def processes() -> dict[str, Any]:
    """List the processes, as in OGC API - Processes."""
    about = {
        "roads": "Road network from aerial imagery",
        "video": "Classes drawn over a street-level video or picture",
    }
    return {
        "processes": [
            {
                "id": name,
                "title": title,
                "version": __version__,
                "jobControlOptions": ["async-execute", "dismiss"],
            }
            for name, title in about.items()
        ]
    }


@router.get("/jobs")
def jobs(context: Shared, limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> dict[str, Any]:
    """List the jobs, the newest first."""
    found = context.store.all()[:limit]
    return {"jobs": [job_view(job, context.queue.live(job.id)) for job in found]}


@router.post("/jobs", status_code=201)
async def make_job(context: Shared, new: NewJob, response: Response) -> JobView:
    """Make a job from the example, from files in the data folders or at URLs, or for an upload."""
    if context.store.count(*_BUSY) >= context.options.max_waiting:
        raise HTTPException(
            503,
            f"{context.options.max_waiting} jobs are waiting already; try again when one is done.",
            {"Retry-After": "30"},
        )
    if new.kind == "video" and importlib.util.find_spec("cv2") is None:
        raise HTTPException(422, f"Videos need OpenCV. {how_to_install('video')}")
    options = context.options
    if len(new.paths) > options.max_files:
        raise HTTPException(413, f"A job takes {options.max_files} file(s) at most.")
    urls = _named_urls(context, new)
    local = [given for given in new.paths if not is_url(given)]
    chosen = [(given, data_path(given, options.data_dirs)) for given in local]
    example = example_file(EXAMPLES[new.kind]) if new.example else None
    if new.example and example is None:
        raise HTTPException(404, "The example is not installed.")
    names = [*([example.name] if example else ()), *(path.name for _, path in chosen), *urls]
    name = printable(new.name) or (names[0] if names else _UNNAMED)
    name += f" and {len(names) - 1} more" if len(names) > 1 and not new.name else ""
    job = context.store.add(new.kind, name)
    kept = {"assume_crs": new.assume_crs, "example": new.example}
    job = _updated(context, job, settings={key: value for key, value in kept.items() if value})
    files = context.files(job)
    try:
        files.make()
        if example is not None:
            check_free(context.root, example.stat().st_size, context.options.quota_mb * 1e6)
            copy = files.inputs / example.name
            await asyncio.to_thread(shutil.copyfile, example, copy)
            chosen = [(example.name, copy)]
        if chosen:
            inputs = [{"name": printable(given), "path": str(path)} for given, path in chosen]
            job = _updated(context, job, inputs=inputs)
        if urls:
            context.queue.spawn(_fetch(context, job, urls))
        elif chosen:
            job = await _begin_check(context, job)
    except BaseException:
        context.store.remove(job.id)
        files.remove()
        raise
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return job_view(job, {})


def _updated(context: Context, job: Job, **values: Any) -> Job:
    return context.store.update(job.id, **values) or job


def _named_urls(context: Context, new: NewJob) -> dict[str, str]:
    """Return the URLs of a new job by the names of their files."""
    urls: dict[str, str] = {}
    for given in filter(is_url, new.paths):
        url, last = allowed_url(given, context.options.allow_urls)
        name = safe_name(last or url, new.kind)
        if urls.setdefault(name, url) != url:
            raise UploadError(422, f"{name}: two URLs have this file name. Use one job for each.")
    return urls


async def _fetch(context: Context, job: Job, urls: dict[str, str]) -> None:
    """Fetch the files of a job, and check them; the job becomes ready or failed."""

    def heard(name: str, received: int, announced: int) -> None:
        now = context.store.get(job.id)
        if now is None or now.state != "uploading":
            raise UploadError(409, f"The job is {now.state if now else 'deleted'}.")
        total = f" of {announced / 1e6:,.0f}" if announced else ""
        text = f"Fetching {name}: {received / 1e6:,.0f}{total} MB"
        if text != now.text:
            _updated(context, job, text=text)
            context.queue.tell(job.id)

    inputs = list(job.inputs)
    try:
        for name, url in urls.items():
            path = context.files(job).inputs / name
            await receive_url(context, url, path, job.kind, functools.partial(heard, name))
            inputs.append({"name": name, "path": str(path)})
        job = _updated(context, job, inputs=inputs, text="")
        await _begin_check(context, job)
    except UploadError as error:
        if context.store.change_state(job.id, ("uploading",), "failed"):
            _updated(context, job, text=str(error), ended=time.time())
    except OSError:
        if context.store.change_state(job.id, ("uploading",), "failed"):
            logger.exception("the files of job %s cannot be stored", job.id)
            text = "The files cannot be stored. See the server's terminal."
            _updated(context, job, text=text, ended=time.time())
    context.queue.tell(job.id)


@router.put("/jobs/{job_id}/files/{name}", status_code=201, openapi_extra=FILE_BODY)
async def upload(context: Shared, job: TheJob, name: str, request: Request) -> dict[str, Any]:
    """Send a file of a job as the body of the request."""
    if job.state != "uploading":
        raise HTTPException(409, f"The job is {job.state}; files can be sent to a new job only.")
    known = {entry["name"] for entry in job.inputs}
    file_name = safe_name(name, job.kind)
    most = context.options.max_files if job.kind == "roads" else 1
    if file_name not in known and len(known) >= most:
        raise HTTPException(413, f"A job of this kind takes {most} file(s) at most.")
    path = context.files(job).inputs / file_name
    size = await receive_body(context, request, path, job.kind)
    job = context.store.get(job.id) or job
    kept = [entry for entry in job.inputs if entry["name"] != file_name]
    inputs = [*kept, {"name": file_name, "path": str(path)}]
    name = file_name if job.name == _UNNAMED else job.name
    _updated(context, job, inputs=inputs, name=name)
    return {"name": file_name, "bytes": size}


@router.post("/jobs/{job_id}/check", status_code=202)
async def check(context: Shared, job: TheJob, given: CheckSettings | None = None) -> JobView:
    """End the upload and check the files; the job becomes ready or failed.

    A job whose check failed or was cancelled can be checked again, with a CRS if it has none.
    """
    ended = job.state in ("failed", "cancelled")
    again = ended and job.kind == "roads" and not job.facts.get("usable")
    if not (job.state == "uploading" or again):
        raise HTTPException(409, f"The job is {job.state}; it was checked already.")
    if not job.inputs:
        raise HTTPException(422, "The job has no files. Send some first.")
    if given is not None and given.assume_crs:
        settings = {**job.settings, "assume_crs": given.assume_crs}
        job = _updated(context, job, settings=settings)
    if again and not context.store.change_state(job.id, ("failed", "cancelled"), "uploading"):
        raise HTTPException(409, "The job has changed; load it again.")
    return job_view(await _begin_check(context, job), {})


async def _begin_check(context: Context, job: Job) -> Job:
    files = context.files(job)
    paths = [path for path in files.paths() if path.is_relative_to(files.folder)]
    try:
        await asyncio.to_thread(check_pixels, paths, context.options.max_mpx)
    except UploadError as error:
        context.store.change_state(job.id, ("uploading",), "failed")
        _updated(context, job, text=str(error))
        context.queue.tell(job.id)
        raise
    if job.kind == "video":
        suffix = files.paths()[0].suffix
        kind = "picture" if suffix in (".png", ".jpg", ".jpeg") else "video"
        context.store.change_state(job.id, ("uploading",), "ready")
        return _updated(context, job, facts={"kind": kind})
    if context.store.change_state(job.id, ("uploading",), "checking"):
        context.queue.check(job)
    return context.store.get(job.id) or job


@router.get("/jobs/{job_id}")
def job_status(context: Shared, job: TheJob) -> JobView:
    """Return a job."""
    return job_view(job, context.queue.live(job.id))


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(context: Shared, job: TheJob) -> StreamingResponse:
    """Send a job as a server-sent event after each change, until it has ended."""

    async def lines() -> AsyncIterator[str]:
        with contextlib.suppress(asyncio.CancelledError):
            async for now in context.queue.changes(job.id):
                view = job_view(now, context.queue.live(job.id))
                yield f"event: job\ndata: {view.model_dump_json()}\n\n"
        yield f"event: end\ndata: {json.dumps(job.id)}\n\n"

    return StreamingResponse(
        lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@router.post("/jobs/{job_id}/execution", status_code=202)
async def run(context: Shared, job: TheJob, settings: RunSettings) -> JobView:
    """Queue a job that is ready; one that was cancelled or failed resumes."""
    if context.store.count("queued", "running") >= context.options.max_waiting:
        raise HTTPException(503, "Too many jobs are waiting.", {"Retry-After": "30"})
    if job.kind == "roads" and not job.facts.get("usable"):
        raise HTTPException(409, "The imagery cannot be used, or was not checked yet.")
    given = settings.model_dump(exclude_none=True)
    kept = {key: job.settings[key] for key in ("assume_crs", "example") if key in job.settings}
    _updated(context, job, settings={**kept, **given})
    if not context.queue.add(job.id):
        raise HTTPException(409, f"The job is {job.state}.")
    return job_view(context.store.get(job.id) or job, {})


@router.post("/jobs/{job_id}/cancel")
async def cancel(context: Shared, job: TheJob) -> JobView:
    """Stop a job; its finished blocks are kept, and it can be run again."""
    if not await context.queue.cancel(job.id):
        raise HTTPException(409, f"The job is {job.state}.")
    return job_view(context.store.get(job.id) or job, {})


@router.delete("/jobs/{job_id}")
async def delete(context: Shared, job: TheJob) -> JobView:
    """Stop a job and remove it with all its files."""
    await context.queue.cancel(job.id)
    context.store.remove(job.id)
    await asyncio.to_thread(context.files(job).remove)
    context.queue.tell(job.id)
    gone = job_view(job, {})
    return gone.model_copy(update={"status": "dismissed"})
