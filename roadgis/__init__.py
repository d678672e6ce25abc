"""Road centrelines from aerial imagery.

The names below are the public interface. Each is imported when it is first used, so that importing
the package is fast.

======================  =======================================================
`extract_roads`         imagery to road network
`open_scene`            imagery as one metric pixel grid
`load_model`            a segmentation model with its card
`predict`               scene and model to probability mosaic
`vectorize`             probability to road network
`RoadNetwork`           edges, nodes, attributes
`clean_lines`           an existing line layer to a clean road network
`evaluate`              a road network against ground truth
`compare`               a road network against a base network
`write_network`         road network to a vector file
======================  =======================================================
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from roadgis._version import __version__

if TYPE_CHECKING:
    from roadgis.comparison import compare
    from roadgis.errors import RoadgisError
    from roadgis.evaluation import evaluate
    from roadgis.imagery.scene import Scene, open_scene
    from roadgis.lines import read_lines
    from roadgis.model.card import ModelCard
    from roadgis.model.runtime import load_model
    from roadgis.network.from_lines.clean_lines import clean_lines
    from roadgis.network.network import RoadNetwork
    from roadgis.options.cleaning import BridgeOptions, CleanOptions
    from roadgis.options.comparison import CompareOptions
    from roadgis.options.evaluation import EvaluateOptions
    from roadgis.options.extraction import ExtractOptions
    from roadgis.options.imagery import SceneOptions
    from roadgis.options.prediction import PredictOptions
    from roadgis.options.probability_raster import RasterOptions
    from roadgis.options.vectorization import VectorizeOptions
    from roadgis.output import write_network
    from roadgis.pipeline import extract_roads
    from roadgis.probability.prediction import predict
    from roadgis.probability.raster import open_probability
    from roadgis.raster_pipeline import vectorize

_HOMES = {
    "BridgeOptions": "roadgis.options.cleaning",
    "CleanOptions": "roadgis.options.cleaning",
    "CompareOptions": "roadgis.options.comparison",
    "EvaluateOptions": "roadgis.options.evaluation",
    "ExtractOptions": "roadgis.options.extraction",
    "ModelCard": "roadgis.model.card",
    "PredictOptions": "roadgis.options.prediction",
    "RasterOptions": "roadgis.options.probability_raster",
    "RoadNetwork": "roadgis.network.network",
    "RoadgisError": "roadgis.errors",
    "Scene": "roadgis.imagery.scene",
    "SceneOptions": "roadgis.options.imagery",
    "VectorizeOptions": "roadgis.options.vectorization",
    "clean_lines": "roadgis.network.from_lines.clean_lines",
    "compare": "roadgis.comparison",
    "evaluate": "roadgis.evaluation",
    "extract_roads": "roadgis.pipeline",
    "load_model": "roadgis.model.runtime",
    "open_probability": "roadgis.probability.raster",
    "open_scene": "roadgis.imagery.scene",
    "predict": "roadgis.probability.prediction",
    "read_lines": "roadgis.lines",
    "vectorize": "roadgis.raster_pipeline",
    "write_network": "roadgis.output",
}

__all__ = [
    "BridgeOptions",
    "CleanOptions",
    "CompareOptions",
    "EvaluateOptions",
    "ExtractOptions",
    "ModelCard",
    "PredictOptions",
    "RasterOptions",
    "RoadNetwork",
    "RoadgisError",
    "Scene",
    "SceneOptions",
    "VectorizeOptions",
    "__version__",
    "clean_lines",
    "compare",
    "evaluate",
    "extract_roads",
    "load_model",
    "open_probability",
    "open_scene",
    "predict",
    "read_lines",
    "vectorize",
    "write_network",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
