"""Videos waiting to be segmented, one in work at a time, each with its files and its state."""

from __future__ import annotations

import logging
import secrets
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Literal

from roadgis.errors import Cancelled, InputError, ModelError, RoadgisError
from roadgis.model.runtime import Segmenter
from roadgis.options.video import VideoOptions
from roadgis.photos.frames import PICTURE_SUFFIXES, Media, find_codec, media_of
from roadgis.photos.video import segment_video

__all__ = ["JobState", "JobStatus", "Jobs", "QueueFullError"]

logger = logging.getLogger(__name__)

JobState = Literal["queued", "working", "done", "failed", "cancelled"]
_ENDED = ("done", "failed", "cancelled")
_JOIN_S = 30.0


class QueueFullError(InputError):
    """Too many jobs are waiting."""


@dataclass(frozen=True)
class JobStatus:
    """What is known of a job.

    Attributes
    ----------
    id : str
        Cannot be guessed.
    name : str
        What the user calls the file; shown, never used as a path.
    state : {"queued", "working", "done", "failed", "cancelled"}
        Where it is.
    fraction : float
        Share done, 0..1.
    text : str
        What it is doing, or why it failed; without paths of this machine.
    kind : {"video", "picture"}
        What the result is.
    shares : dict of str to float or None
        Share of pixels by class name, once it is done.
    frames : int
        In the result, once it is done.
    speed : float
        Frames per second of the work, once it is done.
    """

    id: str
    name: str
    state: JobState = "queued"
    fraction: float = 0.0
    text: str = "waiting"
    kind: Media = "video"
    shares: dict[str, float] | None = None
    frames: int = 0
    speed: float = 0.0


@dataclass
class _Job:
    status: JobStatus
    folder: Path
    ended: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def upload(self) -> Path:
        return self.folder / "upload"


