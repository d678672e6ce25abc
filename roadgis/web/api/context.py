"""State shared by all requests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from fastapi import Path as PathParameter

from roadgis.options.web import WebOptions
from roadgis.web.files import JobFiles
from roadgis.web.pool import Pool
from roadgis.web.queue import Queue
from roadgis.web.store import Job, Store

#: Threads that draw map tiles. GDAL, PROJ and malloc keep memory for every thread that used them.
TILE_THREADS = min(max(os.cpu_count() or 1, 2), 8)


@dataclass(frozen=True)
class Context:
    """The parts of the server.

    Attributes
    ----------
    options : WebOptions
        Settings and limits.
    store : Store
        Jobs and corrections.
    queue : Queue
        Queue of jobs.
    pool : Pool
        Process for short work.
    root : Path
        Folder of the jobs' files.
    fetches : asyncio.Semaphore
        Files that are fetched from URLs at a time: each takes a thread while it waits.
    tile_threads : ThreadPoolExecutor
        Threads that draw map tiles.
    """

    options: WebOptions
    store: Store
    queue: Queue
    pool: Pool
    root: Path
    fetches: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    tile_threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(TILE_THREADS, "tiles")
    )

    def files(self, job: Job) -> JobFiles:
        """Return where the files of a job lie."""
        return JobFiles(self.root, job)

    async def draw(self, tile: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function that draws a map tile returns."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.tile_threads, tile, *arguments)


# Asynchronous, as FastAPI would run them in a thread of its own for every request.
async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Shared = Annotated[Context, Depends(_context)]


async def _job(
    context: Shared, job_id: Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
) -> Job:
    job = context.store.get(job_id)
    if job is None:
        raise HTTPException(404, "There is no such job; it may have been deleted.")
    return job


TheJob = Annotated[Job, Depends(_job)]
