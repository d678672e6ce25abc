"""Losses that leave invalid pixels out, under the names of segmentation-models.

Labels are (N, H, W, K + 1): K class channels (0 or 1), then valid (0 or 1); predictions are
(N, H, W, K) probabilities. Binary networks have K = 1, the road channel. Everything is computed in
float32, whatever the precision of the network, and over the valid pixels of the whole batch.

On valid pixels the losses are those of segmentation-models, with a smoothing term of 1 instead of
1e-5, which keeps them finite and calm on batches without road or without valid pixels.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from roadgis.errors import InputError
from roadgis.train.framework import import_keras

__all__ = [
    "LOSSES",
    "SegmentationLoss",
    "bce_jaccard_loss",
    "build_loss",
    "check_loss",
    "cldice",
]

keras = import_keras()
ops = keras.ops

_EPSILON = 1e-6
_SMOOTH = 1.0
# Lin et al. 2017, and the defaults of segmentation-models.
_FOCAL_ALPHA = 0.25
_FOCAL_GAMMA = 2.0


@dataclass(frozen=True)
class _Batch:
    """A batch as float32: classes and probability (N, H, W, K), valid (N, H, W, 1).

    `target` is `classes` with smoothed edges; `weights` has one item per class, or none.
    """

    classes: Any
    target: Any
    valid: Any
    probability: Any
    weights: tuple[float, ...]
    iterations: int


def _valid_mean(value: Any, batch: _Batch) -> Any:
    """Mean of (N, H, W, K) over valid pixels and channels."""
    channels = value.shape[-1]
    return ops.sum(value * batch.valid) / (ops.sum(batch.valid) * channels + _SMOOTH)


def _pixel_weights(batch: _Batch) -> Any:
    """Weights of binary cross-entropy: (N, H, W, 1), by whether the label is road."""
    if len(batch.weights) != 2:
        return 1.0
    other, road = batch.weights
    return other + (road - other) * batch.classes


def _bce(batch: _Batch) -> Any:
    target, probability = batch.target, ops.clip(batch.probability, _EPSILON, 1 - _EPSILON)
    entropy = -(target * ops.log(probability) + (1 - target) * ops.log(1 - probability))
    return _valid_mean(entropy * _pixel_weights(batch), batch)


def _binary_focal(batch: _Batch) -> Any:
    target, probability = batch.target, ops.clip(batch.probability, _EPSILON, 1 - _EPSILON)
    missed = ops.power(1 - probability, _FOCAL_GAMMA) * ops.log(probability)
    wrong = ops.power(probability, _FOCAL_GAMMA) * ops.log(1 - probability)
    each = -(_FOCAL_ALPHA * target * missed + (1 - _FOCAL_ALPHA) * (1 - target) * wrong)
    return _valid_mean(each * _pixel_weights(batch), batch)


def _class_weights(batch: _Batch) -> Any:
    return ops.convert_to_tensor(batch.weights, "float32") if batch.weights else 1.0


def _categorical_crossentropy(batch: _Batch) -> Any:
    # Half precision leaves sums of probabilities up to a percent off one.
    total = ops.sum(batch.probability, axis=-1, keepdims=True)
    probability = batch.probability / ops.maximum(total, _EPSILON)
    log = ops.log(ops.clip(probability, _EPSILON, 1 - _EPSILON))
    return _valid_mean(-batch.target * log * _class_weights(batch), batch)


def _categorical_focal(batch: _Batch) -> Any:
    probability = ops.clip(batch.probability, _EPSILON, 1 - _EPSILON)
    focus = _FOCAL_ALPHA * ops.power(1 - probability, _FOCAL_GAMMA)
    return _valid_mean(-batch.target * focus * ops.log(probability) * _class_weights(batch), batch)


def _focal(batch: _Batch) -> Any:
    return (_binary_focal if batch.probability.shape[-1] == 1 else _categorical_focal)(batch)


def _overlap(batch: _Batch) -> tuple[Any, Any]:
    """Return hits and the sum of both areas, per class, shape (K,)."""
    axes = (0, 1, 2)
    hit = ops.sum(batch.probability * batch.classes * batch.valid, axis=axes)
    both = ops.sum((batch.probability + batch.classes) * batch.valid, axis=axes)
    return hit, both


def _class_mean(score: Any, batch: _Batch) -> Any:
    channels = score.shape[0]
    weighs = channels > 1 and batch.weights
    return ops.mean(score * _class_weights(batch)) if weighs else ops.mean(score)


def _jaccard(batch: _Batch) -> Any:
    hit, both = _overlap(batch)
    return 1 - _class_mean((hit + _SMOOTH) / (both - hit + _SMOOTH), batch)


def _dice(batch: _Batch) -> Any:
    hit, both = _overlap(batch)
    return 1 - _class_mean((2 * hit + _SMOOTH) / (both + _SMOOTH), batch)


def _soft_erode(image: Any) -> Any:
    """Lowest of the four neighbours and the pixel itself."""
    rows = ops.max_pool(-image, (3, 1), strides=1, padding="same")
    columns = ops.max_pool(-image, (1, 3), strides=1, padding="same")
    return -ops.maximum(rows, columns)


def _soft_skeleton(image: Any, iterations: int) -> Any:
    """Return what opening takes away from the image and its erosions, as a soft union."""
    skeleton: Any = None
    for _ in range(iterations + 1):
        eroded = _soft_erode(image)
        opened = ops.max_pool(eroded, 3, strides=1, padding="same")
        ridge = ops.relu(image - opened)
        skeleton = ridge if skeleton is None else skeleton + ops.relu(ridge - skeleton * ridge)
        image = eroded
    return skeleton


def cldice(road: Any, probability: Any, valid: Any, *, iterations: int = 5) -> Any:
    """Soft-clDice loss (Shit et al., CVPR 2021): how much of each centreline the other covers.

    A road that is cut costs what it costs whatever its width, unlike with Dice and Jaccard.

    Parameters
    ----------
    road, probability, valid : tensor (N, H, W, 1)
        Float32. Invalid pixels are taken for no road on both sides.
    iterations : int
        Erosions in thinning: at least half the width of the widest road, in pixels.

    Returns
    -------
    tensor ()
        0 (the same lines) to 1.
    """
    road, probability = road * valid, probability * valid
    found_line = _soft_skeleton(probability, iterations)
    road_line = _soft_skeleton(road, iterations)
    precision = (ops.sum(found_line * road) + _SMOOTH) / (ops.sum(found_line) + _SMOOTH)
    recall = (ops.sum(road_line * probability) + _SMOOTH) / (ops.sum(road_line) + _SMOOTH)
    return 1 - 2 * precision * recall / (precision + recall)


def _cldice(batch: _Batch) -> Any:
    return cldice(batch.classes, batch.probability, batch.valid, iterations=batch.iterations)


_BINARY, _CATEGORICAL, _ANY = "binary", "categorical", "any"
_TERMS: dict[str, tuple[Callable[[_Batch], Any], str]] = {
    "bce": (_bce, _BINARY),
    "binary_focal": (_binary_focal, _BINARY),
    "categorical_crossentropy": (_categorical_crossentropy, _CATEGORICAL),
    "categorical_focal": (_categorical_focal, _CATEGORICAL),
    "focal": (_focal, _ANY),
    "jaccard": (_jaccard, _ANY),
    "dice": (_dice, _ANY),
    "cldice": (_cldice, _BINARY),
}
#: Losses by name: the terms that are added up.
LOSSES: dict[str, tuple[str, ...]] = {
    "jaccard": ("jaccard",),
    "dice": ("dice",),
    "bce": ("bce",),
    "binary_crossentropy": ("bce",),
    "bce_jaccard": ("bce", "jaccard"),
    "bce_dice": ("bce", "dice"),
    "bce_jaccard_cldice": ("bce", "jaccard", "cldice"),
    "bce_dice_cldice": ("bce", "dice", "cldice"),
    "focal": ("focal",),
    "focal_jaccard": ("focal", "jaccard"),
    "focal_dice": ("focal", "dice"),
    "binary_focal": ("binary_focal",),
    "binary_focal_jaccard": ("binary_focal", "jaccard"),
    "binary_focal_dice": ("binary_focal", "dice"),
    "categorical_crossentropy": ("categorical_crossentropy",),
    "cce_jaccard": ("categorical_crossentropy", "jaccard"),
    "cce_dice": ("categorical_crossentropy", "dice"),
    "categorical_focal": ("categorical_focal",),
    "categorical_focal_jaccard": ("categorical_focal", "jaccard"),
    "categorical_focal_dice": ("categorical_focal", "dice"),
}


def check_loss(name: str, classes: int | None = None) -> str:
    """Return the loss's own name, or say what is wrong with it.

    Parameters
    ----------
    name : str
        One of :data:`LOSSES`, with or without ``_loss`` at the end.
    classes : int, optional
        Output channels of the network.

    Raises
    ------
    InputError
        If there is no such loss, or it does not go with the number of classes.
    """
    known = name.removesuffix("_loss")
    if known not in LOSSES:
        near = difflib.get_close_matches(known, LOSSES, n=3, cutoff=0.5)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"Found loss {name!r}; expected one of {', '.join(LOSSES)}.{meant}")
    kinds = {_TERMS[term][1] for term in LOSSES[known]}
    if classes is not None and classes > 1 and _BINARY in kinds:
        raise InputError(
            f"Loss {name!r} is for one class against the rest; found {classes} classes. "
            "Choose cce_jaccard, cce_dice, categorical_crossentropy or a categorical_focal one."
        )
    if classes == 1 and _CATEGORICAL in kinds:
        raise InputError(
            f"Loss {name!r} is for several classes; found one. "
            "Choose bce_jaccard, bce_dice, bce or a binary_focal one."
        )
    return known


def _smooth_edges(classes: Any, valid: Any, amount: float) -> Any:
    """Give `amount` of a pixel's class to the other classes among its eight neighbours."""
    binary = classes.shape[-1] == 1
    each = ops.concatenate([1 - classes, classes], axis=-1) if binary else classes
    around = ops.average_pool(each * valid, 3, strides=1, padding="same") * (1 - each)
    total = ops.sum(around, axis=-1, keepdims=True)
    # A ninth is the least that a neighbour adds.
    edge = ops.cast(total > 0.05, "float32") * amount
    target = each * (1 - edge) + edge * around / ops.maximum(total, _EPSILON)
    return target[..., 1:] if binary else target


