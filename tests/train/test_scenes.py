"""Training scenes from folders: pairs, rejected files, collars, hold-out."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from scipy import ndimage

from roadgis.errors import DataError, InputError, ReadError
from roadgis.imagery.dataset_pool import Handles
from roadgis.train.data.cache import CacheBudget, CachedScene
from roadgis.train.data.data_checks import check_labels, count_labels
from roadgis.train.data.holdout import hold_out
from roadgis.train.data.labelled_scene import FILL, IGNORE, LabelledScene, read_windows
from roadgis.train.data.pair_scene import PairScene, open_pairs
from roadgis.train.data.pairs import find_pairs, find_splits
from roadgis.train.data.training_data import scenes_fingerprint
from tests.factories.pairs import ArrayScene
from tests.factories.rasters import write_image

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def array_scene(side: int = 64, seed: int = 0, name: str = "") -> ArrayScene:
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.uint8)
    labels[side // 2 - 4 : side // 2 + 4] = 1
    return ArrayScene(name or f"s{seed}", rng.integers(0, 256, (side, side, 3)), labels)


def noise(side: int = 40, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(10, 240, (3, side, side), np.uint8)


def road(side: int = 40, value: int = 1) -> npt.NDArray[np.uint8]:
    mask = np.zeros((1, side, side), np.uint8)
    mask[:, side // 2 - 3 : side // 2 + 3] = value
    return mask


def write_pair(folder: Path, stem: str, side: int = 40, seed: int = 0) -> tuple[Path, Path]:
    return (
        write_image(folder / "images" / f"{stem}.tif", noise(side, seed)),
        write_image(folder / "masks" / f"{stem}.tif", road(side)),
    )


def read_all(scene: LabelledScene) -> tuple[Any, Any]:
    return scene.read(0, 0, scene.height, scene.width)


def only(folder: Path, **options: Any) -> LabelledScene:
    (scene,) = open_pairs([folder], **options)
    return scene


class TestFindPairs:
    def test_find_pairs_matches_stems_in_order(self, tmp_path: Path) -> None:
        for stem in ("b", "a", "c"):
            write_pair(tmp_path, stem)
        (tmp_path / "images" / "notes.txt").write_text("no image")
        found = find_pairs(tmp_path)
        assert [(p.name, p.image.stem, p.mask.stem) for p in found] == [(s, s, s) for s in "abc"]
        assert [s.name for s in open_pairs([tmp_path])] == ["a", "b", "c"]

    def test_open_pairs_of_several_folders_keeps_their_order(self, tmp_path: Path) -> None:
        write_pair(tmp_path / "2", "a")
        write_pair(tmp_path / "1", "b")
        assert [s.name for s in open_pairs([tmp_path / "2", tmp_path / "1"])] == ["a", "b"]

    def test_find_pairs_of_massachusetts_matches_tiff_with_tif(self, tmp_path: Path) -> None:
        for split in ("train", "valid"):
            image = write_image(tmp_path / split / "sat" / "10_15.tiff", noise())
            mask = write_image(tmp_path / split / "map" / "10_15.tif", road())
            (pair,) = find_pairs(tmp_path / split)
            assert (pair.image, pair.mask) == (image, mask)
        assert find_splits(tmp_path) == {"train": tmp_path / "train", "valid": tmp_path / "valid"}

    def test_find_pairs_matches_a_folder_with_its_labels_folder(self, tmp_path: Path) -> None:
        image = write_image(tmp_path / "tiff" / "train" / "a.png", noise())
        mask = write_image(tmp_path / "tiff" / "train_labels" / "a.png", road(value=255))
        (pair,) = find_pairs(tmp_path / "tiff" / "train")
        assert (pair.image, pair.mask) == (image, mask)
        assert find_splits(tmp_path / "tiff") == {"train": tmp_path / "tiff" / "train"}

    @pytest.mark.parametrize("ending", ["_sat", ""])
    def test_find_pairs_of_deepglobe_in_one_folder(self, tmp_path: Path, ending: str) -> None:
        for number in ("12", "3"):
            write_image(tmp_path / "train" / f"{number}{ending}.png", noise())
            write_image(tmp_path / "train" / f"{number}_mask.png", road(value=255))
        (tmp_path / "train" / "._3_sat.png").write_bytes(b"AppleDouble")
        found = find_pairs(tmp_path / "train")
        assert [(p.name, p.image.name, p.mask.name) for p in found] == [
            (number, f"{number}{ending}.png", f"{number}_mask.png") for number in ("12", "3")
        ]
        assert find_splits(tmp_path) == {"train": tmp_path / "train"}
        assert check_labels(open_pairs([tmp_path / "train"])).class_px == (2 * 34 * 40, 2 * 6 * 40)

    def test_find_pairs_names_a_deepglobe_image_without_mask(self, tmp_path: Path) -> None:
        for name in ("1_sat", "1_mask", "2_sat"):
            write_image(tmp_path / f"{name}.png", road())
        with pytest.raises(DataError, match=r"1 images without a mask.*\['2'\].*1_mask\.png"):
            find_pairs(tmp_path)

    @pytest.mark.parametrize("ending", ["", "_gtFine_polygons", "_gtFine_labelIds", "_mask"])
    def test_find_pairs_of_street_scenes_by_folder_and_name(
        self, tmp_path: Path, ending: str
    ) -> None:
        for city in ("0", "1"):  # in IDD names repeat in other folders
            write_image(tmp_path / "leftImg8bit/train" / city / "7_leftImg8bit.png", noise())
            write_image(tmp_path / "masks/train" / city / f"7{ending}.png", road())
        write_image(tmp_path / "leftImg8bit/val/2/8_leftImg8bit.png", noise())
        write_image(tmp_path / "masks/val/2/8.png", road())
        whole = find_pairs(tmp_path)
        assert [p.name for p in whole] == ["train/0/7", "train/1/7", "val/2/8"]
        assert all(p.image.parent.name == p.mask.parent.name for p in whole)
        splits = find_splits(tmp_path)
        assert splits["valid"] == tmp_path / "leftImg8bit/val"
        assert [p.name for p in find_pairs(splits["train"])] == ["0/7", "1/7"]

    def test_find_pairs_of_street_scenes_without_masks_names_the_command(
        self, tmp_path: Path
    ) -> None:
        write_image(tmp_path / "leftImg8bit/train/0/7_leftImg8bit.png", noise())
        with pytest.raises(DataError, match=r"roadgis labels .*gtFine -o .*masks"):
            find_pairs(tmp_path)
        (tmp_path / "masks").mkdir()
        with pytest.raises(DataError, match=r"expected the folder .*masks.train"):
            find_pairs(tmp_path / "leftImg8bit" / "train")

    @pytest.mark.parametrize(
        ("gone", "said"),
        [("images", "no folder of images.*images or sat"), ("masks", "no folder of masks")],
    )
    def test_find_pairs_names_a_missing_subfolder(
        self, tmp_path: Path, gone: str, said: str
    ) -> None:
        for path in write_pair(tmp_path, "a"):
            if path.parent.name == gone:
                path.unlink()
                path.parent.rmdir()
        with pytest.raises(DataError, match=said):
            find_pairs(tmp_path)

    def test_find_pairs_names_the_splits(self, tmp_path: Path) -> None:
        write_pair(tmp_path / "train", "a")
        with pytest.raises(DataError, match=r"one of its parts in its place: .*train\."):
            find_pairs(tmp_path)

    def test_find_pairs_names_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="nowhere"):
            find_pairs(tmp_path / "nowhere")

    def test_find_pairs_rejects_a_folder_without_images(self, tmp_path: Path) -> None:
        for path in write_pair(tmp_path, "a"):
            path.rename(path.with_suffix(".txt"))
        with pytest.raises(DataError, match="found no image file"):
            find_pairs(tmp_path)

    def test_find_pairs_counts_images_without_masks(self, tmp_path: Path) -> None:
        for stem in ("a", "b", "c"):
            write_pair(tmp_path, stem)
        (tmp_path / "masks" / "b.tif").unlink()
        with pytest.raises(DataError, match=r"1 files have no partner.*1 images without.*\['b'\]"):
            find_pairs(tmp_path)

    def test_find_pairs_rejects_two_files_of_one_name(self, tmp_path: Path) -> None:
        image, _ = write_pair(tmp_path, "a")
        image.with_name("a_mask.png").write_bytes(image.read_bytes())
        with pytest.raises(DataError, match=r"found both a\.tif and a_mask\.png"):
            find_pairs(tmp_path)

    def test_open_pairs_rejects_an_empty_list(self) -> None:
        with pytest.raises(DataError, match="Give at least one"):
            open_pairs([])


class TestPairScene:
    def test_pair_scene_reads_image_and_labels(self, tmp_path: Path) -> None:
        write_pair(tmp_path, "a", seed=3)
        image, labels = read_all(only(tmp_path))
        np.testing.assert_array_equal(image, np.moveaxis(noise(seed=3), 0, -1))
        np.testing.assert_array_equal(labels, road()[0])

    @pytest.mark.parametrize("value", [1, 2, 255])
    def test_pair_scene_takes_any_value_but_zero_as_road(self, tmp_path: Path, value: int) -> None:
        _, mask = write_pair(tmp_path, "a")
        write_image(mask, road(value=value))
        np.testing.assert_array_equal(read_all(only(tmp_path))[1], road()[0])

    def test_pair_scene_reads_grey_colour_masks(self, tmp_path: Path) -> None:
        _, mask = write_pair(tmp_path, "a")
        write_image(mask, np.repeat(road(value=255), 3, axis=0))
        np.testing.assert_array_equal(read_all(only(tmp_path))[1], road()[0])

    def test_pair_scene_keeps_class_indices(self, tmp_path: Path) -> None:
        _, mask = write_pair(tmp_path, "a")
        content = np.resize(np.array([0, 1, 2, IGNORE], np.uint8), (1, 40, 40))
        write_image(mask, content, colormap={1: (128, 64, 128, 255)})
        scene = only(tmp_path, classes=("other", "road", "sidewalk"))
        np.testing.assert_array_equal(read_all(scene)[1], content[0])

    def test_pair_scene_rejects_a_mask_of_another_size(self, tmp_path: Path) -> None:
        _, mask = write_pair(tmp_path, "a")
        write_image(mask, np.zeros((1, 30, 40), np.uint8))
        with pytest.raises(DataError, match="40 x 30 px, its image 40 x 40 px"):
            open_pairs([tmp_path])

    @pytest.mark.parametrize(
        ("values", "classes", "said"),
        [
            ((0, 1, 2), ("road",), r"a\.tif: found mask values \[0, 1, 2\]; expected 0 and one"),
            ((3, 255), ("road",), r"found mask values \[3, 255\]"),
            ((0, 3, 255), ("other", "road", "car"), r"values \[0, 3, 255\]; expected .*0 to 2"),
        ],
    )
    def test_pair_scene_names_unexpected_mask_values(
        self, tmp_path: Path, values: tuple[int, ...], classes: tuple[str, ...], said: str
    ) -> None:
        _, mask = write_pair(tmp_path, "a")
        write_image(mask, np.resize(np.array(values, np.uint8), (1, 40, 40)))
        with pytest.raises(DataError, match=said):
            check_labels(open_pairs([tmp_path], classes=classes), classes)
        with pytest.raises(DataError, match=said):
            open_pairs([tmp_path], classes=classes, cache_bytes=0)[0].read_labels(0, 0, 1, 1)

    def test_pair_scene_rejects_colour_masks(self, tmp_path: Path) -> None:
        _, mask = write_pair(tmp_path, "a")
        write_image(mask, np.concatenate([road(value=255), road() * 0, road() * 0]))
        with pytest.raises(DataError, match="picture in colours"):
            check_labels(open_pairs([tmp_path]))

    def test_pair_scene_rejects_float_masks(self, tmp_path: Path) -> None:
        _, mask = write_pair(tmp_path, "a")
        write_image(mask, road().astype(np.float32))
        with pytest.raises(DataError, match=r"a\.tif: the mask is float32"):
            open_pairs([tmp_path])

    def test_pair_scene_rejects_16_bit_images(self, tmp_path: Path) -> None:
        image, _ = write_pair(tmp_path, "a")
        write_image(image, noise().astype(np.uint16))
        with pytest.raises(DataError, match=r"is uint16.*--images with --labels"):
            open_pairs([tmp_path])

    def test_pair_scene_rejects_two_bands(self, tmp_path: Path) -> None:
        image, _ = write_pair(tmp_path, "a")
        write_image(image, noise()[:2])
        with pytest.raises(DataError, match="found 2 bands of colour"):
            open_pairs([tmp_path])

    def test_pair_scene_reads_grey_and_alpha(self, tmp_path: Path) -> None:
        image, _ = write_pair(tmp_path, "a")
        alpha = np.full((40, 40), 255, np.uint8)
        alpha[:5] = 0
        write_image(
            image, np.stack([noise()[0], alpha]), colorinterp=[ColorInterp.gray, ColorInterp.alpha]
        )
        values, labels = read_all(only(tmp_path))
        assert (values[:5] == FILL).all()
        assert (labels[:5] == IGNORE).all()
        np.testing.assert_array_equal(values[5:], np.stack([noise()[0, 5:]] * 3, axis=-1))
        np.testing.assert_array_equal(labels[5:], road()[0, 5:])

    def test_pair_scene_reads_palettes(self, tmp_path: Path) -> None:
        image, _ = write_pair(tmp_path, "a")
        write_image(image, road(), colormap={0: (10, 20, 30, 255), 1: (40, 50, 60, 255)})
        values = read_all(only(tmp_path))[0]
        assert values[0, 0].tolist() == [10, 20, 30]
        assert values[20, 0].tolist() == [40, 50, 60]

    def test_pair_scene_ignores_a_fourth_band(self, tmp_path: Path) -> None:
        image, _ = write_pair(tmp_path, "a")
        write_image(image, np.concatenate([noise(), noise()[:1]]), photometric="MINISBLACK")
        np.testing.assert_array_equal(read_all(only(tmp_path))[0], np.moveaxis(noise(), 0, -1))

    @pytest.mark.parametrize("cache_bytes", [0, 10**6])
    def test_pair_scene_fills_masked_pixels(self, tmp_path: Path, cache_bytes: int) -> None:
        image, _ = write_pair(tmp_path, "a")
        valid = np.full((40, 40), 255, np.uint8)
        valid[:, :12] = 0
        # White content: a file that declares invalid pixels is not searched for collars.
        write_image(image, np.full((3, 40, 40), 255, np.uint8), valid)
        scene = only(tmp_path, cache_bytes=cache_bytes)
        values, labels = read_all(scene)
        assert (values[:, :12] == FILL).all()
        assert (values[:, 12:] == 255).all()
        np.testing.assert_array_equal(labels != IGNORE, valid > 0)
        np.testing.assert_array_equal(scene.read_labels(3, 5, 30, 20), labels[3:33, 5:25])

    def test_pair_scene_nodata_of_the_image_is_invalid(self, tmp_path: Path) -> None:
        image, mask = write_pair(tmp_path, "a")
        bands = noise()
        bands[:, 4, 7] = 0
        write_image(image, bands, nodata=0)
        write_image(mask, road(), nodata=0)
        expected = road()[0]
        expected[4, 7] = IGNORE
        np.testing.assert_array_equal(read_all(only(tmp_path))[1], expected)

    @pytest.mark.parametrize(("value", "roof"), [(255, 255), (0, 0)])
    def test_pair_scene_finds_collars_but_not_roofs(
        self, tmp_path: Path, value: int, roof: int
    ) -> None:
        image, _ = write_pair(tmp_path, "a", side=80)
        bands = np.full((3, 80, 80), 80, np.uint8)
        bands[:, :, :20] = value  # outside the flight
        bands[:, 40:46, 50:60] = roof
        write_image(image, bands)
        labels = read_all(only(tmp_path))[1]
        assert (labels[:, :20] == IGNORE).all()
        assert (labels[:, 20:] != IGNORE).all()

    def test_open_pairs_names_files_that_are_not_images(self, tmp_path: Path) -> None:
        for number, spoilt in enumerate((0, 1)):
            pair = write_pair(tmp_path / str(number), "a")
            pair[spoilt].write_bytes(b"no image")
            with pytest.raises(DataError, match=r"a\.tif: cannot be read as an image"):
                open_pairs([tmp_path / str(number)])

    def test_pair_scene_names_truncated_files(self, tmp_path: Path) -> None:
        image, _ = write_pair(tmp_path, "a", side=200)
        scene = only(tmp_path)
        with open(image, "r+b") as file:
            file.truncate(3000)
        with pytest.raises(ReadError, match=r"a\.tif: the file is not whole"):
            only(tmp_path)
        with pytest.raises(ReadError, match=r"a\.tif: reading rows 0\.\.199 failed"):
            read_all(scene)


COLLARS = st.fixed_dictionaries(
    {
        "height": st.integers(16, 70),
        "width": st.integers(16, 70),
        "seed": st.integers(0, 99),
        "white": st.integers(0, 40),
        "black": st.integers(0, 40),
        "size": st.integers(8, 30),
    }
)


@given(COLLARS, st.data())
@settings(max_examples=40)
def test_pair_scene_windows_with_collars_equal_parts_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, made: dict[str, int], data: st.DataObject
) -> None:
    height, width, size = made["height"], made["width"], made["size"]
    rng = np.random.default_rng(made["seed"])
    bands = rng.integers(10, 240, (3, height, width), np.uint8)
    for value, place in ((255, made["white"]), (1, made["black"])):
        bands[:, place : place + size, max(place - 10, 0) : place + size] = value
        bands[:, :: max(place, 1), -size:] = value
    folder = tmp_path_factory.mktemp("window")
    image = write_image(folder / "a.tif", bands)
    mask = write_image(folder / "m.tif", (rng.random((1, height, width)) < 0.2).astype(np.uint8))
    pair = PairScene("a", image, mask, classes=("road",), handles=Handles())
    rows = sorted(data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, height - 1))))
    cols = sorted(data.draw(st.tuples(st.integers(0, width - 1), st.integers(0, width - 1))))
    row, col = rows[0], cols[0]
    window = (row, col, rows[1] - row + 1, cols[1] - col + 1)
    part = np.s_[row : rows[1] + 1, col : cols[1] + 1]

    values = np.moveaxis(bands, 0, -1)
    blank = np.zeros((height, width), bool)  # the definition, on the whole image
    for plain in ((values >= 253).all(axis=2), (values <= 2).all(axis=2)):
        if plain.mean() > 0.001:
            blank |= ndimage.grey_opening(plain.astype(np.uint8), (15, 15)) > 0
    with rasterio.open(mask) as dataset:
        labels = np.where(blank, IGNORE, dataset.read(1))
    values = np.where(blank[..., None], FILL, values)

    for scene in (pair, CachedScene(pair, CacheBudget(10**6))):
        found = scene.read(*window)
        np.testing.assert_array_equal(found[0], values[part])
        np.testing.assert_array_equal(found[1], labels[part])
        np.testing.assert_array_equal(scene.read_labels(*window), labels[part])


class TestMemory:
    def test_cached_scene_reads_once_if_it_fits(self) -> None:
        memory = CacheBudget(64 * 64 * 4)
        first, second = array_scene(seed=0), array_scene(seed=1)
        cached = [CachedScene(scene, memory) for scene in (first, second)]
        for _ in range(3):
            for scene, source in zip(cached, (first, second), strict=True):
                image, labels = scene.read(3, 5, 20, 30)
                np.testing.assert_array_equal(image, source.image[3:23, 5:35])
                np.testing.assert_array_equal(labels, source.labels[3:23, 5:35])
        assert (first.reads, second.reads) == (1, 3)

    def test_cached_scene_returns_copies(self) -> None:
        cached = CachedScene(array_scene(), CacheBudget())
        image, labels = cached.read(0, 0, 64, 64)
        before = labels.copy()
        image[:], labels[:] = 7, 7
        np.testing.assert_array_equal(cached.read_labels(0, 0, 64, 64), before)

    def test_cached_scene_caches_blocks_up_to_the_budget(self) -> None:
        rng = np.random.default_rng(0)
        shape = (2100, 2100)
        source = ArrayScene("a", rng.integers(0, 9, (*shape, 3)), rng.integers(0, 2, shape))
        cached = CachedScene(source, CacheBudget(4 * 1024 * 1024 * 4))
        for window in ((1000, 1000, 100, 100), (1020, 10, 9, 9), (1000, 2000, 100, 100)) * 2:
            row, col, height, width = window
            image, labels = cached.read(*window)
            part = np.s_[row : row + height, col : col + width]
            np.testing.assert_array_equal(image, source.image[part])
            np.testing.assert_array_equal(labels, source.labels[part])
        # Four blocks for the first scene, none for the second, and no room for the third.
        assert source.reads == 4 + 2


@given(st.integers(1, 2100), st.integers(1, 20000))
@settings(max_examples=20)
def test_read_windows_cover_a_raster_once(height: int, width: int) -> None:
    seen = sum(w.height * w.width for w in read_windows(height, width))
    assert seen == height * width
    ends = [(w.row + w.height, w.col + w.width) for w in read_windows(height, width)]
    assert max(ends) == (height, width)


class TestSurvey:
    def test_check_labels_counts_valid_pixels_by_class(self, tmp_path: Path) -> None:
        write_pair(tmp_path, "a")
        image, _ = write_pair(tmp_path, "b", side=50)
        valid = np.full((50, 50), 255, np.uint8)
        valid[:, 25:] = 0
        write_image(image, noise(50), valid)
        said: list[float] = []
        found = check_labels(
            open_pairs([tmp_path]), crop_px=40, progress=lambda f, _: said.append(f)
        )
        assert found.classes == ("other", "road")
        assert [s.class_px for s in found.scenes] == [(34 * 40, 6 * 40), (44 * 25, 6 * 25)]
        assert found.scenes[1].valid_px == 50 * 25
        assert found.class_px == (34 * 40 + 44 * 25, 6 * 40 + 6 * 25)
        assert found.valid_share == (40 * 40 + 50 * 25) / (40 * 40 + 50 * 50)
        assert str(found) == "2 scenes, 0.0 million valid pixels (70%): 13.7% road"
        assert said == [0.5, 1.0]

    def test_check_labels_names_scenes_smaller_than_a_crop(self) -> None:
        scenes = [array_scene(64), array_scene(40, name="little")]
        with pytest.raises(DataError, match=r"1 scenes .* crop of 64 px, first little \(40 x 40"):
            check_labels(scenes, crop_px=64)

    def test_check_labels_rejects_empty_data(self) -> None:
        with pytest.raises(DataError, match="no labelled scenes"):
            check_labels([])
        empty = ArrayScene("a", np.zeros((8, 8, 3)), np.full((8, 8), IGNORE))
        with pytest.raises(DataError, match="has a valid pixel"):
            check_labels([empty])

    def test_check_labels_rejects_data_without_road(self, caplog: pytest.LogCaptureFixture) -> None:
        bare = ArrayScene("bare", np.zeros((8, 8, 3)), np.zeros((8, 8)))
        with pytest.raises(DataError, match=r"None of the 64 valid pixels of 1 scenes .* road"):
            check_labels([bare])
        check_labels([bare, array_scene()])
        assert "1 of 2 scenes have no pixel labelled road, first bare." in caplog.text

    def test_check_labels_warns_of_inverted_masks(self, caplog: pytest.LogCaptureFixture) -> None:
        labels = np.ones((10, 10))
        labels[:4, 0] = 0
        check_labels([array_scene(), ArrayScene("turned", np.zeros((10, 10, 3)), labels)])
        assert (
            "In 1 of 2 scenes more than 60 % of the valid pixels are labelled road" in caplog.text
        )
        assert "first turned (96%)" in caplog.text
        assert "probably inverted" in caplog.text

    def test_check_labels_accepts_usual_shares_of_road(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        check_labels([array_scene()])
        assert "inverted" not in caplog.text

    def test_check_labels_warns_of_absent_classes(self, caplog: pytest.LogCaptureFixture) -> None:
        check_labels([array_scene()], ("other", "road", "car"))
        assert "No pixel is labelled car" in caplog.text

    def test_check_labels_rejects_labels_beyond_the_classes(self) -> None:
        with pytest.raises(DataError, match=r"s0: found labels \[7\]; expected .* 0 to 1"):
            check_labels([ArrayScene("s0", np.zeros((8, 8, 3)), np.full((8, 8), 7))])


@given(st.data(), st.integers(1, 150), st.integers(1, 150), st.integers(0, 9))
def test_scene_counts_bounds_enclose_the_count(
    data: st.DataObject, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((height, width)) < 0.3, IGNORE, rng.random((height, width)) < 0.5)
    (look,) = count_labels([ArrayScene("a", np.zeros((height, width, 3)), labels)], 2, 1)
    side = data.draw(st.integers(1, min(height, width)))
    row = data.draw(st.integers(0, height - side))
    col = data.draw(st.integers(0, width - side))
    part = labels[row : row + side, col : col + side]
    for what, count in ((0, (part != IGNORE).sum()), (1, (part == 1).sum())):
        low, high = look.bounds(what, row, col, side)
        assert low <= count <= high
        if (row, col) == (0, 0) and side % 32 == 0:
            assert low == count == high


def scene_sizes() -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(st.integers(5, 60), st.integers(5, 60)), min_size=1, max_size=4)


class TestHoldOut:
    @given(scene_sizes(), st.floats(0.05, 0.6), st.integers(5, 30), st.integers(0, 9))
    def test_hold_out_splits_labels_without_overlap(
        self, sizes: list[tuple[int, int]], share: float, block_px: int, seed: int
    ) -> None:
        scenes = [
            ArrayScene(f"s{i}", np.zeros((*size, 3)), np.full(size, i))
            for i, size in enumerate(sizes)
        ]
        try:
            training, validation = hold_out(scenes, share=share, block_px=block_px, seed=seed)
        except DataError:
            return  # a single block
        seen = {scene.name: np.zeros(scene.labels.shape, int) for scene in scenes}
        for scene in training:
            image, labels = read_all(scene)
            assert image.shape == (scene.height, scene.width, 3)
            np.testing.assert_array_equal(scene.read_labels(0, 0, *labels.shape), labels)
            seen[scene.name] += labels != IGNORE
            middle = (scene.height // 2, scene.width // 2)
            np.testing.assert_array_equal(
                scene.read_labels(*middle, 2, 2), labels[middle[0] :, middle[1] :][:2, :2]
            )
        assert validation
        for block in validation:
            name, _, place = block.name.partition("@")
            row, col = map(int, place.split(","))
            labels = read_all(block)[1]
            assert (labels == int(name[1:])).all()
            seen[name][row : row + block.height, col : col + block.width] += 1
        assert all((count == 1).all() for count in seen.values())

    def test_hold_out_depends_on_the_seed(self) -> None:
        scenes = [array_scene(200, seed=i) for i in range(3)]
        names = [
            [b.name for b in hold_out(scenes, share=0.2, block_px=50, seed=seed)[1]]
            for seed in (1, 1, 2)
        ]
        assert names[0] == names[1] != names[2]
        assert len(names[0]) == round(0.2 * 48)

    def test_hold_out_of_equal_names_is_equal(self) -> None:
        # As with two flights over one place: blocks held out in one must not train in the other.
        scenes = [array_scene(200, seed=i, name="place") for i in range(2)]
        training, _ = hold_out(scenes, share=0.3, block_px=50, seed=0)
        labels = [scene.read_labels(0, 0, 200, 200) for scene in training]
        np.testing.assert_array_equal(labels[0], labels[1])

    def test_hold_out_drops_scenes_held_out_as_a_whole(self) -> None:
        scenes = [array_scene(40, seed=i) for i in range(10)]
        training, validation = hold_out(scenes, share=0.3, block_px=40, seed=0)
        assert len(training) == 7
        assert {s.name for s in training}.isdisjoint(b.name.split("@")[0] for b in validation)

    def test_hold_out_of_share_0_changes_nothing(self) -> None:
        scenes = [array_scene()]
        assert hold_out(scenes, share=0, block_px=9, seed=0) == (scenes, [])

    def test_hold_out_rejects_holding_out_everything(self) -> None:
        with pytest.raises(DataError, match="All of the 1 blocks of 1 scenes"):
            hold_out([array_scene(40)], share=0.2, block_px=40, seed=0)
        with pytest.raises(InputError, match="share of 1"):
            hold_out([array_scene(40)], share=1, block_px=40, seed=0)


class TestFingerprint:
    def test_scenes_fingerprint_does_not_depend_on_the_folder(self, tmp_path: Path) -> None:
        write_pair(tmp_path / "data", "a")
        before = scenes_fingerprint(open_pairs([tmp_path / "data"]))
        (tmp_path / "data").rename(tmp_path / "moved")
        assert scenes_fingerprint(open_pairs([tmp_path / "moved"])) == before

    def test_scenes_fingerprint_changes_with_files_and_hold_out(self, tmp_path: Path) -> None:
        _, mask = write_pair(tmp_path, "a", side=80)
        scenes = open_pairs([tmp_path])
        found = {scenes_fingerprint(scenes)}
        found.add(scenes_fingerprint(hold_out(scenes, share=0.2, block_px=20, seed=0)[0]))
        found.add(scenes_fingerprint(hold_out(scenes, share=0.2, block_px=20, seed=1)[0]))
        os.utime(mask, ns=(1, 1))
        found.add(scenes_fingerprint(open_pairs([tmp_path])))
        write_pair(tmp_path, "b")
        found.add(scenes_fingerprint(open_pairs([tmp_path])))
        assert len(found) == 5


def test_pair_scene_rejects_a_mask_with_late_damage(tmp_path: Path) -> None:
    """GDAL reports it in a call that rasterio expects no error from."""
    image = write_image(tmp_path / "image.tif", np.zeros((3, 96, 96), np.uint8))
    mask = write_image(tmp_path / "mask.tif", np.eye(96, dtype=np.uint8)[None])
    data = mask.read_bytes()
    # The type of StripByteCounts becomes ASCII.
    entry = next(e for kind in (3, 4) if (e := struct.pack("<HH", 279, kind)) in data)
    mask.write_bytes(data.replace(entry, struct.pack("<HH", 279, 2)))
    with pytest.raises(DataError, match=r'mask\.tif: .*Incompatible type for "StripByteCounts"'):
        PairScene("a", image, mask, classes=["road"], handles=Handles())
