"""Settings of a training run: network, optimization, model card."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from roadgis.errors import InputError
from roadgis.options.option import Option, setting
from roadgis.options.training_data import DataSettings

#: Names of the architectures.
ARCHITECTURES = ("unet", "linknet", "fpn", "pspnet", "plain-unet", "canet")
#: How the learning rate runs over the steps.
Schedule = Literal["trapezoid", "cosine", "one-cycle", "constant"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
#: How numbers are held while training; the saved model is float32 in any case.
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


@dataclass(frozen=True)
class NetworkSettings:
    """Architecture of the model; see :class:`roadgis.train.architectures.ArchitectureOptions`.

    Where `init` names a model, the network is that model's, and `encoder_weights` are not used.
    """

    architecture: str = setting(
        "unet", Option("Network architecture.", "network", choices=ARCHITECTURES)
    )
    backbone: str = setting(
        "resnet18", Option("Encoder: a backbone of segmentation-models.", "network", metavar="NAME")
    )
    depth: int | None = setting(
        None,
        Option(
            "Number of encoder stages (unet).",
            "network",
            metavar="N",
            low=3,
            high=5,
            default_text="4 with resnet18 and resnet34",
        ),
    )
    encoder_units: tuple[int, ...] | None = setting(
        None,
        Option(
            "Residual units of each encoder stage, finest first (resnet18, resnet34).",
            "network",
            metavar="N,...",
            default_text="the backbone's",
            example="2,2,2",
        ),
    )
    subpixel: bool = setting(
        False,
        Option(
            "Compute at half resolution and output 2 by 2 pixels at once (unet).",
            "network",
            flags=("--subpixel/--no-subpixel",),
        ),
    )
    decoder_filters: tuple[int, ...] | None = setting(
        None,
        Option(
            "Filters of the decoder's blocks, deepest first.",
            "network",
            metavar="N,...",
            default_text="the architecture's",
            example="128,64,32,16",
        ),
    )
    batch_norm: bool = setting(
        True,
        Option(
            "Use batch normalization in the decoder.",
            "network",
            flags=("--batch-norm/--no-batch-norm",),
        ),
    )
    encoder_weights: str | None = setting(
        None,
        Option(
            "Initial encoder weights: imagenet, none, or a file.",
            "network",
            metavar="NAME",
            default_text="none",
            convert=lambda text: None if text == "none" else text,
        ),
    )
    init: str | None = setting(
        None,
        Option(
            "Trained model to start from: default, a .keras file or the folder of a run.",
            metavar="MODEL",
            path=("in", "model"),
        ),
    )
    frozen_epochs: int = setting(
        0,
        Option(
            "Number of epochs at the start with a frozen encoder.",
            "network",
            metavar="N",
            low=0,
            default_text="{}; with --init suited to the model",
        ),
    )

    def __post_init__(self) -> None:
        if self.frozen_epochs < 0:
            raise InputError(f"frozen_epochs is {self.frozen_epochs}, expected 0 or more.")


@dataclass(frozen=True)
class OptimizationSettings:
    """Settings of the optimization.

    Attributes
    ----------
    loss : str or None
        A name in :data:`roadgis.train.losses.LOSSES`.
    class_weights : tuple of float, optional
        One for each class (of a binary network: other, road); see
        :func:`roadgis.train.losses.build_loss`.
    direction_weight : float
        See :mod:`roadgis.train.direction`.
    steps : int
        A multiple of `epoch_steps`.
    schedule, peak_rate, warmup_steps, decay_steps
        See :func:`roadgis.train.schedule.learning_rate`.
    clip_norm : float
        Largest norm of the gradient.
    ema : float
        The average is what is validated and kept. In short runs the momentum is less, so that the
        average reaches back over a tenth of the run at most.
    precision : {"float32", "mixed_bfloat16", "mixed_float16"}
        bfloat16 pays off on processors with AVX512-BF16.
    plateau_epochs : int
        With schedule "constant" only; the rate is cut to `plateau_factor` of it
        (ReduceLROnPlateau).
    keep : {"best", "last"}
        Without validation the last ones are kept.
    """

    loss: str | None = setting(
        None,
        Option(
            "Loss function.",
            "optimization",
            metavar="NAME",
            default_text="bce_jaccard; with several classes cce_jaccard",
        ),
    )
    class_weights: tuple[float, ...] | None = setting(
        None,
        Option(
            "Weight of each class in the loss (other,road), scaled to a mean of one.",
            "optimization",
            metavar="W,W,...",
            default_text="equal",
            example="0.3,0.7",
        ),
    )
    edge_smoothing: float = setting(
        0.0,
        Option(
            "Label smoothing of pixels next to another class.",
            "optimization",
            metavar="SHARE",
            low=0,
            high=0.5,
            high_open=True,
        ),
    )
    cldice_weight: float = setting(
        0.5,
        Option(
            "Weight of the clDice term, in losses that end in _cldice.",
            "optimization",
            metavar="W",
            low=0,
        ),
    )
    direction_weight: float = setting(
        0.0,
        Option(
            "Weight of the road direction in the loss; above 0 the model learns it too.",
            "optimization",
            metavar="W",
            low=0,
        ),
    )
    steps: int = setting(
        6000,
        Option(
            "Number of training steps.",
            metavar="N",
            low=1,
            default_text="{}; with --init suited to the model",
        ),
    )
    epoch_steps: int = setting(
        200,
        Option(
            "Number of steps between validations and checkpoints.",
            "optimization",
            metavar="N",
            low=1,
        ),
    )
    schedule: Schedule = setting("trapezoid", Option("Learning-rate schedule.", "optimization"))
    peak_rate: float = setting(
        1e-3,
        Option(
            "Peak learning rate.",
            "optimization",
            metavar="RATE",
            default_text="{}; with --init suited to the model",
        ),
    )
    warmup_steps: int = setting(
        200,
        Option(
            "Number of warm-up steps.",
            "optimization",
            metavar="N",
            low=0,
            default_text="{}; with --init suited to the model",
        ),
    )
    decay_steps: int = setting(
        3600,
        Option(
            "Number of steps of the final learning-rate decay.",
            "optimization",
            metavar="N",
            low=0,
            default_text="{}; with --init suited to the model",
        ),
    )
    weight_decay: float = setting(1e-3, Option("AdamW weight decay.", "optimization", metavar="W"))
    clip_norm: float = 1.0
    ema: float = setting(
        0.998,
        Option(
            "Momentum of the moving average of the weights; 0 disables it.",
            "optimization",
            metavar="MOMENTUM",
        ),
    )
    precision: Precision = setting(
        "float32", Option("Number format while training.", "performance")
    )
    plateau_epochs: int = setting(
        0,
        Option(
            "Number of epochs without a better score after which a constant rate is cut; 0 for "
            "never.",
            "optimization",
            metavar="N",
            low=0,
        ),
    )
    plateau_factor: float = 0.1
    stop_epochs: int = setting(
        0,
        Option(
            "Number of epochs without a better score after which the run stops; 0 for never.",
            "optimization",
            metavar="N",
            low=0,
        ),
    )
    keep: Literal["best", "last"] = setting(
        "best", Option("Weights to keep: those of the best score, or the last.", "optimization")
    )
    seed: int = setting(
        1, Option("Seed of weights, crops and augmentation.", "optimization", metavar="N")
    )
    tensorboard: bool = setting(
        False,
        Option(
            "Write TensorBoard event files into the run.",
            "shell",
            flags=("--tensorboard/--no-tensorboard",),
        ),
    )

    def __post_init__(self) -> None:
        if self.epoch_steps < 1 or self.steps < 1 or self.steps % self.epoch_steps:
            raise InputError(
                f"steps is {self.steps}, expected a multiple of epoch_steps ({self.epoch_steps}), "
                "both at least 1."
            )
        if self.schedule not in SCHEDULES:
            raise InputError(f"schedule is {self.schedule!r}, expected one of {SCHEDULES}.")
        if self.precision not in get_args(Precision):
            raise InputError(f"precision is {self.precision!r}, expected one of {Precision}.")
        if self.keep not in ("best", "last"):
            raise InputError(f"keep is {self.keep!r}, expected 'best' or 'last'.")
        if not 0 <= self.ema < 1:
            raise InputError(f"ema is {self.ema}, expected 0 (none) to below 1.")
        if not self.direction_weight >= 0:
            raise InputError(f"direction_weight is {self.direction_weight}, expected 0 or more.")
        if not self.peak_rate > 0:
            raise InputError(f"peak_rate is {self.peak_rate}, expected a positive number.")
        if not 0 < self.plateau_factor < 1:
            raise InputError(f"plateau_factor is {self.plateau_factor}, expected 0 to 1.")
        if self.plateau_epochs and self.schedule != "constant":
            raise InputError(
                f"plateau_epochs cuts a constant rate, but the schedule is {self.schedule!r}. "
                "Use --schedule constant, or leave plateau_epochs out."
            )


@dataclass(frozen=True)
class CardSettings:
    """Values of the model card that the run does not know.

    Attributes
    ----------
    licence : str
        If empty, the licence of the model that the run starts from.
    attribution : tuple of str
        One sentence for each source. Those of the model that the run starts from, of teachers and
        of the bundled ImageNet weights are added.
    """

    name: str = setting("roads", Option("Name of the model.", "card"))
    version: str = setting("1", Option("Version of the model.", "card", flags=("--model-version",)))
    training_data: str = setting(
        "", Option("Training data and its origin.", "card", default_text="names of the data")
    )
    licence: str = setting(
        "",
        Option("Licence of the model.", "card", default_text="as the --init model"),
    )
    attribution: tuple[str, ...] = setting(
        (),
        Option(
            "Credit for the training data, written into outputs; may be repeated.",
            "card",
            metavar="SENTENCE",
            repeat=True,
        ),
    )


@dataclass(frozen=True)
class TrainSettings:
    """All settings of a training run."""

    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    card: CardSettings = field(default_factory=CardSettings)

    def __post_init__(self) -> None:
        if self.optimization.direction_weight and len(self.data.classes) > 1:
            raise InputError(
                f"direction_weight is {self.optimization.direction_weight} with "
                f"{len(self.data.classes)} classes, but directions can be learned along with one "
                "class only, road or not. Leave --direction-weight or --classes out."
            )
