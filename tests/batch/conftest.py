from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories.models import tiny_model
from tests.factories.rasters import cut_into_sheets
from tests.factories.roads import write_net


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of twelve sheets of a net of roads, 600 x 500 px at 1 m."""
    folder = tmp_path_factory.mktemp("county")
    whole = write_net(folder / "net.tif", seed=5)
    return cut_into_sheets(whole, folder / "sheets", [130, 333], [97, 300, 470])
