"""Every command of the example pages runs, in order, on data with the described layout."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

pytest.importorskip("tensorflow", reason="needs the train extra")

from tests.factories.rasters import write_image

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
# The runs of the pages take hours and download weights; the last of repeated options counts.
SMALL = {
    "train": "--encoder-weights none --steps 2 --epoch-steps 1 --crop-px 64 --batch 2",
    "extract": "--block-px 768",
}

# Compiling a graph takes longer than two steps without one.
_TRAINING = """
import tensorflow
from roadgis.cli import main
tensorflow.config.run_functions_eagerly(True)
main()
"""


def commands(page: str) -> list[list[str]]:
    """Return the roadgis commands in a page's code blocks."""
    blocks = re.findall(r"```\n(.*?)```", (EXAMPLES / page).read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("roadgis ")]
    return [shlex.split(line)[1:] for line in lines]


def run(arguments: list[str], folder: Path) -> str:
    """Run one command to its end and return its output."""
    arguments = [*arguments, *SMALL.get(arguments[0], "").split()]
    program = ["-c", _TRAINING] if arguments[0] == "train" else ["-m", "roadgis"]
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"roadgis {shlex.join(arguments)}\n{done.stderr}"
    return done.stdout + done.stderr


def draw_scene(path: Path, mask: Path | None, side: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    road = np.zeros((1, side, side), np.uint8)
    road[:, side // 2 - 4 : side // 2 + 4] = 255
    image = rng.integers(20, 120, (3, side, side)).astype(np.uint8) + road // 2
    write_image(path, image)
    if mask is not None:
        write_image(mask, road)


@pytest.mark.timeout(1800)
def test_massachusetts_page_commands_run(tmp_path: Path) -> None:
    for split, count in (("train", 2), ("valid", 1), ("test", 2)):
        for number in range(count):
            folder = tmp_path / "massachusetts" / split
            draw_scene(
                folder / "sat" / f"{number}.tiff", folder / "map" / f"{number}.tif", 160, number
            )
    rng = np.random.default_rng(9)
    with rasterio.open(
        tmp_path / "scene.tif", "w", driver="GTiff", count=3, height=200, width=300, dtype="uint8",
        crs="EPSG:26986", transform=Affine(1, 0, 230_000, 0, -1, 900_000),
    ) as scene:  # fmt: skip
        scene.write(rng.integers(20, 200, (3, 200, 300)).astype(np.uint8))

    said = {}
    for arguments in commands("massachusetts.md"):
        said[arguments[0]] = run(arguments, tmp_path)
    assert list(said) == ["train", "threshold", "test", "export", "extract"]
    assert (tmp_path / "preview.png").read_bytes().startswith(b"\x89PNG")
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert made >= {
        "model.keras", "model.keras.json", "settings.yaml", "log.csv", "tensorboard",
        "threshold.svg", "threshold.csv",
    }  # fmt: skip
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert {"iou", "relaxed_f1", "break_even"} <= scores.keys()
    assert [scene["name"] for scene in scores["scenes"]] == ["0", "1"]
    assert "<html" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "roads.gpkg").is_file()


def draw_street(folder: Path, split: str, number: int) -> None:
    """Write a photograph with its polygons: a road below, a car on it, sky above."""
    rng = np.random.default_rng(number)
    image = rng.integers(100, 140, (3, 96, 160)).astype(np.uint8)
    image[:, 48:] //= 2
    image[0, 56:72, 40:80] = 250
    name = f"{number:06d}"
    write_image(folder / "leftImg8bit" / split / "0" / f"{name}_leftImg8bit.png", image)

    def box(west: int, north: int, east: int, south: int) -> list[list[int]]:
        return [[west, north], [east, north], [east, south], [west, south]]

    labels = ["building", "sidewalk", "non-drivable fallback", "truck", "bus", "autorickshaw"]
    labels += ["rider", "motorcycle", "bicycle", "person"]
    objects = [
        {"label": "sky", "polygon": box(0, 0, 159, 47)},
        {"label": "road", "polygon": box(0, 48, 159, 95)},
        {"label": "car", "polygon": box(40, 56, 79, 71)},
        *(
            {"label": label, "polygon": box(12 * n, 80, 12 * n + 8, 90)}
            for n, label in enumerate(labels)
        ),
    ]
    path = folder / "gtFine" / split / "0" / f"{name}_gtFine_polygons.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"imgHeight": 96, "imgWidth": 160, "objects": objects}))


def write_video(path: Path) -> None:
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (160, 96))
    for number in range(4):
        frame = np.full((96, 160, 3), 40 * number, np.uint8)
        writer.write(frame)
    writer.release()


@pytest.mark.timeout(1800)
def test_idd_page_commands_run(tmp_path: Path) -> None:
    for split, numbers in (("train", range(3)), ("val", range(3, 5))):
        for number in numbers:
            draw_street(tmp_path / "idd", split, number)
    write_video(tmp_path / "drive.mp4")

    steps = commands("idd.md")
    assert [arguments[0] for arguments in steps] == [
        "labels", "train", "train", "train", "train", "test", "test", "export", "video", "serve",
    ]  # fmt: skip
    for arguments in steps[:-1]:
        run(arguments, tmp_path)
    assert (tmp_path / "idd" / "masks" / "train" / "0" / "000000_mask.png").is_file()
    for name in ("unet", "unet-bn", "resnet34", "canet"):
        assert (tmp_path / "runs" / name / "model.keras").is_file()
    assert "autorickshaw" not in (tmp_path / "unet.html").read_text()
    assert "sidewalk" in (tmp_path / "unet.html").read_text()
    assert (tmp_path / "segmented.webm").stat().st_size > 0
    _serve(steps[-1], tmp_path)


@pytest.mark.timeout(1800)
def test_street_page_commands_run(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    script = [sys.executable, "examples/street.py", "street"]
    small = ["--train", "4", "--valid", "2", "--seconds", "0.5"]
    subprocess.run([*script, *small], cwd=tmp_path, check=True)

    steps = commands("street.md")
    assert [arguments[0] for arguments in steps] == ["train", "test", "export", "video", "serve"]
    for arguments in steps[:-1]:
        run(arguments, tmp_path)
    assert (tmp_path / "segmented.webm").stat().st_size > 0
    _serve(steps[-1], tmp_path)


def _serve(arguments: list[str], folder: Path) -> None:
    """Start the server of the page and request its description."""
    process = subprocess.Popen(
        [sys.executable, "-m", "roadgis", *arguments, "--port", "0", "--folder", "served"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        address = None
        while address is None:
            line = process.stdout.readline()
            assert line, "the server ended before it printed its address"
            address = re.search(r"http://\S+", line)
        about = address[0].rstrip("/.") + "/api/"
        for _ in range(100):
            with contextlib.suppress(urllib.error.URLError):
                with urllib.request.urlopen(about) as answer:
                    facts = json.load(answer)
                break
            time.sleep(0.2)
    finally:
        process.terminate()
        process.communicate()
    assert facts["video"] is True
