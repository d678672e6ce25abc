"""The layouts of two public road models, from an orthophoto to probability and roads.

The models have the encoder, skip connections, inputs, outputs and metadata of the public ones, and
weights for which the output is a known function of brightness.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pyogrio
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from scipy.special import expit

from roadgis.cli.commands.extract import command as extract
from roadgis.cli.commands.predict import command as predict
from tests.factories.rasters import write_raster

#: As published: 512 px, 21 cm per pixel, two classes; `argmax` of two channels is the class.
DEEPNESS: dict[str, Any] = {
    "model_type": "Segmentor",
    "class_names": {"0": "not_road", "1": "road"},
    "resolution": 21,
    "tile_size": 512,
    "tiles_overlap": 15,
    "standardization_mean": [0.42, 0.43, 0.41],
    "standardization_std": [0.17, 0.16, 0.18],
    "seg_thresh": 0.5,
    "seg_small_segment": 11,
}
GAIN, MIDDLE = 0.1, 90.0
#: Upper left corner of the scenes: a multiple of both models' pixels, where their grids start.
X0, Y0 = 500_010.0, 5_300_400.0
_STAGES = 5

Bytes = npt.NDArray[np.uint8]


def road_unet(
    path: Path,
    side: int,
    channels: int,
    *,
    mean: tuple[float, ...] = (0.0,) * 3,
    std: tuple[float, ...] = (1.0,) * 3,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a U-Net of stride 32 for float images (1, 3, side, side), and return its path.

    With one channel the output is the logit ``GAIN * (brightness - MIDDLE)``; brightness is the
    mean of the bands, 0 to 255; with two channels the softmax of minus and plus half of that.
    """
    bands = [255 * value / 3 for value in std]
    nodes = _conv("image", "stage0", [bands], 3, bias=[85 * sum(mean)])
    for stage in range(1, _STAGES + 1):
        size = {"kernel_shape": [2, 2], "strides": [2, 2]}
        nodes.append(helper.make_node("MaxPool", [f"stage{stage - 1}"], [f"pool{stage}"], **size))
        nodes += _conv(f"pool{stage}", f"stage{stage}", [[1.0]], 3)
    up = f"stage{_STAGES}"
    for stage in reversed(range(_STAGES)):
        nodes += [
            _constant(f"factors{stage}", [1, 1, 2, 2]),
            helper.make_node(
                "Resize",
                [up, "", f"factors{stage}"],
                [f"up{stage}"],
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            ),
            helper.make_node("Concat", [f"up{stage}", f"stage{stage}"], [f"both{stage}"], axis=1),
            *_conv(f"both{stage}", f"decoded{stage}", [[0.0, 1.0]], 3),
        ]
        up = f"decoded{stage}"
    shares = [1.0] if channels == 1 else [-0.5, 0.5]
    weights, biases = [[GAIN * share] for share in shares], [-GAIN * MIDDLE * s for s in shares]
    nodes += _conv(up, "logits", weights, 1, bias=biases)
    if channels > 1:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    return _save(path, nodes, side, channels, metadata or {})


