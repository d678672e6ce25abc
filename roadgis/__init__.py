"""Road centrelines from aerial imagery.

The names below are the public interface; each is loaded when first used, so that importing
the package is quick and loads no runtime.

======================  =======================================================
`extract_roads`         imagery to road network, the whole way
`open_scene`            imagery as one metric pixel grid
`load_model`            a segmentation model with its card
`predict`               scene and model to probability mosaic
`vectorize`             probability to road network
`RoadNetwork`           edges, nodes, attributes
`clean_lines`           anybody's lines to a clean road network
`evaluate`              a road network against the truth
`compare`               a road network against a base network
`write_network`         road network to a vector file
======================  =======================================================
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from roadgis._version import __version__

if TYPE_CHECKING:
    from roadgis.cleaning import clean_lines
    from roadgis.comparison import compare
    from roadgis.comparison.options import CompareOptions
    from roadgis.errors import RoadgisError
    from roadgis.evaluation import evaluate
    from roadgis.evaluation.options import EvaluateOptions
    from roadgis.imagery.options import SceneOptions
    from roadgis.imagery.scene import Scene, open_scene
    from roadgis.lines import read_lines
    from roadgis.model.card import ModelCard
    from roadgis.model.runtime import load_model
    from roadgis.network.clean import CleanOptions
    from roadgis.network.network import RoadNetwork
    from roadgis.network.options import BridgeOptions
    from roadgis.output import write_network
    from roadgis.pipeline import ExtractOptions, extract_roads, vectorize
    from roadgis.probability.prediction import PredictOptions, predict
    from roadgis.probability.raster import RasterOptions, open_probability
    from roadgis.vectorization import VectorizeOptions

_HOMES = {
    "BridgeOptions": "roadgis.network.options",
    "CleanOptions": "roadgis.network.clean",
    "CompareOptions": "roadgis.comparison.options",
    "EvaluateOptions": "roadgis.evaluation.options",
    "ExtractOptions": "roadgis.pipeline",
    "ModelCard": "roadgis.model.card",
    "PredictOptions": "roadgis.probability.prediction",
    "RasterOptions": "roadgis.probability.raster",
    "RoadNetwork": "roadgis.network.network",
    "RoadgisError": "roadgis.errors",
    "Scene": "roadgis.imagery.scene",
    "SceneOptions": "roadgis.imagery.options",
    "VectorizeOptions": "roadgis.vectorization",
    "clean_lines": "roadgis.cleaning",
    "compare": "roadgis.comparison",
    "evaluate": "roadgis.evaluation",
    "extract_roads": "roadgis.pipeline",
    "load_model": "roadgis.model.runtime",
    "open_probability": "roadgis.probability.raster",
    "open_scene": "roadgis.imagery.scene",
    "predict": "roadgis.probability.prediction",
    "read_lines": "roadgis.lines",
    "vectorize": "roadgis.pipeline",
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
