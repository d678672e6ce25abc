"""Encoders: segmentation-models' backbones, their feature layers, and their weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from roadgis.errors import InputError, ModelError
from roadgis.train.architectures.efficientnet_lite import (
    LITE_TAPS,
    build_lite_encoder,
    load_imagenet,
)
from roadgis.train.framework import (
    encoder_modules,
    import_keras,
    import_segmentation_models,
    load_keras_model,
    standard_activations,
)

_LITE = "efficientnetlite"


# segmentation-models finds the feature layers of these by their index in Keras 2's list of layers,
# which counted operations too. These are the same tensors by the names that
# roadgis.train.framework gives them: features at 1/16, 1/8, 1/4 and 1/2.
def _relus(*numbers: int) -> tuple[str, ...]:
    return tuple(f"encoder_activation_{number}" for number in numbers)


_TAPS: dict[str, tuple[str, ...]] = {
    "densenet121": ("pool4_conv", "pool3_conv", "pool2_conv", "conv1_relu"),
    "densenet169": ("pool4_conv", "pool3_conv", "pool2_conv", "conv1_relu"),
    "densenet201": ("pool4_conv", "pool3_conv", "pool2_conv", "conv1_relu"),
    "inceptionv3": ("mixed7", "mixed2", *_relus(5, 3)),
    "inceptionresnetv2": ("block17_20_ac", "block35_10_ac", *_relus(5, 3)),
    "seresnet50": _relus(66, 36, 16, 1),
    "seresnet101": _relus(151, 36, 16, 1),
    "seresnet152": _relus(236, 56, 16, 1),
    "seresnext50": _relus(66, 36, 16, 1),
    "seresnext101": _relus(151, 36, 16, 1),
    "senet154": _relus(238, 58, 18, 3),
}


def encoder_taps(backbone: str) -> tuple[str, ...]:
    """Return the names of the layers with features at 1/16, 1/8, 1/4 and 1/2."""
    if backbone.startswith(_LITE):
        return LITE_TAPS
    if backbone in _TAPS:
        return _TAPS[backbone]
    return tuple(import_segmentation_models().Backbones.get_feature_layers(backbone, 4))


def build_encoder(
    backbone: str,
    input_shape: tuple[int | None, ...],
    weights: str | None,
    units: tuple[int, ...] | None = None,
) -> Any:
    """Build a whole encoder without its classification layers.

    Parameters
    ----------
    backbone : str
        Name in segmentation-models.
    input_shape : tuple
        (H, W, bands); H and W None for any size.
    weights : str or None
        ``"imagenet"``, a file, or None.
    units : tuple of int, optional
        Residual units of the first stages of a ResNet with two convolutions per unit. Default: the
        encoder's own numbers.

    Returns
    -------
    keras.Model
        Its last output is at 1/32 of the resolution.
    """
    imagenet = weights == "imagenet"
    if backbone.startswith(_LITE):
        encoder = build_lite_encoder(backbone, input_shape)
        if imagenet:
            load_imagenet(encoder, backbone)
        elif weights is not None:
            _load_file(encoder, backbone, Path(weights))
        return encoder
    sm = import_segmentation_models()
    with standard_activations(), warnings.catch_warnings():
        # MobileNetV2 warns that it loads the weights for 224 px, which fit any size here.
        warnings.filterwarnings("ignore", message=".*input_shape.*")
        warnings.filterwarnings("ignore", message=".*input channels.*")
        try:
            build = _residual_encoder(units) if units else sm.Backbones.get_backbone
            encoder = build(
                backbone,
                input_shape=input_shape,
                weights="imagenet" if imagenet else None,
                include_top=False,
                **encoder_modules(),
            )
        except ValueError as error:
            if not imagenet:
                raise
            raise InputError(
                f"There are no ImageNet weights that fit {backbone} ({error}). Choose another "
                "backbone, a file of weights, or no encoder weights."
            ) from error
    if weights is not None and not imagenet:
        _load_file(encoder, backbone, Path(weights))
    return encoder


def _residual_encoder(units: tuple[int, ...]) -> Any:
    """Return the builder of a ResNet with other numbers of units; one unit in stages not given.

    Uses image-classifiers, the source of segmentation-models' encoders.
    """
    from classification_models.models import resnet

    def build(name: str, **options: Any) -> Any:
        named = resnet.MODELS_PARAMS[name]
        stages = len(named.repetitions)
        repetitions = (*units, *(1,) * stages)[:stages]
        return resnet.ResNet(named._replace(repetitions=repetitions), **options)

    return build


def cut_encoder(encoder: Any, backbone: str, depth: int) -> tuple[Any, tuple[str, ...]]:
    """Cut an encoder at `depth`; also return the names of the skip layers, deepest first."""
    taps = encoder_taps(backbone)
    skips = taps[5 - depth :]
    output = encoder.output if depth == 5 else encoder.get_layer(taps[4 - depth]).output
    return import_keras().Model(encoder.input, output), skips


def _load_file(encoder: Any, backbone: str, path: Path) -> None:
    """Load encoder weights by layer name from a model file, or from a Keras weights file."""
    if not path.is_file():
        raise InputError(
            f"Found no file of encoder weights {path}; expected 'imagenet' or a .keras, "
            ".weights.h5 or .h5 file."
        )
    if path.suffix == ".keras":
        copy_weights_by_name(load_keras_model(path), encoder.layers, path)
        return
    if path.suffix != ".h5":
        raise InputError(f"{path}: expected encoder weights in a .keras, .weights.h5 or .h5 file.")
    try:
        with warnings.catch_warnings():
            # The list of operations holds no weights and is missing in older files. A layer
            # without weights is still an error.
            warnings.filterwarnings("ignore", message="Skipping nested container at '_operations")
            encoder.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise ModelError(
            f"{path}: its weights do not fit the encoder {backbone} ({error}). Expected the "
            f"weights of {backbone} without its classification layers; weights of a whole "
            "segmentation model are taken from its .keras file."
        ) from error


def copy_weights_by_name(source: Any, layers: list[Any], path: Path) -> None:
    """Copy weights into `layers` from the layers of the same name in a model.

    Raises
    ------
    ModelError
        If a layer is missing in `source` or has other shapes; nothing is copied then.
    """
    found = {layer.name: layer for layer in source.layers}
    wanted = [layer for layer in layers if layer.weights]
    wrong = []
    for layer in wanted:
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if layer.name not in found:
            wrong.append(f"{layer.name} is missing")
        elif [tuple(weight.shape) for weight in found[layer.name].weights] != shapes:
            wrong.append(f"{layer.name} has other shapes than {shapes}")
    if wrong:
        raise ModelError(
            f"{path}: its weights do not fit the encoder: of {len(wanted)} layers {len(wrong)} do "
            f"not ({'; '.join(wrong[:3])}{'; ...' if len(wrong) > 3 else ''}). Expected a model on "
            "the same encoder, of the same depth or deeper, with the same bands."
        )
    for layer in wanted:
        layer.set_weights(found[layer.name].get_weights())