@keras.saving.register_keras_serializable(package="old")
class SegmentationLoss(keras.losses.Loss):  # type: ignore[misc,name-defined]
    """A loss of :data:`LOSSES` over the valid pixels of a batch; see :func:`build_loss`."""

    def __init__(
        self,
        loss: str = "bce_jaccard",
        class_weights: Sequence[float] | None = None,
        edge_smoothing: float = 0.0,
        cldice_weight: float = 0.5,
        cldice_iterations: int = 5,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.loss = check_loss(loss)
        super().__init__(name=name or self.loss, **kwargs)
        if not 0 <= edge_smoothing < 0.5:
            raise InputError(
                f"Found edge smoothing {edge_smoothing}, expected 0 (none) to below 0.5."
            )
        if cldice_iterations < 1 or cldice_weight < 0:
            raise InputError(
                f"Found clDice of {cldice_iterations} iterations and weight {cldice_weight}; "
                "expected at least 1 iteration, and a weight not below 0."
            )
        self.class_weights = _scaled(class_weights)
        self.edge_smoothing = edge_smoothing
        self.cldice_weight = cldice_weight
        self.cldice_iterations = cldice_iterations

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of labels (N, H, W, K + 1) and probabilities (N, H, W, K)."""
        probability, labels = ops.cast(y_pred, "float32"), ops.cast(y_true, "float32")
        channels = int(probability.shape[-1])
        check_loss(self.loss, channels)
        if int(labels.shape[-1]) != channels + 1:
            raise InputError(
                f"Found labels of {labels.shape[-1]} channels for predictions of {channels}; "
                f"expected {channels + 1}: one per class, then valid."
            )
        wanted = max(channels, 2)
        if self.class_weights and len(self.class_weights) != wanted:
            raise InputError(
                f"Found {len(self.class_weights)} class weights, expected {wanted}"
                f"{' (other, road)' if channels == 1 else ', one per class'}."
            )
        classes, valid = labels[..., :channels], labels[..., channels:]
        target = classes
        if self.edge_smoothing:
            target = _smooth_edges(classes, valid, self.edge_smoothing)
        batch = _Batch(
            classes, target, valid, probability, self.class_weights, self.cldice_iterations
        )
        total: Any = 0.0
        for term in LOSSES[self.loss]:
            weight = self.cldice_weight if term == "cldice" else 1.0
            total = total + weight * _TERMS[term][0](batch)
        return total

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made from."""
        return {
            **super().get_config(),
            "loss": self.loss,
            "class_weights": list(self.class_weights) or None,
            "edge_smoothing": self.edge_smoothing,
            "cldice_weight": self.cldice_weight,
            "cldice_iterations": self.cldice_iterations,
        }


def _scaled(weights: Sequence[float] | None) -> tuple[float, ...]:
    """Scale class weights to a mean of one, so that they do not change the size of a step."""
    if weights is None:
        return ()
    if not weights or min(weights) < 0 or sum(weights) <= 0:
        raise InputError(
            f"Found class weights {list(weights)}; expected one per class, none below 0 and "
            "at least one above."
        )
    return tuple(float(weight) * len(weights) / sum(weights) for weight in weights)


def build_loss(
    name: str,
    *,
    classes: int | None = None,
    class_weights: Sequence[float] | None = None,
    edge_smoothing: float = 0.0,
    cldice_weight: float = 0.5,
    cldice_iterations: int = 5,
) -> SegmentationLoss:
    """Return a loss by its name in segmentation-models.

    Parameters
    ----------
    name : str
        One of :data:`LOSSES`; ``_loss`` at the end is taken as well.
    classes : int, optional
        Output channels of the network, to be told now and not at the first step when the loss
        does not go with them.
    class_weights : sequence of float, optional
        One per class, scaled to a mean of one. For a binary network (other, road), which
        weigh in cross-entropy and focal loss only.
    edge_smoothing : float
        Cross-entropy and focal loss expect so much less than certainty of pixels beside
        another class, since drawn labels are a pixel off here and there. 0 to below 0.5.
    cldice_weight, cldice_iterations
        Of the clDice term; see :func:`cldice`.

    Returns
    -------
    SegmentationLoss
        Callable with labels (N, H, W, K + 1) and probabilities (N, H, W, K); a Keras loss that
        is saved and loaded with the model.

    Raises
    ------
    InputError
        If there is no such loss, it does not go with `classes`, or an option is out of range.
    """
    check_loss(name, classes)
    return SegmentationLoss(name, class_weights, edge_smoothing, cldice_weight, cldice_iterations)


@keras.saving.register_keras_serializable(package="old")  # type: ignore[untyped-decorator]
def bce_jaccard_loss(y_true: Any, y_pred: Any) -> Any:
    """``build_loss("bce_jaccard")`` as a plain function, which older checkpoints name."""
    return _BCE_JACCARD.call(y_true, y_pred)


_BCE_JACCARD = SegmentationLoss("bce_jaccard")
