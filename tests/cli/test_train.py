"""``roadgis train`` on the command line: help, and messages after a stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from roadgis.cli.commands.train import command, stop_message
from roadgis.cli.shell import shell
from tests.factories.pairs import write_road_pair


def help_of(name: str) -> str:
    (option,) = (p for p in command.params if p.name == name)
    assert isinstance(option, click.Option)
    return option.help or ""


def test_train_help_names_the_defaults_of_settings() -> None:
    assert help_of("batch").endswith("[default: 8]")
    assert help_of("classes").endswith("[default: road]")
    assert help_of("peak_rate").endswith("[default: 0.001; with --init suited to the model]")
    assert help_of("batch_norm").endswith("[default: batch-norm]")
    assert help_of("subpixel").endswith("[default: no-subpixel]")


def test_train_help_names_the_defaults_that_depend_on_the_model() -> None:
    for option in ("gsd", "crop_px", "steps", "decay_steps", "peak_rate", "frozen_epochs"):
        assert help_of(option).endswith("; with --init suited to the model]"), option
    assert help_of("batch").endswith("[default: 8]")


def test_stop_message_names_a_checkpoint_only_if_there_is_one(tmp_path: Path) -> None:
    start_anew = "There is no checkpoint yet; run the same command again to start anew."
    assert stop_message(tmp_path / "run", overwrite=False) == start_anew
    folder = tmp_path / "run" / "checkpoint-00001"
    folder.mkdir(parents=True)
    assert stop_message(tmp_path / "run", overwrite=False) == start_anew
    (folder / "model.keras").touch()
    assert stop_message(tmp_path / "run", overwrite=False) == (
        "The last checkpoint is kept; run the same command again to resume."
    )
    assert stop_message(tmp_path / "run", overwrite=True) == (
        "The last checkpoint is kept; run the same command without --overwrite to resume."
    )
    assert stop_message(None, overwrite=False) == "Nothing was written."


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="uses POSIX signals")
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_train_stopped_in_its_first_epoch_names_no_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs the train extra")
    write_road_pair(tmp_path / "data", "scene")
    given = "--data data --crop-px 64 --batch 1 --depth 3 --decoder-filters 8,8,8 -o run"
    process = subprocess.Popen(
        [sys.executable, "-m", "roadgis", "train", *given.split()],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    started = time.monotonic()
    while not (tmp_path / "run" / "settings.yaml").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() - started < 400
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=400)
    assert process.returncode == 143
    assert said.endswith(
        "Error: terminated. There is no checkpoint yet; run the same command again to start anew.\n"
    )


def test_train_progress_shows_the_remaining_time_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    with shell("bar") as sh:
        sh.progress(0.2, "step 2 of 10: loss 0.5, about 3 min left")
        time.sleep(0.3)
    frame = capfd.readouterr().err.split("about 3 min left")[-1]
    assert "20%" in frame
    assert "left" not in frame
    with shell("bar") as sh:
        sh.progress(0.2, "step 2 of 10")
        time.sleep(0.3)
    assert "left" in capfd.readouterr().err.split("step 2 of 10")[-1]
