"""Requests generated from the OpenAPI description: the server responds as described."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

pytest.importorskip("fastapi")

from roadgis.options.web import WebOptions
from roadgis.web.api.app import create_app
from tests.web.conftest import Server

schemathesis = pytest.importorskip("schemathesis")
DESCRIPTION = create_app(WebOptions(folder=Path("not-made"))).openapi()
OPERATIONS = {
    found.ok().label: found.ok()
    for found in schemathesis.openapi.from_dict(DESCRIPTION).get_all_operations()
}
#: These change the state of a job and get a new one; others get a finished one.
CHANGES = ("/files/", "/check", "/execution", "/cancel", "DELETE /api/jobs/{job_id}")
schemathesis.checks.load_all_checks()
CHECKS = schemathesis.checks.CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    ]
)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory, town: Path) -> Iterator[tuple[Server, str]]:
    """Return a server for any number of jobs, with a finished one."""
    running = Server(tmp_path_factory.mktemp("serve"), "--max-waiting", "100000")
    yield running, running.run(town)["jobID"]
    running.stop()


def check_answers(server: Server, job: str, label: str, count: int) -> None:
    """Check the responses to valid and invalid requests, with and without an existing job."""
    url = f"http://127.0.0.1:{server.port}"
    operation = OPERATIONS[label]
    known = {"job_id": job} if "{job_id}" in label else {}
    for mode in schemathesis.GenerationMode:
        for path_parameters in ({}, known) if known else ({},):

            @settings(max_examples=count, deadline=None, database=None, derandomize=True,
                      suppress_health_check=list(HealthCheck), phases=[Phase.generate])  # fmt: skip
            @given(case=operation.as_strategy(mode, path_parameters=path_parameters))
            def check(case: Any) -> None:
                case.call_and_validate(base_url=url, checks=CHECKS, timeout=60)

            with contextlib.suppress(Unsatisfiable):  # no invalid request exists
                check()


@pytest.mark.parametrize("label", OPERATIONS)
@pytest.mark.parametrize("count", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_open_api(roomy: tuple[Server, str], label: str, count: int) -> None:
    server, job = roomy
    if any(part in label for part in CHANGES):
        job = server.request("POST", "/api/jobs", {}).json["jobID"]
    check_answers(server, job, label, count)
