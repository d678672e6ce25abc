from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories.models import tiny_model
from tests.factories.rasters import cut_into_sheets
from tests.factories.roads import write_net
from tests.factories.s3 import S3Server, s3_server


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of twelve sheets with a network of roads, 600 x 500 px at 1 m."""
    folder = tmp_path_factory.mktemp("county")
    whole = write_net(folder / "net.tif", seed=5)
    return cut_into_sheets(whole, folder / "sheets", [130, 333], [97, 300, 470])


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    pytest.importorskip("moto")
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(s3_process: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Return an S3 server, set in the environment, with the empty bucket ``county``."""
    for name, value in s3_process.variables.items():
        monkeypatch.setenv(name, value)
    s3_process.clear()
    return s3_process
