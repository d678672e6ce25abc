"""Loss and metric that leave invalid pixels out.

Labels are (N, H, W, 2): channel 0 is road (0 or 1), channel 1 is valid (0 or 1).
"""

from __future__ import annotations

from typing import Any

from roadgis.train.framework import import_keras

__all__ = ["ValidIoU", "bce_jaccard_loss"]

keras = import_keras()
ops = keras.ops


@keras.saving.register_keras_serializable(package="roadgis")  # type: ignore[untyped-decorator]
def bce_jaccard_loss(y_true: Any, y_pred: Any) -> Any:
    """Binary cross-entropy plus Jaccard loss over the valid pixels of a batch.

    The sum that segmentation-models calls ``bce_jaccard_loss``, with weights of zero for
    invalid pixels.

    Parameters
    ----------
    y_true : tensor (N, H, W, 2)
        Road and valid.
    y_pred : tensor (N, H, W, 1)
        Probability of road.

    Returns
    -------
    tensor ()
        The loss.
    """
    road, valid = y_true[..., 0], y_true[..., 1]
    probability = ops.clip(y_pred[..., 0], 1e-6, 1 - 1e-6)
    entropy = -(road * ops.log(probability) + (1 - road) * ops.log(1 - probability))
    bce = ops.sum(entropy * valid) / (ops.sum(valid) + 1.0)
    hit = ops.sum(probability * road * valid)
    union = ops.sum((probability + road) * valid) - hit
    return bce + 1 - (hit + 1.0) / (union + 1.0)


@keras.saving.register_keras_serializable(package="roadgis")
class ValidIoU(keras.metrics.Metric):  # type: ignore[misc,name-defined]
    """IoU of the road class over all valid pixels of an epoch, at probability 0.5."""

    def __init__(self, name: str = "iou", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.hit = self.add_weight(name="hit", initializer="zeros")
        self.union = self.add_weight(name="union", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels (N, H, W, 2) and probabilities (N, H, W, 1)."""
        road, valid = y_true[..., 0], y_true[..., 1]
        found = ops.cast(y_pred[..., 0] > 0.5, road.dtype)
        hit = ops.sum(found * road * valid)
        self.hit.assign_add(hit)
        self.union.assign_add(ops.sum((found + road) * valid) - hit)

    def result(self) -> Any:
        """Return the IoU so far."""
        return self.hit / ops.maximum(self.union, 1.0)
