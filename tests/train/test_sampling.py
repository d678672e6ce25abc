"""Training crops: reproducible, balanced, valid, as batches for Keras."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadgis.errors import DataError
from roadgis.train.data.data_checks import check_labels
from roadgis.train.data.holdout import hold_out
from roadgis.train.data.labelled_scene import IGNORE
from roadgis.train.data.pair_scene import open_pairs
from roadgis.train.data.sampling import CropSampler, crop_dataset, follow_epochs, one_hot
from tests.factories.pairs import ArrayScene
from tests.train.test_scenes import array_scene, write_pair


def test_crop_sampler_depends_on_seed_and_number_only() -> None:
    scenes = [array_scene(seed=0), array_scene(seed=1)]
    one = CropSampler(scenes, crop_px=32, seed=7)
    other = CropSampler(scenes, crop_px=32, seed=7, counts=check_labels(scenes))
    for number in (5, 0, 3):  # asked for in another order
        image, labels = other.crop(number)
        np.testing.assert_array_equal(one.crop(number)[0], image)
        np.testing.assert_array_equal(one.crop(number)[1], labels)
    assert any(
        not np.array_equal(one.crop(n)[0], CropSampler(scenes, crop_px=32, seed=8).crop(n)[0])
        for n in range(3)
    )


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("cache_bytes", [0, 90 * 90 * 4, 10**7])
def test_crop_sampler_does_not_depend_on_threads_and_cache(
    tmp_path: Path, cache_bytes: int
) -> None:
    for seed in range(3):
        write_pair(tmp_path, f"s{seed}", side=90, seed=seed)
    alone = CropSampler(open_pairs([tmp_path]), crop_px=32, seed=0)
    expected = [alone.crop(number) for number in range(40)]
    shared = CropSampler(open_pairs([tmp_path], cache_bytes=cache_bytes), crop_px=32, seed=0)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(shared.crop, range(40)))
    for (image, labels), (image_there, labels_there) in zip(expected, found, strict=True):
        np.testing.assert_array_equal(image, image_there)
        np.testing.assert_array_equal(labels, labels_there)


def test_crop_sampler_crops_image_and_labels_alike() -> None:
    index = np.arange(64 * 64).reshape(64, 64)
    image = np.stack([index // 256, index % 256, index * 0], axis=-1)
    sampler = CropSampler([ArrayScene("a", image, index % 2)], crop_px=20, seed=0)
    for number in range(10):
        crop, labels = sampler.crop(number)
        place = crop[..., 0].astype(int) * 256 + crop[..., 1]
        np.testing.assert_array_equal(place, place[0, 0] + index[:20, :20])
        np.testing.assert_array_equal(labels, place % 2)


def corner_scene(value: int, rest: int) -> ArrayScene:
    """Return a scene with `value` in a corner of a tenth of its side, else `rest`."""
    labels = np.full((200, 200), rest)
    labels[:20, :20] = value
    return ArrayScene("corner", np.zeros((200, 200, 3)), labels)


def test_crop_sampler_balances_rare_road() -> None:
    scene = corner_scene(1, 0)
    scene.labels[:80, :80] = 1  # large enough to find
    with_road = [
        (CropSampler([scene], crop_px=20, seed=0, road_share=0.5).crop(n)[1] == 1).mean() >= 0.5
        for n in range(60)
    ]
    as_it_comes = [
        (CropSampler([scene], crop_px=20, seed=0, road_class=None).crop(n)[1] == 1).mean() >= 0.5
        for n in range(60)
    ]
    assert 0.45 <= np.mean(with_road) <= 0.8
    assert np.mean(as_it_comes) <= 0.35


def test_crop_sampler_balances_by_the_road_class() -> None:
    scene = corner_scene(2, 1)
    scene.labels[:80, :80] = 2
    sampler = CropSampler([scene], crop_px=20, seed=0, road_share=0.5, road_class=2)
    assert np.mean([(sampler.crop(n)[1] == 2).mean() >= 0.5 for n in range(60)]) >= 0.45


def test_crop_sampler_of_scenes_without_road() -> None:
    sampler = CropSampler([ArrayScene("a", np.zeros((40, 40, 3)), np.zeros((40, 40)))],
                          crop_px=20, seed=0)  # fmt: skip
    assert all((sampler.crop(n)[1] == 0).all() for n in range(6))


def test_crop_sampler_prefers_valid_positions_and_skips_empty_scenes() -> None:
    empty = ArrayScene("empty", np.full((90, 90, 3), 9), np.full((90, 90), IGNORE))
    scene = array_scene(90)
    scene.labels[:, 50:] = IGNORE
    sampler = CropSampler([empty, scene], crop_px=32, seed=0)
    for number in range(40):
        assert (sampler.crop(number)[1] != IGNORE).mean() >= 0.5


def test_crop_sampler_takes_the_most_valid_position() -> None:
    scene = corner_scene(0, IGNORE)
    sampler = CropSampler([scene], crop_px=100, seed=0)
    assert all((sampler.crop(number)[1] != IGNORE).any() for number in range(5))


def test_crop_sampler_has_no_held_out_labels() -> None:
    labels = np.zeros((120, 120), np.uint8)
    scene = ArrayScene("a", np.zeros((120, 120, 3)), labels)
    training, validation = hold_out([scene], share=0.3, block_px=40, seed=0)
    for block in validation:
        row, col = map(int, block.name.split("@")[1].split(","))
        labels_there = np.s_[row : row + block.height, col : col + block.width]
        scene.labels[labels_there] = 1
    sampler = CropSampler(training, crop_px=50, seed=0)
    assert all(set(np.unique(sampler.crop(n)[1])) <= {0, IGNORE} for n in range(20))


def test_crop_sampler_augments_with_a_generator_per_crop() -> None:
    seen: list[float] = []

    def augment(image: Any, labels: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        seen.append(float(rng.random()))
        return 255 - image, labels[::-1]

    plain = CropSampler([array_scene()], crop_px=32, seed=1)
    changed = CropSampler([array_scene()], crop_px=32, seed=1, augment=augment)
    for number in (0, 1, 0):
        image, labels = changed.crop(number)
        np.testing.assert_array_equal(image, 255 - plain.crop(number)[0])
        np.testing.assert_array_equal(labels, plain.crop(number)[1][::-1])
    assert seen[0] == seen[2] != seen[1]


def test_crop_sampler_rejects_scenes_smaller_than_a_crop() -> None:
    with pytest.raises(DataError, match=r"1 scenes are smaller than the crop of 65 px, first s0"):
        CropSampler([array_scene()], crop_px=65, seed=0)


def test_crop_sampler_rejects_scenes_without_valid_pixels() -> None:
    empty = ArrayScene("a", np.zeros((40, 40, 3)), np.full((40, 40), IGNORE))
    with pytest.raises(DataError, match="has a valid pixel"):
        CropSampler([empty], crop_px=32, seed=0)


def test_crop_sampler_rejects_counts_of_other_scenes() -> None:
    with pytest.raises(DataError, match="label counts are of 1 scenes, the crops are of 2"):
        CropSampler([array_scene()] * 2, crop_px=9, seed=0, counts=check_labels([array_scene()]))


def test_one_hot_has_one_channel_per_class() -> None:
    labels = np.array([[0, 1, 2, IGNORE]], np.uint8)
    np.testing.assert_array_equal(
        one_hot(labels, 3), [[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]]
    )
    np.testing.assert_array_equal(one_hot(labels[:, [0, 1, 3]], 1), [[[0], [1], [0]]])


class TestCropDataset:
    @pytest.fixture(autouse=True)
    def _needs_keras(self) -> None:
        pytest.importorskip("tensorflow", reason="needs the train extra")

    def dataset(self, **options: Any) -> Any:
        settings: dict[str, Any] = {"batch": 2, "steps": 3, "mean": (0.4, 0.5, 0.6),
                                    "std": (0.2, 0.3, 0.4)}  # fmt: skip
        return crop_dataset(
            CropSampler([array_scene(48)], crop_px=32, seed=5), **settings, **options
        )

    def test_crop_dataset_scales_images(self) -> None:
        dataset = self.dataset()
        assert len(dataset) == 3
        images, labels, valid = dataset[1]
        assert images.dtype == labels.dtype == valid.dtype == np.float32
        np.testing.assert_array_equal(valid, np.ones((2, 32, 32)))
        sampler = CropSampler([array_scene(48)], crop_px=32, seed=5)
        for slot, number in enumerate((2, 3)):
            crop, classes = sampler.crop(number)
            np.testing.assert_allclose(
                images[slot], (crop / 255 - (0.4, 0.5, 0.6)) / (0.2, 0.3, 0.4), atol=1e-5
            )
            np.testing.assert_array_equal(labels[slot, ..., 0], classes == 1)

    def test_crop_dataset_has_a_channel_per_class(self) -> None:
        _, labels, valid = self.dataset(classes=3)[0]
        assert labels.shape == (2, 32, 32, 3)
        np.testing.assert_array_equal(labels.sum(axis=-1), valid)

    def test_crop_dataset_resumes_at_the_same_crops(self) -> None:
        whole = self.dataset()
        for _ in range(2):
            whole.on_epoch_end()
        np.testing.assert_array_equal(self.dataset(first_epoch=2)[0][0], whole[0][0])
        assert not np.array_equal(self.dataset()[0][0], whole[0][0])

    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    @pytest.mark.parametrize(("workers", "first"), [(1, 0), (3, 0), (3, 1)])
    def test_crop_dataset_batches_are_in_order_in_keras(self, workers: int, first: int) -> None:
        from roadgis.train.framework import import_keras

        keras = import_keras()
        reference = self.dataset()
        number_of: dict[bytes, int] = {}
        for epoch in range(3):
            number_of |= {reference[step][0].tobytes(): epoch * 3 + step for step in range(3)}
            reference.on_epoch_end()
        seen: list[int] = []

        class Look(keras.layers.Layer):  # type: ignore[misc,name-defined]
            def call(self, inputs: Any) -> Any:
                if hasattr(inputs, "numpy"):  # not the symbolic call that builds the model
                    seen.append(number_of[np.asarray(inputs).tobytes()])
                return inputs

        model = keras.Sequential([Look(), keras.layers.Conv2D(2, 1)])
        model.compile(optimizer="sgd", loss="mse", run_eagerly=True)
        dataset = self.dataset(workers=workers, first_epoch=first)
        model.fit(
            dataset, initial_epoch=first, epochs=3, shuffle=False, verbose=0,
            callbacks=[follow_epochs(dataset)],
        )  # fmt: skip
        assert seen == list(range(first * 3, 9))
