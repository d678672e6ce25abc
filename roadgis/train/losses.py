"""Losses and metrics over the valid pixels, under the names of segmentation-models.

Shapes: N crops of H by W pixels, K classes. Labels (N, H, W, K) are 0 or 1, or probabilities;
predictions (N, H, W, K) are probabilities; the sample weight (N, H, W) is 1 on valid pixels and 0
elsewhere. Binary models have K = 1, the road channel. Losses are computed in float32, whatever
the precision of the model, over the valid pixels of the whole batch.

Cross-entropy and focal loss per pixel are those of Keras. Jaccard, Dice and clDice are sums over
the batch, which Keras lacks. A smoothing term of 1 keeps all of them finite on batches without
road or without valid pixels.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from roadgis.errors import InputError
from roadgis.train.framework import import_keras

keras = import_keras()
ops = keras.ops

_EPSILON = 1e-6
_SMOOTH = 1.0
# Lin et al. 2017, and the defaults of segmentation-models.
_FOCAL = {"alpha": 0.25, "gamma": 2.0}


def valid_pixels(labels: Any, sample_weight: Any) -> Any:
    """Return the valid pixels as float32 (N, H, W, 1); all without a sample weight."""
    if sample_weight is None:
        return ops.ones_like(labels[..., :1], "float32")
    return ops.cast(ops.convert_to_tensor(sample_weight), "float32")[..., None]


@dataclass(frozen=True)
class _Batch:
    """A batch as float32: labels and probability (N, H, W, K), valid (N, H, W, 1).

    `target` is `labels` with smoothed edges; `weights` has one item per class, or none.
    """

    labels: Any
    target: Any
    valid: Any
    probability: Any
    weights: tuple[float, ...]
    iterations: int


def _valid_mean(value: Any, batch: _Batch) -> Any:
    """Mean of (N, H, W) over the valid pixels and the channels."""
    count = ops.sum(batch.valid) * batch.probability.shape[-1]
    return ops.sum(value * batch.valid[..., 0]) / (count + _SMOOTH)


def _pixel_weights(batch: _Batch) -> Any:
    """Weights of binary losses: (N, H, W), by whether the label is road."""
    if len(batch.weights) != 2:
        return 1.0
    other, road = batch.weights
    return other + (road - other) * batch.labels[..., 0]


def _bce(batch: _Batch) -> Any:
    each = keras.losses.binary_crossentropy(batch.target, batch.probability)
    return _valid_mean(each * _pixel_weights(batch), batch)


def _binary_focal(batch: _Batch) -> Any:
    each = keras.losses.binary_focal_crossentropy(
        batch.target, batch.probability, apply_class_balancing=True, **_FOCAL
    )
    return _valid_mean(each * _pixel_weights(batch), batch)


def _class_weights(batch: _Batch) -> Any:
    return ops.convert_to_tensor(batch.weights, "float32") if batch.weights else 1.0


def _categorical_crossentropy(batch: _Batch) -> Any:
    target = batch.target * _class_weights(batch)
    return _valid_mean(keras.losses.categorical_crossentropy(target, batch.probability), batch)


def _categorical_focal(batch: _Batch) -> Any:
    target = batch.target * _class_weights(batch)
    each = keras.losses.categorical_focal_crossentropy(target, batch.probability, **_FOCAL)
    return _valid_mean(each, batch)


def _focal(batch: _Batch) -> Any:
    return (_binary_focal if batch.probability.shape[-1] == 1 else _categorical_focal)(batch)


def _overlap(batch: _Batch) -> tuple[Any, Any]:
    """Return hits and the sum of both areas, per class, shape (K,)."""
    axes = (0, 1, 2)
    hit = ops.sum(batch.probability * batch.labels * batch.valid, axis=axes)
    both = ops.sum((batch.probability + batch.labels) * batch.valid, axis=axes)
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
    """Return the soft union of the ridges of the image and its erosions."""
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

    A cut road costs the same at any width, unlike with Dice and Jaccard.

    Parameters
    ----------
    road, probability, valid : tensor (N, H, W, 1)
        Float32. Invalid pixels count as other on both sides.
    iterations : int
        Erosions of the thinning: at least half the width of the widest road, in pixels.

    Returns
    -------
    tensor ()
        0 (equal lines) to 1.
    """
    road, probability = road * valid, probability * valid
    found_line = _soft_skeleton(probability, iterations)
    road_line = _soft_skeleton(road, iterations)
    precision = (ops.sum(found_line * road) + _SMOOTH) / (ops.sum(found_line) + _SMOOTH)
    recall = (ops.sum(road_line * probability) + _SMOOTH) / (ops.sum(road_line) + _SMOOTH)
    return 1 - 2 * precision * recall / (precision + recall)


