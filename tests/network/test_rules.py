"""Rules against false roads: each drops its kind, and keeps certain and connecting edges."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from roadgis.cli import cli
from roadgis.cli.options import EXTRACT
from roadgis.network.centerlines import Centerlines
from roadgis.network.prune import (
    apply_rules,
    drop_patchy,
    drop_uneven,
    drop_winding,
)
from roadgis.options.cleaning import RuleOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.vectorization import trace_centerlines
from tests.factories.roads import ArraySource, road

SIZE = (200, 300)
WEAK = 110  # a probability of 0.43, at a threshold of 0.5


def traced(array: npt.NDArray[np.uint8], closing_m: float = 1.0) -> Centerlines:
    options = VectorizeOptions(threshold=0.5, closing_m=closing_m)
    return trace_centerlines(ArraySource(array), options)


def wave(amplitude: float, probability: int = 150) -> npt.NDArray[np.uint8]:
    """Draw a lone line that winds, 7 px wide."""
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    middle = 100 + amplitude * np.sin(cols / 6)
    slope = np.hypot(1, amplitude / 6 * np.cos(cols / 6))
    inside = (np.abs(rows - middle) < 3.5 * slope) & (cols > 40) & (cols < 260)
    return np.where(inside, probability, 0).astype(np.uint8)


def test_drop_patchy_drops_a_line_that_keeps_falling_below_the_threshold() -> None:
    array = road(SIZE, (40, 100, 260, 100, 7))
    array[:, ::2] = np.minimum(array[:, ::2], WEAK)
    array[array > WEAK] = 150
    lines = traced(array)
    assert len(lines) == 1
    assert len(drop_patchy(lines)) == 0
    assert len(apply_rules(lines, RuleOptions.none())) == 1
    # Edges that leave the raster, and bridges, are not judged.
    assert len(drop_patchy(replace(lines, node_leaves_raster=np.ones(2, bool)))) == 1
    assert len(drop_patchy(replace(lines, bridged=np.ones(1, bool)))) == 1


def test_drop_uneven_drops_an_unsure_line_of_varying_width() -> None:
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    inside = (np.abs(rows - 100) < 1 + 6 * np.sin(cols / 30) ** 2) & (cols > 40) & (cols < 260)
    array = np.where(inside, 254, 0).astype(np.uint8)
    sure = traced(array)
    array[array > 0] = 150
    unsure = traced(array)
    assert len(drop_uneven(sure)) == len(sure)
    assert len(sure) == len(unsure) == 1
    assert len(drop_uneven(unsure)) == 0


@pytest.mark.parametrize(("amplitude", "probability", "kept"), [
    (10.0, 150, False), (10.0, 254, True), (2.0, 150, True), (0.0, 150, True),
])  # fmt: skip
def test_drop_winding_drops_an_unsure_winding_line(
    amplitude: float, probability: int, kept: bool
) -> None:
    lines = traced(wave(amplitude, probability))
    longest = lines.length_px.max()
    left = drop_winding(lines).length_px.tolist()
    assert (longest in left) == kept


def test_rules_keep_connecting_edges() -> None:
    array = road(SIZE, (60, 0, 60, 200, 9), (240, 0, 240, 200, 9))
    array = np.maximum(array, np.where(wave(10.0) > 0, 150, 0).astype(np.uint8))
    lines = traced(array)
    connecting = (lines.degree[lines.start] > 1) & (lines.degree[lines.end] > 1)
    assert connecting.any()
    for rule in (drop_patchy, drop_uneven, drop_winding):
        kept = rule(lines)
        assert np.isin(lines.key[connecting], kept.key).all()


def test_apply_rules_accepts_an_empty_network() -> None:
    lines = traced(np.zeros(SIZE, np.uint8))
    assert len(apply_rules(lines, RuleOptions())) == 0


def test_apply_rules_has_a_rule_for_each_option() -> None:
    lines = traced(wave(10.0))
    for field in fields(RuleOptions):
        assert len(lines)
        apply_rules(lines, replace(RuleOptions.none(), **{field.name: True}))


@pytest.mark.parametrize(
    "removed", ["tracks", "narrow-links", "weak-tails", "dangle-evidence", "carriageways"]
)
def test_no_rule_rejects_removed_rules_and_lists_the_others(removed: str) -> None:
    command = ["extract", "scene.tif", "-o", "roads.gpkg", "--no-rule", removed]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 2
    assert f"'{removed}' is not one of 'patchy', 'uneven', 'winding', 'all'" in done.output


@pytest.mark.parametrize("off", ["patchy", "uneven", "winding", "all"])
def test_no_rule_turns_the_named_rules_off(off: str) -> None:
    rules = EXTRACT.made({"no_rule": (off,)}).clean.rules
    for field in fields(RuleOptions):
        assert getattr(rules, field.name) == (off not in (field.name, "all"))
