"""Settings of a run: round trip through YAML, errors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="needs the train extra")

from roadgis.errors import InputError
from roadgis.options.training import (
    CardSettings,
    NetworkSettings,
    OptimizationSettings,
    TrainSettings,
)
from roadgis.options.training_data import DataSettings
from roadgis.train.settings import read_settings, settings_to_dict, write_settings


def full(tmp_path: Path) -> TrainSettings:
    return TrainSettings(
        data=DataSettings(
            folders=(tmp_path / "a", tmp_path / "b"),
            roads=tmp_path / "roads.gpkg",
            label_width_m=7.0,
            classes=("other", "road"),
            gsd_m=0.5,
        ),
        network=NetworkSettings(depth=3, decoder_filters=(32, 16, 8), batch_norm=False),
        optimization=OptimizationSettings(
            steps=40,
            epoch_steps=20,
            precision="mixed_bfloat16",
            class_weights=(1.0, 2.0),
            edge_smoothing=0.1,
        ),
        card=CardSettings(name="mine", licence="CC0"),
    )


def test_settings_survive_yaml(tmp_path: Path) -> None:
    settings = full(tmp_path)
    write_settings(settings, tmp_path / "settings.yaml")
    assert read_settings(tmp_path / "settings.yaml") == settings


def test_read_settings_keeps_defaults_and_resolves_paths_from_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("data:\n  folders: train\noptimization:\n  peak_rate: 1e-4\n")
    assert read_settings(path) == TrainSettings(
        data=DataSettings(folders=(tmp_path / "train",)),
        optimization=OptimizationSettings(peak_rate=1e-4),
    )


def test_read_settings_finds_the_starting_model_next_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("network:\n  init: first.keras\n")
    assert read_settings(path).network.init == "first.keras"
    (tmp_path / "first.keras").touch()
    assert read_settings(path).network.init == str(tmp_path / "first.keras")


def test_settings_to_dict_without_paths_hides_folders(tmp_path: Path) -> None:
    plain = settings_to_dict(full(tmp_path), paths=False)
    assert plain["data"]["folders"] == ["a", "b"]
    assert str(tmp_path) not in str(plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimization:\n  stepps: 3\n", r"unknown setting 'stepps'; did you mean 'steps'\?"),
        ("optimisation: {}\n", "unknown setting 'optimisation'; did you mean 'optimization'"),
        ("data: [1]\n", "data: found list, expected names with values"),
        ("data:\n  batch: many\n", "data.batch is 'many', expected a whole number"),
        ("data:\n  batch: true\n", "data.batch is True, expected a whole number"),
        ("optimization:\n  schedule: linear\n", "schedule is 'linear', expected one of"),
        ("optimization:\n  steps: 30\n  epoch_steps: 20\n", "multiple of epoch_steps"),
        ("optimization:\n  direction_weight: -1\n", "direction_weight is -1.*expected 0 or more"),
        (
            "data: {classes: [a, b]}\noptimization: {direction_weight: 1}\n",
            "with 2 classes.*Leave --direction-weight or --classes out",
        ),
        ("network: {architecture\n", "is not valid YAML"),
    ],
)
def test_read_settings_names_wrong_settings(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_settings(path)


def test_optimization_settings_plateau_needs_a_constant_rate() -> None:
    constant = OptimizationSettings(schedule="constant", plateau_epochs=3)
    assert constant.plateau_factor == 0.1
    with pytest.raises(InputError, match="Use --schedule constant"):
        dataclasses.replace(constant, schedule="cosine")