def _cldice(batch: _Batch) -> Any:
    return cldice(batch.labels, batch.probability, batch.valid, iterations=batch.iterations)


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
#: Losses by name: the terms that are summed.
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
    """Return the canonical name of a loss.

    Parameters
    ----------
    name : str
        One of :data:`LOSSES`, with or without ``_loss`` at the end.
    classes : int, optional
        Output channels of the model.

    Raises
    ------
    InputError
        If the loss is unknown, or does not suit the number of classes.
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


def _smooth_edges(labels: Any, valid: Any, amount: float) -> Any:
    """Give `amount` of a pixel's class to the other classes among its eight neighbours."""
    binary = labels.shape[-1] == 1
    each = ops.concatenate([1 - labels, labels], axis=-1) if binary else labels
    around = ops.average_pool(each * valid, 3, strides=1, padding="same") * (1 - each)
    total = ops.sum(around, axis=-1, keepdims=True)
    # A neighbour adds at least a ninth.
    edge = ops.cast(total > 0.05, "float32") * amount
    target = each * (1 - edge) + edge * around / ops.maximum(total, _EPSILON)
    return target[..., 1:] if binary else target


@keras.saving.register_keras_serializable(package="roadgis")
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

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of labels and probabilities over the valid pixels."""
        labels, probability = (
            ops.cast(ops.convert_to_tensor(y), "float32") for y in (y_true, y_pred)
        )
        channels = int(probability.shape[-1])
        check_loss(self.loss, channels)
        if int(labels.shape[-1]) != channels:
            raise InputError(
                f"Found labels of {labels.shape[-1]} channels for predictions of {channels}; "
                "expected one channel per class in both."
            )
        wanted = max(channels, 2)
        if self.class_weights and len(self.class_weights) != wanted:
            raise InputError(
                f"Found {len(self.class_weights)} class weights, expected {wanted}"
                f"{' (other, road)' if channels == 1 else ', one per class'}."
            )
        valid = valid_pixels(labels, sample_weight)
        target = labels
        if self.edge_smoothing:
            target = _smooth_edges(labels, valid, self.edge_smoothing)
        batch = _Batch(
            labels, target, valid, probability, self.class_weights, self.cldice_iterations
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
    """Scale class weights to a mean of one, so that the step size does not change."""
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
        One of :data:`LOSSES`, with or without ``_loss`` at the end.
    classes : int, optional
        Output channels of the model, to detect a mismatch early.
    class_weights : sequence of float, optional
        One per class, scaled to a mean of one. Binary models: (other, road), for cross-entropy and
        focal loss only.
    edge_smoothing : float
        Label smoothing at class boundaries in cross-entropy and focal loss, 0 to below 0.5, as
        labels are a pixel off here and there.
    cldice_weight, cldice_iterations
        See :func:`cldice`.

    Returns
    -------
    SegmentationLoss
        A Keras loss, called with labels, probabilities and sample weight.

    Raises
    ------
    InputError
        If the loss is unknown, does not suit `classes`, or an option is out of range.
    """
    check_loss(name, classes)
    return SegmentationLoss(name, class_weights, edge_smoothing, cldice_weight, cldice_iterations)


@keras.saving.register_keras_serializable(package="roadgis")
class RoadIoU(keras.metrics.BinaryIoU):  # type: ignore[misc,name-defined]
    """IoU of road over the valid pixels of an epoch, at probability 0.5.

    Labels may be probabilities; output channels after the first are ignored.
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (1,),
        threshold: float = 0.5,
        name: str = "iou",
        dtype: Any = "float32",
    ) -> None:
        super().__init__(list(target_class_ids), threshold, name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch."""
        road = ops.cast(ops.convert_to_tensor(y_true)[..., :1] >= 0.5, "float32")
        return super().update_state(road, y_pred[..., :1], sample_weight)
