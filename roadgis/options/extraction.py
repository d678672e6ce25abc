"""Settings of a run from imagery to roads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from roadgis.errors import InputError
from roadgis.options.cleaning import CleanOptions
from roadgis.options.imagery import SceneOptions
from roadgis.options.option import Option, setting
from roadgis.options.prediction import PredictOptions
from roadgis.options.sources import SourceOptions
from roadgis.options.vectorization import VectorizeOptions


@dataclass(frozen=True)
class ExtractOptions:
    """Settings of a run from imagery to roads.

    Attributes
    ----------
    threshold : float or None
        Probability from which a pixel is road; None takes the model card's.
    scene : SceneOptions
        How the imagery is read.
    predict : PredictOptions
        How it is cut for the network.
    vectorize : VectorizeOptions
        How probability becomes lines; its threshold is replaced by the one above.
    clean : CleanOptions
        How lines become a network.
    sources : SourceOptions
        How sources are searched for sheets, and which of them are used.
    work_dir : Path or None
        Work directory for the probability mosaic while the run lasts; by default next to the
        output. A new or empty folder, or that of an interrupted run.
    restart : bool
        Discard what an interrupted run has left in the work directory.
    keep_work : bool
        Keep the work directory at the end.
    """

    threshold: float | None = setting(
        None,
        Option(
            "Probability from which a pixel is road, between 0 and 1.",
            metavar="P",
            default_text="the model card's",
        ),
    )
    scene: SceneOptions = field(default_factory=SceneOptions)
    predict: PredictOptions = field(default_factory=PredictOptions)
    vectorize: VectorizeOptions = field(default_factory=VectorizeOptions)
    clean: CleanOptions = field(default_factory=CleanOptions)
    sources: SourceOptions = field(default_factory=SourceOptions)
    work_dir: Path | None = setting(
        None,
        Option(
            "Work directory for the probability mosaic: new, empty, or of an interrupted run, "
            "which resumes.",
            "performance",
            path=("out", "folder"),
            default_text="OUTPUT.roadgis-work",
        ),
    )
    restart: bool = setting(
        False, Option("Discard the blocks of an interrupted run and start again.", "performance")
    )
    keep_work: bool = setting(
        False, Option("Keep the work directory after the run.", "performance")
    )

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise InputError(
                f"The threshold is {self.threshold}, expected a probability between 0 and 1 "
                "(both excluded)."
            )
