"""Request and response models of the JSON API."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from roadgis.web.store import ENDED, OGC_STATUS, Edit, Job, iso

Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Place = tuple[Longitude, Latitude]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class VectorSettings(_Strict):
    """Vectorization settings; null or missing values keep their defaults."""

    threshold: float | None = Field(
        None, gt=0, lt=1, description="Minimum probability of road pixels."
    )
    max_gap_m: float | None = Field(None, ge=0, le=500, description="Largest bridged gap, metres.")
    min_component_m: float | None = Field(
        None, ge=0, le=100_000, description="Length of the shortest component that is kept, metres."
    )
    tolerance_m: float | None = Field(
        None, ge=0, le=100, description="Maximum deviation of simplified lines, metres."
    )


class NewJob(_Strict):
    """A new job."""

    kind: Literal["roads", "video"] = Field("roads", description="Kind of input and result.")
    name: str = Field("", max_length=120, description="Shown in the list of jobs.")
    example: bool = Field(False, description="Use the example of this kind; no upload is needed.")
    paths: list[str] = Field(
        default_factory=list,
        max_length=200,
        description="Files or folders below the server's --data-dir, or URLs below one of its "
        "--allow-url; no upload is needed.",
    )
    assume_crs: str | None = Field(
        None, max_length=100, pattern=r"^[A-Za-z]+:\d+$", description="CRS of files that have none."
    )


class CheckSettings(_Strict):
    """CRS of files that have none."""

    assume_crs: str | None = Field(None, max_length=100, pattern=r"^[A-Za-z]+:\d+$")


class RunSettings(VectorSettings):
    """Settings of a run."""

    alpha: float | None = Field(None, ge=0, le=1, description="Videos: opacity of the classes.")
    every: int | None = Field(
        None, ge=1, le=1000, description="Videos: every Nth frame is segmented."
    )
    height: int | None = Field(
        None, ge=16, le=4320, description="Videos: height of frames for the model, pixels."
    )
    allow_truncated: bool = Field(False, description="Videos: accept a truncated video.")


class JobView(BaseModel):
    """A job. Names follow OGC API - Processes where they fit."""

    jobID: str
    type: Literal["process"] = "process"
    processID: Literal["roads", "video"]
    status: Literal["accepted", "running", "successful", "failed", "dismissed"]
    state: Literal[
        "uploading", "checking", "ready", "queued", "running", "done", "failed", "cancelled"
    ] = Field(description="The state in more detail than status.")
    name: str
    progress: float = Field(description="Share that is done, percent.")
    message: str
    created: str
    started: str | None
    finished: str | None
    seconds_left: float | None
    files: list[str]
    facts: dict[str, Any] = Field(description="Output of `roadgis info --json`.")
    settings: dict[str, Any]
    result: dict[str, Any]
    warnings: list[str]
    live: dict[str, Any] = Field(description="Version and counts of the unfinished result.")


class NetworkView(BaseModel):
    """A network of a job: 0 is that of the run, others have other settings."""

    number: int
    settings: dict[str, Any]
    edges: int
    length_m: float
    bridged: int = 0
    added_m: float | None = None
    removed_m: float | None = None
    seconds: float | None = None
    threshold: float | None = None


class NewEdit(_Strict):
    """A new correction."""

    action: Literal["accept", "reject", "redraw", "draw"]
    edge: int | None = Field(None, ge=0, le=2**31, description="Edge to correct; not for draw.")
    network: int = Field(0, ge=0, le=2**31, description="Network of the edge.")
    geometry: list[Place] | None = Field(
        None, min_length=2, max_length=10_000, description="New line, for redraw and draw."
    )
    user: str = Field("", max_length=60)


class EditView(BaseModel):
    """A stored correction."""

    id: int
    action: str
    edge: int | None
    network: int
    geometry: list[list[float]]
    user: str
    time: str

    @classmethod
    def of(cls, edit: Edit) -> EditView:
        """Return the view of an edit."""
        return cls(**{**vars(edit), "time": iso(edit.time)})


class Login(_Strict):
    """Request of the login page."""

    token: str = Field(max_length=200)


class RouteEnds(_Strict):
    """Ends of a missing road."""

    start: Place
    end: Place


class ComparisonRequest(_Strict):
    """Settings of the comparison with an uploaded layer."""

    truth: bool = Field(False, description="Score the network against the layer.")
    network: int | None = Field(
        None, ge=0, le=2**31, description="Network to compare; by default the current one."
    )


def job_view(job: Job, live: dict[str, Any]) -> JobView:
    """Return a job as the API shows it, without paths of this machine."""
    return JobView(
        jobID=job.id,
        processID=job.kind,
        status=OGC_STATUS[job.state],  # type: ignore[arg-type]
        state=job.state,
        name=job.name,
        progress=round(job.percent, 2),
        message=job.text,
        created=iso(job.created),
        started=None if job.started is None else iso(job.started),
        finished=None if job.ended is None else iso(job.ended),
        seconds_left=_seconds_left(job),
        files=[entry["name"] for entry in job.inputs],
        facts={key: value for key, value in job.facts.items() if key != "paths"},
        settings=job.settings,
        result=job.result,
        warnings=job.warnings,
        live=live,
    )


def _seconds_left(job: Job) -> float | None:
    if job.state in ENDED or job.state != "running" or job.started is None:
        return None
    past = time.time() - job.started
    if job.percent >= 5:
        return round(past * (100 - job.percent) / job.percent, 1)
    estimate = job.facts.get("estimated_seconds")
    return max(round(estimate - past, 1), 1.0) if estimate else None
