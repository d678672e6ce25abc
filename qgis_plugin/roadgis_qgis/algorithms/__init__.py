"""The algorithms, in the toolbox's order."""

from .check_installation import CheckInstallation
from .clean_network import CleanNetwork
from .compare_networks import CompareNetworks
from .evaluate_network import EvaluateNetwork
from .extract_roads import ExtractRoads
from .map_county import MapCounty
from .predict_probability import PredictProbability
from .setup import Setup
from .vectorize_probability import VectorizeProbability

__all__ = ["ALGORITHMS"]

ALGORITHMS = (
    ExtractRoads,
    PredictProbability,
    VectorizeProbability,
    MapCounty,
    CleanNetwork,
    EvaluateNetwork,
    CompareNetworks,
    CheckInstallation,
    Setup,
)
