"""The queue of jobs: one engine process at a time, first come, first served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rasterio.errors import RasterioError

from roadgis.options.web import WebOptions
from roadgis.output.provenance import read_provenance
from roadgis.web import tasks
from roadgis.web.engine import ENVIRONMENT, EngineError, run_engine, stop
from roadgis.web.files import JobFiles, example_file
from roadgis.web.pool import Pool
from roadgis.web.raster_tiles import build_overviews
from roadgis.web.store import ENDED, Job, JobState, Store

logger = logging.getLogger(__name__)

#: Side of the engine's blocks, pixels: small enough that the first roads show soon.
_BLOCK_PX = 1536
#: Model of the example video.
EXAMPLE_MODEL = "street.onnx"
_CHECK_S = 300.0
_SWEEP_S = 60.0
#: A preview begins when at least this many times the seconds of the last one have passed.
_PREVIEW_PACE = 2.0


class Queue:
    """Runs checks and jobs, and notifies listeners.

    Parameters
    ----------
    store : Store
        The jobs.
    root : Path
        Folder of the jobs' files.
    options : WebOptions
        Models and limits.
    pool : Pool
        Process that makes previews.
    """

    def __init__(self, store: Store, root: Path, options: WebOptions, pool: Pool) -> None:
        self._store, self._root, self._options, self._pool = store, root, options, pool
        self._wake = asyncio.Event()
        self._changed: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._running: tuple[str, asyncio.subprocess.Process] | None = None
        self._checks = asyncio.Semaphore(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._previews: dict[str, dict[str, Any]] = {}
        self._closed = False

    def start(self) -> None:
        """Resume the jobs of a stopped server, and start."""
        for job in self._store.all("running"):
            self._set(job.id, state="queued", text="Waiting to resume after a restart")
        for job in self._store.all("checking"):
            self.check(job)
        for job in self._store.all("uploading"):
            self._set(
                job.id,
                state="failed",
                text="The server stopped during the upload. Send the files again.",
            )
        self.spawn(self._pool.run(tasks.warm_up))
        self.spawn(self._work())
        self.spawn(self._sweep())

    async def close(self) -> None:
        """Stop the engine; jobs stay as they are and resume when the server starts again."""
        self._closed = True
        if self._running:
            await stop(self._running[1])
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run some work until it ends or the server stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set(self, identifier: str, **values: Any) -> None:
        self._store.update(identifier, **values)
        self.tell(identifier)

    def tell(self, identifier: str) -> None:
        """Notify the listeners of a job."""
        event = self._changed.pop(identifier, None)
        if event is not None:
            event.set()

    async def changes(self, identifier: str) -> AsyncIterator[Job]:
        """Yield a job now and after each change, until it has ended or is removed."""
        while (job := self._store.get(identifier)) is not None:
            if job.state in ENDED:
                yield job
                return
            event = self._changed[identifier]
            yield job
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(event.wait(), 15.0)

    def live(self, identifier: str) -> dict[str, Any]:
        """Return version and counts of a run's unfinished result."""
        return self._previews.get(identifier, {})

    def add(self, identifier: str) -> bool:
        """Queue a job that is ready or has ended; return whether it was."""
        allowed: tuple[JobState, ...] = ("ready", "failed", "cancelled", "done")
        if not self._store.change_state(identifier, allowed, "queued"):
            return False
        self._set(identifier, queued=time.time(), percent=0.0, text="Waiting", ended=None)
        self._wake.set()
        return True

    async def cancel(self, identifier: str) -> bool:
        """Stop a job; return whether there was something to stop."""
        waiting: tuple[JobState, ...] = ("uploading", "checking", "ready", "queued", "running")
        if not self._store.change_state(identifier, waiting, "cancelled"):
            return False
        job = self._store.get(identifier)
        kept = job is not None and job.kind == "roads" and job.started is not None
        text = "Cancelled. Finished blocks are kept: the run can resume." if kept else "Cancelled."
        self._set(identifier, ended=time.time(), text=text)
        if self._running and self._running[0] == identifier:
            await stop(self._running[1])
        return True

    def check(self, job: Job) -> None:
        """Check a job's imagery; the job becomes ready or failed."""
        self.spawn(self._check(job))

    async def _check(self, job: Job) -> None:
        async with self._checks:
            text, facts = "", {}
            try:
                facts = await self._facts(job)
                if not facts.get("usable"):
                    text = str(facts.get("reason") or "This imagery cannot be used.")
            except EngineError as error:
                text = str(error)
        plain = self._plain_facts(job, facts)
        plain["paths"] = [entry["name"] for entry in facts.get("inputs", [])]
        if text:  # Before the end: nobody listens to a job that has failed.
            plain = await self._shown(replace(job, facts=plain))
        text = self._without_paths(job, text)
        if not self._store.change_state(job.id, ("checking",), "failed" if text else "ready"):
            return
        ended = time.time() if text else None
        self._set(job.id, facts=plain, text=text, ended=ended)
        if not text:
            self._set(job.id, facts=await self._shown(replace(job, facts=plain)))

    async def _shown(self, job: Job) -> dict[str, Any]:
        """Prepare the imagery for the map, and return the job's facts with that."""
        files = JobFiles(self._root, job)
        for path, shown in zip(files.sheets(), files.shown, strict=True):
            try:
                await self._pool.run(build_overviews, path, shown, job.settings.get("assume_crs"))
            except (OSError, ValueError, RasterioError, MemoryError) as error:
                # The job may have been deleted in the meantime.
                logger.warning("%s cannot be shown: %s", path, error)
        return {**job.facts, "shown": True}

    async def _facts(self, job: Job) -> dict[str, Any]:
        """Return what ``roadgis info`` says."""
        files = JobFiles(self._root, job)
        model = ["--model", self._options.model] if self._options.model else []
        command = ["info", "--json", *model, *self._imagery(job), *map(str, files.paths())]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "utf8", "-m", "roadgis"),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, errors = await asyncio.wait_for(process.communicate(), _CHECK_S)
        except BaseException as error:
            await stop(process)
            if isinstance(error, asyncio.TimeoutError):
                raise EngineError(f"Reading the files took more than {_CHECK_S:.0f} s.") from error
            raise
        try:
            facts = json.loads(out)
        except ValueError:
            logger.error("info failed: %s", errors.decode("utf-8", "replace"))
            raise EngineError("The files cannot be read. See the server's terminal.") from None
        return dict(facts)

    def _plain_facts(self, job: Job, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return facts without paths of this machine."""
        return dict(json.loads(self._without_paths(job, json.dumps(facts))))

    def _without_paths(self, job: Job, text: str) -> str:
        for entry in job.inputs:
            for path in (entry["path"], json.dumps(entry["path"])[1:-1]):
                text = text.replace(path, entry["name"])
        text = text.replace(f"{self._root / job.id}/", "")
        return text.replace(str(self._root), "the server")

    @staticmethod
    def _imagery(job: Job) -> list[str]:
        crs = job.settings.get("assume_crs")
        return ["--assume-crs", crs] if crs else []

    def _command(self, job: Job) -> list[str]:
        files = JobFiles(self._root, job)
        if job.kind == "video":
            named = self._options.video_model or self._options.model
            if job.settings.get("example"):
                named = str(example_file(EXAMPLE_MODEL))
            chosen = ["--model", named] if named else []
            drawn = [
                text
                for name in ("alpha", "every", "height")
                if job.settings.get(name) is not None
                for text in (f"--{name}", str(job.settings[name]))
            ]
            drawn += ["--allow-truncated"] if job.settings.get("allow_truncated") else []
            return ["video", *chosen, *drawn, "-o", str(files.video), "--overwrite",
                    *map(str, files.paths())]  # fmt: skip
        settings = [
            text
            for flag, name in (
                ("--threshold", "threshold"),
                ("--max-gap", "max_gap_m"),
                ("--min-component", "min_component_m"),
                ("--simplify", "tolerance_m"),
            )
            if job.settings.get(name) is not None
            for text in (flag, str(job.settings[name]))
        ]
        model = ["--model", self._options.model] if self._options.model else []
        return [
            *("extract", *model, *self._imagery(job), *settings),
            *("--output", str(files.network(0)), "--probability", str(files.probability)),
            *("--work-dir", str(files.work), "--keep-work", "--overwrite"),
            *("--block-px", str(_BLOCK_PX), *map(str, files.paths())),
        ]

    async def _work(self) -> None:
        while True:
            job = self._store.next_queued()
            if job is None:
                self._wake.clear()
                await self._wake.wait()
            elif self._store.change_state(job.id, ("queued",), "running"):
                await self._run(job)

    async def _run(self, job: Job) -> None:
        files = JobFiles(self._root, job)
        shutil.rmtree(files.exports, ignore_errors=True)
        files.make()
        self._set(job.id, started=time.time(), text="Starting", warnings=[])
        listener = _Listener(self, job, files)
        try:
            result = await run_engine(self._command(job), listener.heard, listener.started)
        except EngineError as error:
            if self._closed:
                return
            if self._store.change_state(job.id, ("running",), "failed"):
                text = self._without_paths(job, str(error))
                self._set(job.id, ended=time.time(), text=text)
        except (OSError, ValueError):
            logger.exception("job %s failed", job.id)
            if self._store.change_state(job.id, ("running",), "failed"):
                text = "Internal error in roadgis. See the server's terminal."
                self._set(job.id, ended=time.time(), text=text)
        else:
            self._finish(job, result)
        finally:
            self._running = None
            self._previews.pop(job.id, None)
            self.tell(job.id)

    def _finish(self, job: Job, result: Mapping[str, Any]) -> None:
        if job.kind == "video":
            kept: dict[str, Any] = {
                name: result.get(name) for name in ("shares", "frames", "frames_per_second")
            }
        else:
            provenance = read_provenance(JobFiles(self._root, job).network(0))
            network = {
                "number": 0,
                "threshold": provenance.get("threshold"),
                "settings": job.settings,
                **{name: result.get(name) for name in ("edges", "length_m", "bridged")},
            }
            kept = {"networks": [network], "current": 0}
            if result.get("why_empty"):
                kept["why_empty"] = result["why_empty"]
        kept["seconds"] = result.get("seconds")
        if self._store.change_state(job.id, ("running",), "done"):
            self._set(job.id, ended=time.time(), percent=100.0, text="Done", result=kept)

    async def _sweep(self) -> None:
        """Remove jobs that ended long ago, and folders without a job."""
        while True:
            oldest = time.time() - self._options.keep_days * 86400
            for job in self._store.all(*ENDED, "uploading", "ready"):
                if (job.ended or job.created) < oldest:
                    self._store.remove(job.id)
            folders = list(self._root.iterdir())  # before the jobs: one may be added just now
            known = {job.id for job in self._store.all()}
            for folder in folders:
                if folder.name not in known:
                    await asyncio.to_thread(shutil.rmtree, folder, True)
            await asyncio.sleep(_SWEEP_S)

    async def preview(self, job: Job, files: JobFiles) -> dict[str, Any] | None:
        """Make a preview of an unfinished run."""
        try:
            made = await self._pool.run(
                tasks.preview, files.work, files.live, files.live_roads, job.settings
            )
        except (OSError, ValueError, MemoryError) as error:
            logger.warning("no preview of %s: %s", job.id, error)
            return None
        if made is not None and self._running and self._running[0] == job.id:
            version = self._previews.get(job.id, {}).get("version", 0) + 1
            self._previews[job.id] = {**made, "version": version}
            self.tell(job.id)
        return made


class _Listener:
    """Follows one run: stores its progress and requests previews."""

    def __init__(self, queue: Queue, job: Job, files: JobFiles) -> None:
        self._queue, self._job, self._files = queue, job, files
        self._warnings: list[str] = []
        self._percent = -1.0
        self._preview: asyncio.Task[None] | None = None
        self._pause_until = 0.0

    def started(self, process: asyncio.subprocess.Process) -> None:
        self._queue._running = (self._job.id, process)
        job = self._queue._store.get(self._job.id)
        if job is None or job.state != "running":  # cancelled while it started
            self._queue.spawn(stop(process))

    def heard(self, line: Mapping[str, Any]) -> None:
        if line["type"] == "log":
            if line.get("level") in ("warning", "error"):
                text = self._queue._without_paths(self._job, str(line["text"]))
                self._warnings.append(text)
                self._queue._set(self._job.id, warnings=self._warnings[-20:])
            return
        percent, text = float(line["percent"]), str(line["text"])
        self._queue._set(self._job.id, percent=percent, text=text[:1].upper() + text[1:])
        if self._job.kind == "roads" and 0 < percent < 90 and percent > self._percent:
            self._percent = percent
            idle = self._preview is None or self._preview.done()
            if idle and time.monotonic() >= self._pause_until:
                self._preview = asyncio.create_task(self._make_preview())

    async def _make_preview(self) -> None:
        made = await self._queue.preview(self._job, self._files)
        if made is not None:
            self._pause_until = time.monotonic() + _PREVIEW_PACE * made["seconds"]
