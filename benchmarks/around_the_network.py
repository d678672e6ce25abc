"""Share of each step of ``extract`` in CPU time, with a model that takes no time.

The scene is drawn: its first band is the road probability itself, and the model is an ONNX file
that returns this band. All steps do their usual work, with a realistic number of roads. CPU
time is measured (user and system, all threads), so that other work on the machine does not matter;
the rate assumes two cores without idle time.

    uv run python -m benchmarks.around_the_network [--side 6000] [--model FILE]

With ``--model`` the table is that of a real model on the scene given by ``--scene``.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks.vectorize_vs_sknw import street_grid
from roadgis import pipeline, raster_pipeline
from roadgis.model import runtime
from roadgis.model.card import CARD_KEY, ModelCard
from roadgis.probability import prediction
from roadgis.probability.mosaic import Mosaic
from roadgis.vectorization import run as vectorization

#: Each is counted without the other steps that it calls.
_STEPS: dict[str, tuple[Any, str]] = {
    "open the scene": (pipeline, "_open"),
    "read the imagery": (prediction._Reading, "_read"),
    "input of the network": (runtime, "network_input"),
    "output of the network": (runtime, "road_probability"),
    "write the mosaic": (Mosaic, "write"),
    "trace blocks": (vectorization, "_block_graph"),
    "trace, joined": (raster_pipeline, "trace_centerlines"),
    "read the mosaic": (Mosaic, "read"),
    "clean": (raster_pipeline, "cleaned_lines"),
    "shapes and attributes": (raster_pipeline, "network_of_lines"),
    "write the network": (pipeline, "write_network"),
}


@contextmanager
def timed(seconds: dict[str, float]) -> Iterator[None]:
    """Count the CPU seconds of the steps in all their threads."""
    running, lock = threading.local(), threading.Lock()

    def wrapped(step: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(step)
        def run(*args: Any, **options: Any) -> Any:
            outer, running.inner = getattr(running, "inner", 0.0), 0.0
            begin = time.thread_time()
            try:
                return step(*args, **options)
            finally:
                taken = time.thread_time() - begin
                with lock:
                    seconds[name] += taken - running.inner
                running.inner = outer + taken

        return run

    with ExitStack() as stack:
        for name, (home, attribute) in _STEPS.items():
            step = getattr(home, attribute)
            setattr(home, attribute, wrapped(step, name))
            stack.callback(setattr, home, attribute, step)
        yield


class Counted(runtime.OnnxSegmenter):
    """Counts CPU seconds while the model runs.

    With several threads they are those of the whole process, concurrent reads included.
    """

    seconds = 0.0

    def _open(self) -> Any:
        session = super()._open()
        outer, clock = self, time.thread_time if self._threads == 1 else time.process_time

        class Session:
            def run(self, *args: Any) -> Any:
                begin = clock()
                try:
                    return session.run(*args)
                finally:
                    outer.seconds += clock() - begin

            def __getattr__(self, name: str) -> Any:
                return getattr(session, name)

        return Session()


def no_network(path: Path) -> Path:
    """Write an ONNX file whose probability is the first band of its uint8 input."""
    from onnx import TensorProto, helper, save

    card = ModelCard(
        name="none", version="1", std=(1 / 255,) * 3, gsd_m=1.0, stride=16, margin_px=224,
        training_data="none", licence="MIT",
    )  # fmt: skip
    shape = ["n", "h", "w"]
    nodes = [
        helper.make_node("Slice", ["image", "start", "end", "axis"], ["band"]),
        helper.make_node("Cast", ["band"], ["value"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["value", "scale"], ["road"]),
    ]
    constants = {"start": np.array([0]), "end": np.array([1]), "axis": np.array([3])}
    from onnx import numpy_helper

    graph = helper.make_graph(
        nodes,
        "none",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [*shape, 3])],
        [helper.make_tensor_value_info("road", TensorProto.FLOAT, [*shape, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()]
        + [numpy_helper.from_array(np.float32(1 / 255), "scale")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.metadata_props.add(key=CARD_KEY, value=card.to_json())
    save(model, str(path))
    return path


def write_scene(path: Path, side: int) -> None:
    """Write streets, in a JPEG-compressed GeoTIFF, strip by strip."""
    piece = street_grid(1024, 150).astype(np.uint8) * np.uint8(230)
    noise = np.random.default_rng(0).integers(0, 24, piece.shape, np.uint8)
    tile = np.stack([piece + noise, 90 + noise, 120 - noise])
    profile: dict[str, Any] = {
        "driver": "GTiff", "height": side, "width": side, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32632", "transform": rasterio.Affine(1.0, 0.0, 5e5, 0.0, -1.0, 5e6),
        "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "JPEG",
        "jpeg_quality": 90, "photometric": "YCBCR",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        for row in range(0, side, 1024):
            height = min(1024, side - row)
            strip = np.tile(tile[:, :height], (1, 1, -(-side // 1024)))[:, :, :side]
            dataset.write(strip, window=Window(0, row, side, height))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=6000)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--scene", type=Path)
    arguments = parser.parse_args()
    seconds: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = arguments.scene or folder / "scene.tif"
        if arguments.scene is None:
            write_scene(scene, arguments.side)
        model = Counted(
            arguments.model or no_network(folder / "none.onnx"),
            threads=1 if arguments.model is None else None,
        )
        with rasterio.open(scene) as dataset:
            mpx = dataset.width * dataset.height / 1e6
        began, began_wall = time.process_time(), time.perf_counter()
        with timed(seconds):
            network = pipeline.extract_roads(scene, folder / "roads.gpkg", model=model)
        total = time.process_time() - began
        wall = time.perf_counter() - began_wall
    print(f"{mpx:.0f} Mpx, {len(network)} roads; CPU seconds and milliseconds per Mpx")
    rows = {"the network itself": model.seconds, **dict.fromkeys(_STEPS, 0.0), **seconds}
    rows["imports and the rest"] = total - sum(rows.values())
    for step, value in rows.items():
        print(f"{step:24} {value:8.2f} {value / mpx * 1e3:8.1f}  {value / total:6.1%}")
    around = total - model.seconds
    print(
        f"{'all':24} {total:8.2f} {total / mpx * 1e3:8.1f}   ({wall:.1f} s of wall time)\n"
        f"around the network {around:.2f} s: {2 * mpx / around:.1f} Mpx/s on two cores"
    )


if __name__ == "__main__":
    main()
