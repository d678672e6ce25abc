"""Metrics of training that leave invalid pixels out.

Labels are (N, H, W, K + 1): K class channels (0 or 1), then valid (0 or 1). Binary networks have
K = 1, the road channel. Metrics count over all pixels of an epoch, not crop by crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roadgis.errors import InputError
from roadgis.train.framework import import_keras

__all__ = [
    "ClassIoU",
    "MeanIoU",
    "ValidIoU",
    "ValidPrecision",
    "ValidRecall",
    "build_metrics",
]

keras = import_keras()
ops = keras.ops

_register = keras.saving.register_keras_serializable(package="roadgis")


def _road_counts(y_true: Any, y_pred: Any) -> tuple[Any, Any, Any]:
    """Count the valid pixels that are right, found and labelled, at probability 0.5."""
    labels = ops.cast(y_true, "float32")
    road, valid = labels[..., 0] * labels[..., 1], labels[..., 1]
    found = ops.cast(y_pred[..., 0] > 0.5, "float32") * valid
    return ops.sum(found * road), ops.sum(found), ops.sum(road)


@_register
class ValidIoU(keras.metrics.Metric):  # type: ignore[misc,name-defined]
    """IoU of the road class over all valid pixels of an epoch, at probability 0.5."""

    def __init__(self, name: str = "iou", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.hit = self.add_weight(name="hit", initializer="zeros")
        self.union = self.add_weight(name="union", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels (N, H, W, 2) and probabilities (N, H, W, 1)."""
        hit, found, road = _road_counts(y_true, y_pred)
        self.hit.assign_add(hit)
        self.union.assign_add(found + road - hit)

    def result(self) -> Any:
        """Return the IoU so far; 0 where there is neither road nor pixels taken for it."""
        return self.hit / ops.maximum(self.union, 1.0)


class _HitShare(keras.metrics.Metric):  # type: ignore[misc,name-defined]
    """Share of the right pixels in something."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.hit = self.add_weight(name="hit", initializer="zeros")
        self.total = self.add_weight(name="total", initializer="zeros")

    def result(self) -> Any:
        """Return the share so far; 0 where there is nothing to share."""
        return self.hit / ops.maximum(self.total, 1.0)


@_register
class ValidPrecision(_HitShare):
    """Share of the pixels taken for road that are road, at probability 0.5."""

    def __init__(self, name: str = "precision", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels (N, H, W, 2) and probabilities (N, H, W, 1)."""
        hit, found, _ = _road_counts(y_true, y_pred)
        self.hit.assign_add(hit)
        self.total.assign_add(found)


@_register
class ValidRecall(_HitShare):
    """Share of the road pixels that are found, at probability 0.5."""

    def __init__(self, name: str = "recall", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels (N, H, W, 2) and probabilities (N, H, W, 1)."""
        hit, _, road = _road_counts(y_true, y_pred)
        self.hit.assign_add(hit)
        self.total.assign_add(road)


class _ClassCounts(keras.metrics.Metric):  # type: ignore[misc,name-defined]
    """Confusion matrix of the most probable class over the valid pixels."""

    def __init__(self, classes: int, name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if classes < 2:
            raise InputError(
                f"Found a metric of {classes} classes, expected two or more. "
                "Use ValidIoU for a network with one output channel."
            )
        self.classes = classes
        self.confusion = self.add_weight(
            name="confusion", shape=(classes, classes), initializer="zeros"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels (N, H, W, K + 1) and probabilities (N, H, W, K)."""
        labels = ops.reshape(ops.cast(y_true, "float32"), (-1, self.classes + 1))
        true = labels[:, : self.classes] * labels[:, self.classes :]
        best = ops.argmax(ops.reshape(y_pred, (-1, self.classes)), axis=-1)
        found = ops.one_hot(best, self.classes, dtype="float32")
        self.confusion.assign_add(ops.matmul(ops.transpose(true), found))

    def per_class(self) -> Any:
        """Return the IoU of each class so far, shape (K,); 0 for a class that never occurs."""
        hit = ops.diagonal(self.confusion)
        return hit / ops.maximum(self._union(), 1.0)

    def _union(self) -> Any:
        rows, columns = ops.sum(self.confusion, axis=1), ops.sum(self.confusion, axis=0)
        return rows + columns - ops.diagonal(self.confusion)

    def get_config(self) -> dict[str, Any]:
        """Return what the metric is made from."""
        return {**super().get_config(), "classes": self.classes}


@_register
class MeanIoU(_ClassCounts):
    """Mean of the classes' IoU over all valid pixels of an epoch, by the most probable class.

    Classes that are neither labelled nor found so far are left out of the mean.

    Parameters
    ----------
    classes : int
        Channels of the network, at least 2.
    name : str
        In the log.
    """

    def __init__(self, classes: int, name: str = "iou", **kwargs: Any) -> None:
        super().__init__(classes, name, **kwargs)

    def result(self) -> Any:
        """Return the mean IoU so far."""
        present = ops.cast(self._union() > 0, "float32")
        return ops.sum(self.per_class() * present) / ops.maximum(ops.sum(present), 1.0)


@_register
class ClassIoU(_ClassCounts):
    """IoU of one class over all valid pixels of an epoch, by the most probable class.

    Parameters
    ----------
    index, classes : int
        The class, and how many channels the network has (at least 2).
    name : str, optional
        In the log; ``iou_INDEX`` by default.
    """

    def __init__(self, index: int, classes: int, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(classes, name or f"iou_{index}", **kwargs)
        if not 0 <= index < classes:
            raise InputError(f"Found class {index}, expected 0 to {classes - 1}.")
        self.index = index

    def result(self) -> Any:
        """Return the IoU so far."""
        return self.per_class()[self.index]

    def get_config(self) -> dict[str, Any]:
        """Return what the metric is made from."""
        return {**super().get_config(), "index": self.index}


def build_metrics(classes: Sequence[str]) -> list[Any]:
    """Return the metrics of a network with these output channels.

    Parameters
    ----------
    classes : sequence of str
        One name per channel; a single one means a binary network.

    Returns
    -------
    list of keras.metrics.Metric
        Named ``iou`` (mean IoU for several classes), then ``precision`` and ``recall``, or the
        IoU of each class as ``iou_NAME``.
    """
    if len(classes) == 1:
        return [ValidIoU(), ValidPrecision(), ValidRecall()]
    each = [ClassIoU(i, len(classes), name=f"iou_{n}") for i, n in enumerate(classes)]
    return [MeanIoU(len(classes)), *each]