class Jobs:
    """Jobs of one model; safe to use from several threads. A context manager.

    Parameters
    ----------
    segmenter : Segmenter
        The model.
    options : VideoOptions
        How all jobs are drawn.
    keep_s : float
        Seconds for which an ended job and its files are kept.
    waiting : int
        Most jobs that may be waiting or in work.
    clock : callable
        Seconds that never go back; for tests.

    Raises
    ------
    OutputError
        If OpenCV can write no .webm here.
    MissingExtraError
        If OpenCV is not installed.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        options: VideoOptions,
        keep_s: float = 3600.0,
        waiting: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        find_codec(".webm")
        self._segmenter = segmenter
        self._options = replace(options, overwrite=True)
        self._keep_s, self._waiting, self._clock = keep_s, waiting, clock
        self._folder = Path(tempfile.mkdtemp(prefix="roadgis-serve-")).resolve()
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._queue: deque[_Job] = deque()
        self._worker: threading.Thread | None = None
        self._closed = False

    def __enter__(self) -> Jobs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def reserve(self) -> Path:
        """Return a new folder for an upload, to be given to :meth:`add` or :meth:`discard`.

        Raises
        ------
        QueueFullError
            If too many jobs wait already.
        """
        with self._lock:
            busy = sum(job.status.state not in _ENDED for job in self._jobs.values())
        if busy >= self._waiting:
            raise QueueFullError(
                f"{busy} videos are waiting already, expected fewer than {self._waiting}; try "
                "again when one is done."
            )
        return Path(tempfile.mkdtemp(prefix="job-", dir=self._folder))

    def discard(self, folder: Path) -> None:
        """Remove a folder of :meth:`reserve` whose upload failed."""
        shutil.rmtree(folder, ignore_errors=True)

    def add(self, folder: Path, name: str) -> JobStatus:
        """Queue the file ``upload`` in a folder of :meth:`reserve`."""
        job = _Job(JobStatus(secrets.token_urlsafe(16), name), folder)
        with self._lock:
            self._jobs[job.status.id] = job
            self._queue.append(job)
            self._start_next()
            return job.status

    def status(self, identifier: str) -> JobStatus | None:
        """Return what is known of a job; None when there is no such job (any more)."""
        with self._lock:
            job = self._jobs.get(identifier)
            return job.status if job else None

    def result(self, identifier: str) -> tuple[JobStatus, Path] | None:
        """Return a finished job with its file, or None."""
        with self._lock:
            job = self._jobs.get(identifier)
            if job is None or job.status.state != "done":
                return None
            return job.status, _result_path(job)

    def cancel(self, identifier: str) -> JobStatus | None:
        """Stop a job, or forget an ended one; its files are removed.

        Returns
        -------
        JobStatus or None
            As it is afterwards; None when there is no such job.
        """
        with self._lock:
            job = self._jobs.get(identifier)
            if job is None:
                return None
            if job.status.state in _ENDED:
                self._forget(job)
                return job.status
            job.cancelled.set()
            working = job.status.state == "working"
            self._end(job, "cancelled", "cancelled")
            if not working:  # else the worker removes the files when it has let go of them
                self._queue.remove(job)
                self.discard(job.folder)
            return job.status

    def expire(self) -> None:
        """Forget jobs that ended long ago, with their files."""
        with self._lock:
            now = self._clock()
            for job in list(self._jobs.values()):
                if job.ended is not None and now - job.ended >= self._keep_s:
                    self._forget(job)

    def close(self) -> None:
        """Stop all jobs and remove all files."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            for job in self._jobs.values():
                job.cancelled.set()
            worker = self._worker
        if worker is not None:
            worker.join(_JOIN_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _forget(self, job: _Job) -> None:
        del self._jobs[job.status.id]
        self.discard(job.folder)

    def _start_next(self) -> None:
        """Start the first waiting job when none is in work; called with the lock held."""
        if self._worker is not None or self._closed or not self._queue:
            return
        job = self._queue.popleft()
        job.status = replace(job.status, state="working", text="starting")
        self._worker = threading.Thread(
            target=self._work, args=(job,), name="roadgis-job", daemon=True
        )
        self._worker.start()

    def _work(self, job: _Job) -> None:
        # A thread for each job: an error that nobody foresaw ends this one, is shown by
        # threading.excepthook, and leaves the queue going.
        try:
            self._segment(job)
        except Cancelled:
            logger.info("job cancelled: %s", job.status.name)
        except ModelError:
            logger.exception("the model failed on %s", job.status.name)  # its text names its path
            self._update(job, "failed", "The model failed; the server's terminal says more.")
        except RoadgisError as error:
            self._update(job, "failed", self._without_paths(job, str(error)))
        except MemoryError:
            self._update(job, "failed", "Out of memory; try a smaller video.")
        finally:
            with self._lock:
                if job.status.state == "working":
                    self._end(job, "failed", "A fault in roadgis; the server's terminal says more.")
                if job.status.state == "cancelled":
                    self.discard(job.folder)
                else:
                    job.upload.unlink(missing_ok=True)
                self._worker = None
                self._start_next()

    def _segment(self, job: _Job) -> None:
        kind = media_of(job.upload)
        with self._lock:
            job.status = replace(job.status, kind=kind)

        def report(fraction: float, text: str) -> None:
            if job.cancelled.is_set():
                raise Cancelled("the job was cancelled")
            with self._lock:
                if job.status.state == "working":
                    job.status = replace(job.status, fraction=fraction, text=text)

        result = segment_video(
            job.upload, _result_path(job), self._segmenter, options=self._options, progress=report
        )
        with self._lock:
            if job.status.state == "working":
                job.status = replace(
                    job.status, shares=result.shares, frames=result.frames, speed=result.speed
                )
                self._end(job, "done", "done")

    def _update(self, job: _Job, state: JobState, text: str) -> None:
        logger.warning("job %s: %s: %s", state, job.status.name, text)
        with self._lock:
            if job.status.state == "working":
                self._end(job, state, text)

    def _end(self, job: _Job, state: JobState, text: str) -> None:
        fraction = 1.0 if state == "done" else job.status.fraction
        job.status = replace(job.status, state=state, text=text, fraction=fraction)
        job.ended = self._clock()

    def _without_paths(self, job: _Job, text: str) -> str:
        """Name the user's file in place of ours: messages must not tell where things lie."""
        text = text.replace(str(job.upload), job.status.name)
        text = text.replace(str(_result_path(job)), "the result")
        return text.replace(f"{job.folder}/", "").replace(str(self._folder), "the server")


def _result_path(job: _Job) -> Path:
    suffix = PICTURE_SUFFIXES[0] if job.status.kind == "picture" else ".webm"
    return job.folder / f"result{suffix}"
