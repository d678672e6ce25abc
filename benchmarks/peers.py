"""The same model in roadgis, in GeoDeep and in a short script: CPU seconds of each.

The model is a U-Net for tiles of 512 px, written here with random weights except for a first
channel that passes the brightness on, so that all find the same roads. The script reads windows
with rasterio, runs ONNX Runtime, and uses scikit-image's skeleton and sknw; it stops at raw
lines. GeoDeep stops at its mask. roadgis continues to a clean network. Each runs in a process of
its own; CPU time is user and system time of all its threads, imports included.

    uv run --with geodeep --group bench python -m benchmarks.peers [SCENE] [--side 6000]

Tools that are not installed are left out. Deepness runs inside QGIS and is measured by hand: load
the scene and the model that this program writes with ``--keep FOLDER`` in its panel (tiles of
512 px, 15 % overlap, resolution of the scene), and read the CPU time of QGIS before and after.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TILE = 512
#: Pixels along a tile's border that are not kept.
MARGIN = 39

SCRIPT = f"""
import sys
import numpy as np, onnxruntime, rasterio, sknw
from rasterio.windows import Window
from skimage.morphology import skeletonize
scene, model = sys.argv[1:3]
options = onnxruntime.SessionOptions()
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
step = {TILE} - 2 * {MARGIN}
with rasterio.open(scene) as dataset:
    height, width = dataset.shape
    road = np.zeros((height, width), bool)
    for row in range(0, height, step):
        for col in range(0, width, step):
            window = Window(col - {MARGIN}, row - {MARGIN}, {TILE}, {TILE})
            image = dataset.read((1, 2, 3), window=window, boundless=True)
            values = image.astype(np.float32)[None] / 255
            found = session.run(None, {{"image": values}})[0][0, 0]
            h, w = min(step, height - row), min(step, width - col)
            inner = found[{MARGIN} : {MARGIN} + h, {MARGIN} : {MARGIN} + w]
            road[row : row + h, col : col + w] = inner >= 0.5
graph = sknw.build_sknw(skeletonize(road).astype(np.uint8), multi=True)
print(graph.number_of_edges())
"""

GEODEEP = """
import sys
from geodeep import segment
segment(*sys.argv[1:3])
"""


def write_unet(path: Path) -> Path:
    """Write the U-Net, with the metadata that Deepness and GeoDeep read."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes: list[Any] = []
    constants: list[Any] = []

    def conv(source: str, name: str, inputs: int, outputs: int, *, relu: bool = True) -> str:
        weights = rng.normal(0, 0.05, (outputs, inputs, 3, 3)).astype(np.float32)
        weights[0] = 0
        weights[0, 0, 1, 1] = 1  # the first channel is the first band
        constants.append(numpy_helper.from_array(weights, f"{name}_w"))
        nodes.append(
            helper.make_node("Conv", [source, f"{name}_w"], [name], pads=[1] * 4, name=name)
        )
        if relu:
            nodes.append(helper.make_node("Relu", [name], [f"{name}_r"]))
            return f"{name}_r"
        return name

    constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))
    source, channels, skips = "image", 3, []
    for level, filters in enumerate((16, 32, 64, 128)):
        source = conv(conv(source, f"a{level}", channels, filters), f"b{level}", filters, filters)
        channels = filters
        if level < 3:
            skips.append((source, filters))
            nodes.append(
                helper.make_node(
                    "MaxPool", [source], [f"p{level}"], kernel_shape=[2, 2], strides=[2, 2]
                )
            )
            source = f"p{level}"
    for level, (skip, filters) in reversed(list(enumerate(skips))):
        nodes.append(
            helper.make_node("Resize", [source, "", "twice"], [f"u{level}"], mode="nearest")
        )
        # The skip first, so that its first channel is that of the image.
        nodes.append(helper.make_node("Concat", [skip, f"u{level}"], [f"c{level}"], axis=1))
        source = conv(f"c{level}", f"d{level}", filters + channels, filters)
        source = conv(source, f"e{level}", filters, filters)
        channels = filters
    constants.append(
        numpy_helper.from_array(np.eye(1, 16, dtype=np.float32).reshape(1, 16, 1, 1), "last")
    )
    nodes.append(helper.make_node("Conv", [source, "last"], ["first"]))
    nodes.append(helper.make_node("Clip", ["first", "low", "high"], ["road"]))
    constants += [numpy_helper.from_array(np.float32(v), n) for v, n in ((0, "low"), (1, "high"))]
    graph = helper.make_graph(
        nodes,
        "unet",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, TILE, TILE])],
        [helper.make_tensor_value_info("road", TensorProto.FLOAT, [1, 1, TILE, TILE])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    described = {
        "model_type": '"Segmentor"', "class_names": '{"0": "road"}', "resolution": "100",
        "tiles_overlap": "15", "tiles_size": str(TILE), "seg_thresh": "0.5",
        "standardization_mean": "[0.0, 0.0, 0.0]", "standardization_std": "[1.0, 1.0, 1.0]",
    }  # fmt: skip
    for key, value in described.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(path))
    return path


def cpu_seconds(command: list[str]) -> tuple[float, float]:
    """Run a program; return its CPU seconds and peak GiB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    text = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command[:4]} failed: {text.decode()[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20  # Linux counts KiB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path, nargs="?")
    parser.add_argument("--side", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder to leave scene and model in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        scene = arguments.scene
        if scene is None:
            from benchmarks.around_the_network import write_scene

            scene = folder / "scene.tif"
            write_scene(scene, arguments.side)
        model = write_unet(folder / "unet.onnx")
        python = sys.executable
        tools = {
            "roadgis": [
                *(python, "-m", "roadgis", "extract", str(scene), "-o", str(folder / "r.gpkg")),
                *("-m", str(model), "--overwrite", "--restart"),
            ]
        }
        if importlib.util.find_spec("sknw"):
            tools["script"] = [python, "-c", SCRIPT, str(scene), str(model)]
        if importlib.util.find_spec("geodeep"):
            tools["GeoDeep"] = [python, "-c", GEODEEP, str(scene), str(model)]
        for _ in range(arguments.rounds):
            for tool, command in tools.items():
                seconds, peak = cpu_seconds(command)
                print(f"{tool:8} {seconds:8.1f} CPU s, peak {peak:.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
