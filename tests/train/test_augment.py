"""Augmentation: reproducible, labels move with the image, errors in lists."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("albumentations", reason="needs the train extra")

from roadgis.errors import InputError
from roadgis.train.augmentation.augment import Augmentation, load_augmentation
from roadgis.train.augmentation.weather import add_clouds, add_haze, cast_shadows, smooth_field

FILL, IGNORE = 115, 255
GEOMETRIC = {
    "D4": {},
    "Affine": {"scale": [0.8, 1.25], "rotate": [-45, 45]},
    "Rotate": {"limit": [30, 40]},
    "ElasticTransform": {"alpha": 250, "sigma": 16},
    "Perspective": {"fit_output": True},
    "GridDistortion": {},
}
PHOTOMETRIC = (
    "RandomBrightnessContrast",
    "HueSaturationValue",
    "GaussNoise",
    "CastShadow",
    "Cloud",
    "Haze",
)

Bytes = npt.NDArray[np.uint8]


def pair(side: int = 96, seed: int = 0) -> tuple[Bytes, Bytes]:
    """Return bright roads on dark ground, so that the image shows the expected labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.uint8)
    labels[side // 4 : side // 4 + 9] = 1
    labels[:, side // 2 : side // 2 + 9] = 1
    image = np.where(labels[..., None] == 1, 220, 30) + rng.integers(0, 9, (side, side, 3))
    return image.astype(np.uint8), labels


def listed(entries: list[Any]) -> Augmentation:
    """Return the augmentation of a list as written into a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.yaml"
        path.write_text(yaml.safe_dump(entries))
        return load_augmentation(path)


def always(name: str, **parameters: Any) -> Augmentation:
    return listed([{name: {**parameters, "p": 1.0}}])


@pytest.fixture(scope="module")
def default() -> Augmentation:
    return load_augmentation()


def assert_pairs_equal(one: tuple[Bytes, Bytes], other: tuple[Bytes, Bytes]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31))
def test_augmentation_depends_on_the_generator_only(default: Augmentation, seed: int) -> None:
    image, labels = pair()
    before = image.copy(), labels.copy()
    first = default(image, labels, np.random.default_rng(seed))
    default(image, labels, np.random.default_rng(seed + 1))
    again = default(image, labels, np.random.default_rng(seed))
    assert_pairs_equal(first, again)
    assert_pairs_equal((image, labels), before)
    assert first[0].shape == image.shape
    assert first[0].dtype == np.uint8
    assert set(np.unique(first[1])) <= {0, 1, IGNORE}


def test_augmentation_differs_between_seeds(default: Augmentation) -> None:
    results = [default(*pair(), np.random.default_rng(seed))[0].tobytes() for seed in range(20)]
    assert len(set(results)) == 20


def test_augmentation_is_thread_safe(default: Augmentation) -> None:
    expected = [default(*pair(), np.random.default_rng(n)) for n in range(40)]
    found: dict[int, tuple[Bytes, Bytes]] = {}

    def work(first: int) -> None:
        for n in range(first, 40, 4):
            found[n] = default(*pair(), np.random.default_rng(n))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(40):
        assert_pairs_equal(expected[n], found[n])


def test_augmentation_draws_transforms_independently() -> None:
    # With one shared random number, both or none would be applied.
    both = listed([{"InvertImg": {"p": 0.5}}, {"RandomBrightnessContrast": {"p": 0.5}}])
    inverted, changed = [], []
    for seed in range(60):
        image = np.full((8, 8, 3), 60, np.uint8)
        value = int(
            both(image, np.zeros((8, 8), np.uint8), np.random.default_rng(seed))[0][0, 0, 0]
        )
        inverted.append(value > 120)
        changed.append(value not in (60, 195))
    kinds = set(zip(inverted, changed, strict=True))
    assert len(kinds) == 4


@pytest.mark.parametrize("name", GEOMETRIC)
def test_augmentation_moves_labels_with_the_image(name: str) -> None:
    augment = always(name, **GEOMETRIC[name])
    for seed in range(5):
        image, labels = augment(*pair(), np.random.default_rng(seed))
        assert set(np.unique(labels)) <= {0, 1, IGNORE}
        counts = labels != IGNORE
        bright = image[..., 0] > 125
        # At borders the image is interpolated and the label is not.
        assert (bright == (labels == 1))[counts].mean() > 0.97


@pytest.mark.parametrize("name", ["Affine", "Rotate", "ElasticTransform", "Perspective"])
def test_augmentation_fills_from_outside_with_grey_and_ignores_it(name: str) -> None:
    augment = always(name, **GEOMETRIC[name])
    image = np.full((96, 96, 3), 200, np.uint8)
    outside = 0
    for seed in range(8):
        moved, labels = augment(image, np.ones((96, 96), np.uint8), np.random.default_rng(seed))
        assert (moved[labels == IGNORE] == FILL).all()
        # Only grey is darker than the image in all bands.
        assert moved.min() >= FILL
        outside += int((labels == IGNORE).sum())
    assert outside > 0


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_augmentation_keeps_blank_pixels(name: str) -> None:
    image, labels = pair()
    image[:20], labels[:20] = FILL, IGNORE
    changed, after = always(name)(image, labels, np.random.default_rng(1))
    assert (changed[:20] == FILL).all()
    assert np.array_equal(after, labels)
    assert (changed[20:] != image[20:]).any()


def test_augmentation_changes_unlabelled_pixels_with_image() -> None:
    image, labels = pair()
    labels[:] = IGNORE
    changed, after = always("InvertImg")(image, labels, np.random.default_rng(0))
    assert np.array_equal(changed, 255 - image)
    assert (after == IGNORE).all()


def test_augmentation_accepts_read_only_crops() -> None:
    image, labels = pair()
    image[:9], labels[:9] = FILL, IGNORE
    image.flags.writeable = labels.flags.writeable = False
    result = listed([])(image, labels, np.random.default_rng(0))
    assert_pairs_equal(result, (image, labels))


def test_augmentation_rejects_labels_of_another_shape() -> None:
    image, labels = pair()
    with pytest.raises(InputError, match="expected \\(96, 96\\)"):
        load_augmentation()(image, np.dstack([labels, labels]), np.random.default_rng(0))


def test_augmentation_settings_rebuild_it(default: Augmentation) -> None:
    again = listed(default.settings)
    assert again.settings == default.settings
    for seed in range(5):
        one, other = (a(*pair(), np.random.default_rng(seed)) for a in (default, again))
        assert_pairs_equal(one, other)
    default.settings.clear()
    assert default.settings == again.settings


def test_default_augmentation_has_every_kind_of_change(default: Augmentation) -> None:
    names = {name for entry in default.settings for name in entry}
    assert names >= {"D4", "Affine", "ElasticTransform", "GaussNoise", "CastShadow", "Cloud"}


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_load_augmentation_replaces_the_default(tmp_path: Path) -> None:
    augment = load_augmentation(write(tmp_path, "- InvertImg: {p: 1}\n- HorizontalFlip: {p: 1.0}"))
    image, labels = pair()
    changed, moved = augment(image, labels, np.random.default_rng(0))
    assert np.array_equal(changed, 255 - image[:, ::-1])
    assert np.array_equal(moved, labels[:, ::-1])
    assert augment.settings == [{"InvertImg": {"p": 1}}, {"HorizontalFlip": {"p": 1.0}}]


def test_load_augmentation_supports_one_of(tmp_path: Path) -> None:
    text = "- OneOf: {p: 1.0, transforms: [InvertImg: {p: 1.0}, Haze: {opacity: 0.5, p: 1.0}]}"
    augment = load_augmentation(write(tmp_path, text))
    image, labels = pair()
    changed = [augment(image, labels, np.random.default_rng(seed))[0] for seed in range(12)]
    inverted = [np.array_equal(c, 255 - image) for c in changed]
    assert any(inverted)
    assert not all(inverted)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- D4:\n- HorizontalFlop: {p: 0.5}", "line 2: .*'HorizontalFlop'.* HorizontalFlip"),
        ("- Cloud: {coverege: 0.5}", "line 1: Cloud has no parameter 'coverege'.* coverage"),
        ("- Affine: {scale: big}", "line 1: Affine cannot be made"),
        ("- D4\n\n- CastShadow: {darkness: [0.5, 2]}", "line 3: CastShadow cannot .*darkness"),
        ("- D4: {p: 1.5}", "line 1: p of D4 is 1.5, expected"),
        ("- D4: [1]", "line 1: found .*expected one transform"),
        ("- OneOf: {p: 1.0}", "line 1: OneOf needs 'transforms'"),
        ("D4: {p: 1.0}", "line 1: found a dict, expected a list"),
        ("", "line 1: found nothing, expected a list"),
        ("- D4\n- {a: [", "line 2: is not valid YAML"),
        ("- RandomCrop: {height: 64, width: 64}", "line 1: RandomCrop makes .*keeps size"),
        ("- ToFloat: {}", "line 1: ToFloat makes float32"),
        ("- Affine: {rotate: [30, 40], fill_mask: 7}", "line 1: Affine turns the classes"),
    ],
)
def test_load_augmentation_error_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s)mine.yaml, {message}"):
        load_augmentation(write(tmp_path, text))


def test_load_augmentation_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml: cannot be read"):
        load_augmentation(tmp_path / "gone.yaml")


def test_smooth_field_fills_its_range_and_is_smooth() -> None:
    field = smooth_field((60, 90), np.random.default_rng(0), cell_px=30, octaves=2)
    assert field.shape == (60, 90)
    assert field.dtype == np.float32
    assert (field.min(), field.max()) == (0.0, 1.0)
    assert np.abs(np.diff(field, axis=0)).max() < 0.2


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (64, 64), (256, 160)])
def test_weather_works_at_any_size(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 120, np.uint8)
    for change in (add_clouds, add_haze, cast_shadows):
        assert change(image, np.random.default_rng(0)).shape == image.shape


def test_cast_shadows_only_darkens_and_is_bluish() -> None:
    image = np.full((256, 256, 3), 200, np.uint8)
    shaded = cast_shadows(image, np.random.default_rng(0), groups=10, darkness=0.5)
    deep = shaded[..., 1] < 110
    assert (shaded <= image).all()
    assert 0.005 < deep.mean() < 0.3
    assert (shaded[deep][:, 2] > shaded[deep][:, 0]).all()


def test_add_clouds_covers_the_share_and_keeps_the_ground_visible() -> None:
    rng = np.random.default_rng(0)
    image = np.where(np.arange(256)[:, None, None] % 16 < 8, 40, 120).astype(np.uint8)
    image = np.broadcast_to(image, (256, 256, 3)).copy()
    clouded = add_clouds(image, rng, coverage=0.3, opacity=0.6, shadow=0.0)
    covered = (clouded[..., 1] > image[..., 1] + 1).mean()
    assert 0.2 < covered < 0.35
    # At the maximum, four tenths of the ground's contrast remain.
    contrast = np.abs(np.diff(clouded[7:9, :, 1].astype(int), axis=0))
    assert contrast.min() >= 30
