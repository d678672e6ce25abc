"""Auxiliary output during training: road direction (after Batra et al., CVPR 2019).

A model that also predicts where each road leads has to see roads as lines, through gaps in their
visible part. The second output exists during training only: the saved model outputs the probability
alone and runs as fast as before.

Directions have no sense of travel, so they are stored as the vector of the doubled angle: (1, 0)
for roads along the rows, (-1, 0) along the columns, (0, 1) and (0, -1) for the diagonals down and
up to the right. Batra et al. choose one of 37 bins and derive the ground truth from centrelines;
here it comes from the mask, so that any training data and augmentation works.
"""

from __future__ import annotations

from typing import Any

from roadgis.errors import InputError
from roadgis.train.architectures.geometry import tensor_scales
from roadgis.train.framework import import_keras, upsample_bilinear
from roadgis.train.losses import SegmentationLoss, valid_pixels

keras = import_keras()
ops = keras.ops

_JOIN = "direction_join"
_WIDTH = 32
# Pixels. Two passes reach 8 px to each side: both edges of a road up to 16 px wide.
_WINDOW = 9
_EPSILON = 1e-6


def _mean_around(image: Any) -> Any:
    """Mean over a window that falls off towards its rim; (N, H, W, C)."""
    for _ in range(2):
        image = ops.average_pool(image, (_WINDOW, 1), strides=1, padding="same")
        image = ops.average_pool(image, (1, _WINDOW), strides=1, padding="same")
    return image


def _gradient(road: Any, valid: Any) -> tuple[Any, Any]:
    """Gradient of a mask along columns and rows (Sobel); 0 at invalid pixels and the border."""
    along = ops.convert_to_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernel = ops.stack([along, ops.transpose(along)], axis=-1)[:, :, None, :] / 8.0
    change = ops.conv(road, kernel, strides=1, padding="valid")
    known = -ops.max_pool(-valid, 3, strides=1, padding="valid")
    change = ops.pad(change * known, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return change[..., :1], change[..., 1:]


def road_directions(road: Any, valid: Any) -> tuple[Any, Any]:
    """Return the direction of the roads of a mask.

    Parameters
    ----------
    road, valid : tensor (N, H, W, 1)
        Float32, 0 or 1.

    Returns
    -------
    direction : tensor (N, H, W, 2)
        Cosine and sine of twice the angle from the row to the road, clockwise as rows grow
        downwards; unit length if `weight` is above 0.
    weight : tensor (N, H, W, 1)
        Certainty, 0 to 1: near 1 on a straight road up to 16 px wide, less at junctions, 0 off
        roads and on invalid pixels.
    """
    dx, dy = _gradient(road, valid)
    # Structure tensor: the doubled angle of the gradient is that of the road plus half a turn.
    moments = _mean_around(ops.concatenate([dx * dx, dy * dy, dx * dy], axis=-1))
    xx, yy, xy = moments[..., :1], moments[..., 1:2], moments[..., 2:]
    vector = ops.concatenate([yy - xx, -2 * xy], axis=-1)
    length = ops.sqrt(ops.sum(ops.square(vector), axis=-1, keepdims=True))
    weight = road * valid * length / (xx + yy + _EPSILON)
    return vector / ops.maximum(length, _EPSILON), weight


def direction_error(road: Any, predicted: Any, valid: Any) -> Any:
    """Mean squared error of predicted directions on the roads of a mask.

    Parameters
    ----------
    predicted : tensor (N, H, W, 2)
        As of :func:`road_directions`.

    Returns
    -------
    tensor ()
        0 if equal, 0.5 for a prediction of zeros, 2 for the opposite.
    """
    direction, weight = road_directions(road, valid)
    off = ops.sum(ops.square(predicted - direction), axis=-1, keepdims=True)
    return ops.sum(off * weight) / (2 * ops.sum(weight) + 1.0)


@keras.saving.register_keras_serializable(package="roadgis")
class DirectionLoss(keras.losses.Loss):  # type: ignore[misc,name-defined]
    """A segmentation loss plus the direction error of :func:`with_direction`.

    Parameters
    ----------
    segmentation : SegmentationLoss
        Loss of the probability.
    weight : float
        Weight of :func:`direction_error`.
    """

    def __init__(
        self,
        segmentation: SegmentationLoss,
        weight: float,
        name: str = "with_direction",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.segmentation = segmentation
        self.weight = weight

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of labels (N, H, W, 1) and predictions (N, H, W, 3)."""
        road, predicted = (ops.cast(ops.convert_to_tensor(y), "float32") for y in (y_true, y_pred))
        error = direction_error(road, predicted[..., 1:], valid_pixels(road, sample_weight))
        segmentation = self.segmentation(road, predicted[..., :1], sample_weight)
        return segmentation + self.weight * error

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made from."""
        segmentation = keras.saving.serialize_keras_object(self.segmentation)
        return {**super().get_config(), "segmentation": segmentation, "weight": self.weight}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DirectionLoss:
        """Make the loss from :meth:`get_config`."""
        segmentation = keras.saving.deserialize_keras_object(config["segmentation"])
        return cls(**{**config, "segmentation": segmentation})


def with_direction(model: Any) -> Any:
    """Return a model with two more output channels: the direction of the road.

    Both outputs use the same features.

    Parameters
    ----------
    model : keras.Model
        A model of :func:`~roadgis.train.architectures.build_model`, built or loaded, with one
        class. The result shares its layers.

    Returns
    -------
    keras.Model
        Output (N, H, W, 3): probability, then cosine and sine of twice the angle, of any length.

    Raises
    ------
    InputError
        If the model has several classes.
    """
    if model.output_shape[-1] != 1:
        raise InputError(
            f"Found a model of {model.output_shape[-1]} classes; road direction needs a single "
            "class. Leave --direction-weight out."
        )
    layers = keras.layers
    features = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)][-1].input
    scales = tensor_scales(model)
    x = layers.Conv2D(
        _WIDTH,
        3,
        padding="same",
        activation="relu",
        kernel_initializer="he_uniform",
        name="direction_conv",
    )(features)
    x = layers.Conv2D(2, 1, name="direction_vector")(x)
    scale = round(scales[id(features)] / scales[id(model.output)])
    if scale > 1:
        x = upsample_bilinear(x, scale, "direction_upsampling")
    return keras.Model(
        model.input, layers.Concatenate(dtype="float32", name=_JOIN)([model.output, x])
    )


def without_direction(model: Any) -> Any:
    """Return the model without the output of :func:`with_direction`, sharing layers and weights."""
    last = model.layers[-1]
    return keras.Model(model.input, last.input[0]) if last.name == _JOIN else model
