"""Golden networks: refactoring changes no result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.golden_networks import DRAWN, GOLDEN, REAL, golden_path, real_network, rows, summary


@pytest.mark.parametrize("name", DRAWN)
def test_golden_networks_of_drawn_rasters_are_unchanged(name: str) -> None:
    expected = np.loadtxt(golden_path(name), delimiter=",", skiprows=1, ndmin=2)
    np.testing.assert_allclose(rows(DRAWN[name]()), expected, rtol=1e-8, atol=1e-6)


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_golden_networks_of_real_labels_are_unchanged(name: str, real_data: Path) -> None:
    expected = json.loads((GOLDEN / "massachusetts.json").read_text())[name]
    found = summary(real_network(real_data / "massachusetts" / name))
    assert found == pytest.approx(expected, rel=1e-8)
