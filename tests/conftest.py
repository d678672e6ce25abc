"""Shared by all tests: hypothesis profiles and the folder of real imagery."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# As roadgis sets it. Some tests import tensorflow first, and last digits would differ from those
# of the programs that they start.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

settings.register_profile(
    "roadgis",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# Fixed examples for merges, random ones during development.
settings.register_profile("merge", settings.get_profile("roadgis"), derandomize=True)
settings.load_profile(os.environ.get("ROADGIS_TEST_PROFILE", "roadgis"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real imagery, or skip."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ROADGIS_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real imagery at {folder}; set ROADGIS_DATA")
    return folder