def _conv(
    source: str, name: str, weights: Any, kernel_px: int, bias: list[float] | None = None
) -> list[Any]:
    """Return a 1 x 1 convolution with (out, in) weights."""
    kernel = np.zeros((*np.shape(weights), kernel_px, kernel_px), np.float32)
    kernel[..., kernel_px // 2, kernel_px // 2] = weights
    inputs = [source, f"{name}_weights", f"{name}_bias"]
    return [
        helper.make_node(
            "Constant", [], [inputs[1]], value=numpy_helper.from_array(kernel, inputs[1])
        ),
        _constant(inputs[2], bias or [0.0] * len(kernel)),
        helper.make_node("Conv", inputs, [name], pads=[kernel_px // 2] * 4),
    ]


def _constant(name: str, values: list[Any]) -> Any:
    tensor = numpy_helper.from_array(np.asarray(values, np.float32), name)
    return helper.make_node("Constant", [], [name], value=tensor)


def _save(
    path: Path, nodes: list[Any], side: int, channels: int, metadata: Mapping[str, str]
) -> Path:
    def tensor(name: str, count: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, side, side])

    output = "logits" if channels == 1 else "probabilities"
    graph = helper.make_graph(nodes, "unet", [tensor("image", 3)], [tensor(output, channels)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    helper.set_model_props(model, dict(metadata))
    path.write_bytes(model.SerializeToString())
    return path


def resnet34_unet(folder: Path) -> Path:
    """Return a U-Net with a ResNet34 encoder: 256 px, values 0 to 1, logits, no metadata."""
    return road_unet(folder / "resnet34.onnx", 256, 1)


def deepness_unet(folder: Path) -> Path:
    """Return a model like that of Deepness for roads: 512 px, with complete metadata."""
    return road_unet(
        folder / "deepness.onnx",
        512,
        2,
        mean=tuple(DEEPNESS["standardization_mean"]),
        std=tuple(DEEPNESS["standardization_std"]),
        metadata={key: json.dumps(value) for key, value in DEEPNESS.items()},
    )


#: Model, required options, pixel size in metres.
MODELS = [(resnet34_unet, ["--model-gsd", "0.3"], 0.3), (deepness_unet, [], 0.21)]


def crossing(height: int, width: int) -> Bytes:
    """Return the brightness of a crossing of two roads of 20 px, at row 190 and column 250."""
    rng = np.random.default_rng(3)
    bright = np.full((height, width), 60)
    bright[180:200] = 120
    bright[:, 240:260] = 120
    return np.asarray(bright + rng.integers(-8, 9, bright.shape), np.uint8)


def write_scene(path: Path, brightness: Bytes, gsd_m: float, factor: int) -> Path:
    """Write a scene whose pixels, averaged over `factor` x `factor`, have the brightness."""
    fine = brightness.repeat(factor, 0).repeat(factor, 1).astype(int)
    if factor > 1:
        # A texture that averages out.
        fine += np.where(np.indices(fine.shape).sum(0) % 2, 7, -7)
    bands = np.stack([fine + 12, fine, fine - 12]).astype(np.uint8)
    return write_raster(path, bands, pixel=round(gsd_m / factor, 6), x0=X0, y0=Y0)


def run(command: Any, *arguments: object) -> None:
    done = CliRunner().invoke(command, [*map(str, arguments), "--progress", "none"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("factor", [1, 2], ids=["own-pixels", "finer"])
@pytest.mark.parametrize(("make", "options", "gsd_m"), MODELS, ids=["resnet34", "deepness"])
def test_predict_gives_each_pixel_the_probability_of_its_brightness(
    tmp_path: Path, make: Any, options: list[str], gsd_m: float, factor: int
) -> None:
    brightness = crossing(400, 700)
    scene = write_scene(tmp_path / "scene.tif", brightness, gsd_m, factor)
    run(predict, scene, "-m", make(tmp_path), "-o", tmp_path / "p.tif", *options)
    expected = np.rint(254 * expit(GAIN * (brightness - MIDDLE)))
    with rasterio.open(tmp_path / "p.tif") as dataset:
        assert dataset.transform[:6] == pytest.approx((gsd_m, 0, X0, 0, -gsd_m, Y0), abs=1e-4)
        np.testing.assert_array_equal(dataset.read(1), expected)


@pytest.mark.parametrize("scale", [0.5, 1, 2], ids=["finer", "own-pixels", "coarser"])
@pytest.mark.parametrize(("make", "options", "gsd_m"), MODELS, ids=["resnet34", "deepness"])
def test_extract_places_the_crossing_at_any_pixel_size(
    tmp_path: Path, make: Any, options: list[str], gsd_m: float, scale: float
) -> None:
    brightness = crossing(400, 700)
    if scale > 1:
        brightness = brightness.reshape(200, 2, 350, 2).mean((1, 3)).astype(np.uint8)
    scene = write_scene(
        tmp_path / "scene.tif", brightness, gsd_m * max(scale, 1), round(1 / min(scale, 1))
    )
    run(extract, scene, "-m", make(tmp_path), "-o", tmp_path / "roads.gpkg", *options)
    edges = pyogrio.read_dataframe(tmp_path / "roads.gpkg", layer="edges")
    nodes = pyogrio.read_dataframe(tmp_path / "roads.gpkg", layer="nodes")
    x, y = X0 + 250 * gsd_m, Y0 - 190 * gsd_m
    east, south = X0 + 700 * gsd_m, Y0 - 400 * gsd_m
    assert sorted(nodes.degree) == [1, 1, 1, 1, 4]
    (junction,) = nodes.geometry[nodes.degree == 4]
    assert junction.distance(shapely.Point(x, y)) < gsd_m
    roads = shapely.MultiLineString([[(X0, y), (east, y)], [(x, Y0), (x, south)]])
    assert shapely.hausdorff_distance(edges.union_all(), roads) < 2 * gsd_m
    assert edges.width_m.to_numpy() == pytest.approx(20 * gsd_m, abs=gsd_m)
