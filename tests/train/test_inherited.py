"""Fine-tuning settings: inherited from the model unless given by options or a file."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

from roadgis.cli.commands.train import command, run_settings
from roadgis.errors import InputError
from roadgis.model.card import ModelCard, write_card_file
from roadgis.options.training import TrainSettings
from roadgis.options.training_data import DataSettings
from roadgis.train.inherited import FINE_TUNING
from roadgis.train.settings import settings_from_dict

NONE_GIVEN: dict[str, Any] = {
    parameter.name or "": () if parameter.multiple else None
    for parameter in command.params
    if hasattr(parameter, "multiple")
}
RECIPE = {
    "data": {"crop_px": 384, "sets": [{"name": "a"}]},
    "network": {"init": None},
    "optimization": {"loss": "bce", "peak_rate": 2e-3, "steps": 20000},
}


def trained(folder: Path, **card: Any) -> str:
    """Write a card of a model trained at 0.4 to 1.2 m, next to an empty model file."""
    path = folder / "m.keras"
    path.touch()
    values = {"gsd_m": 0.7, "gsd_range_m": (0.4, 1.2), "stride": 16, "recipe": RECIPE, **card}
    write_card_file(ModelCard("roads", "7", **values), path)
    return str(path)


def chosen(file: Path | None = None, **options: Any) -> TrainSettings:
    settings: TrainSettings = run_settings(file, NONE_GIVEN | options)
    return settings


def test_inherit_settings_takes_pixel_size_crop_and_schedule(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "roadgis"):
        found = chosen(init=trained(tmp_path))
    assert (found.data.gsd_m, found.data.gsd_range_m) == (0.7, (0.4, 1.2))
    assert found.data.working_gsd_m == (0.4, 1.2)
    assert found.data.crop_px == 384
    optimization = found.optimization
    assert (optimization.steps, optimization.epoch_steps) == (2000, 200)
    assert (optimization.warmup_steps, optimization.decay_steps) == (100, 1500)
    assert (optimization.peak_rate, optimization.loss) == (6e-4, "bce")
    assert found.network.frozen_epochs == FINE_TUNING.frozen_epochs == 2
    assert caplog.messages == [
        "inherited from the model roads 7: pixel size 0.4 to 1.2 m (the imagery's own within these "
        "bounds), crops of 384 px, loss bce, 2000 steps, 100 warm-up steps, 1500 decay steps, "
        "peak rate 0.0006, encoder frozen for 2 epochs; options and settings files override this"
    ]


def test_inherit_settings_keeps_given_options(tmp_path: Path) -> None:
    found = chosen(
        init=trained(tmp_path), gsd=0.5, crop_px=256, steps=800, peak_rate=1e-4, frozen_epochs=1
    )
    assert found.data.working_gsd_m == 0.5
    assert (found.data.crop_px, found.network.frozen_epochs) == (256, 1)
    optimization = found.optimization
    assert (optimization.steps, optimization.peak_rate) == (800, 1e-4)
    # Other settings are in proportion to the length of the run.
    assert (optimization.warmup_steps, optimization.decay_steps) == (40, 600)


def test_inherit_settings_keeps_defaults_given_in_a_file(
    tmp_path: Path,
) -> None:
    init = trained(tmp_path)
    file = tmp_path / "settings.yaml"
    file.write_text(
        f"data: {{gsd_m: 1.0, crop_px: 256}}\noptimization: {{decay_steps: 0}}\n"
        f"network: {{init: {init}}}\n"
    )
    found = chosen(file)
    assert (found.data.working_gsd_m, found.data.crop_px) == (1.0, 256)
    assert (found.optimization.decay_steps, found.optimization.steps) == (0, 2000)
    file.write_text(f"data: {{gsd_range_m: [0.5, 0.8]}}\nnetwork: {{init: {init}}}\n")
    assert chosen(file).data.working_gsd_m == (0.5, 0.8)
    assert chosen(file, gsd=0.6).data.working_gsd_m == 0.6


def test_inherit_settings_without_init_changes_nothing() -> None:
    assert chosen() == TrainSettings()


def test_inherit_settings_keeps_pixel_sizes_of_data_sets(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(
        f"data: {{sets: [{{name: a, folders: [a]}}]}}\nnetwork: {{init: {trained(tmp_path)}}}\n"
    )
    found = chosen(file)
    assert found.data.gsd_range_m is None
    assert found.data.crop_px == 384


@pytest.mark.parametrize(
    ("card", "crop_px", "peak_rate"),
    [
        # A recipe without values, or with unusable ones.
        ({"recipe": {}}, 256, 3e-4),
        ({"recipe": {"distilled": {}, "data": {"crop_px": 250}}}, 256, 3e-4),
        # A model with a fixed tile size.
        ({"tile_px": 512}, 512, 6e-4),
        # A fine-tuned model: its rate is not lowered again.
        ({"recipe": RECIPE | {"optimization": {"peak_rate": 3e-4}}}, 384, 3e-4),
    ],
)
def test_inherit_settings_from_other_recipes(
    tmp_path: Path, card: dict[str, Any], crop_px: int, peak_rate: float
) -> None:
    found = chosen(init=trained(tmp_path, **card))
    assert (found.data.crop_px, found.optimization.peak_rate) == (crop_px, peak_rate)


def test_inherit_settings_rounds_up_to_whole_epochs(tmp_path: Path) -> None:
    found = chosen(init=trained(tmp_path), epoch_steps=300)
    assert found.optimization.steps == 2100
    assert dataclasses.replace(found.optimization, steps=300)


@pytest.mark.parametrize("bounds", [[0.8, 0.5], [0, 1]])
def test_data_settings_reject_a_wrong_gsd_range(bounds: list[float]) -> None:
    with pytest.raises(InputError, match="expected the smallest and the largest pixel size"):
        settings_from_dict({"data": {"gsd_range_m": bounds}}, "file")
    assert DataSettings(gsd_range_m=(0.5, 0.5)).working_gsd_m == (0.5, 0.5)
