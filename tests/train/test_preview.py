"""The picture of training crops: content and complete files."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from roadgis.errors import DataError, InputError, OutputError
from roadgis.train.augmentation.preview import draw_labels, write_preview

Bytes = npt.NDArray[np.uint8]
PINK = (255, 40, 200)


class Numbered:
    """Crops whose value is their number, with a square of class `label` in the middle."""

    def __init__(self, offset: int = 0, label: int = 1) -> None:
        self.offset = offset
        self.label = label

    def crop(self, number: int) -> tuple[Bytes, Bytes]:
        image = np.full((16, 16, 3), number + self.offset, np.uint8)
        labels = np.zeros((16, 16), np.uint8)
        labels[4:12, 4:12] = self.label
        labels[:, :2] = 255
        return image, labels


def read(path: Path) -> Bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            return np.asarray(np.moveaxis(dataset.read(), 0, -1))


def test_draw_labels_outlines_classes_and_darkens_ignored_pixels() -> None:
    image, labels = Numbered(100).crop(0)
    drawn = draw_labels(image, labels)
    assert (drawn[4, 4:12] == PINK).all()
    assert (drawn[5:11, 5:11] == 100).all()
    assert (drawn[:4, 2:] == 100).all()
    assert set(np.unique(drawn[:, :2])) == {45, 200}
    assert (image == 100).all()


def test_draw_labels_draws_no_outline_at_the_border() -> None:
    labels = np.zeros((16, 16), np.uint8)
    labels[:, :5] = 1
    drawn = draw_labels(np.zeros((16, 16, 3), np.uint8), labels)
    assert np.flatnonzero((drawn == PINK).all(axis=2).any(axis=0)).tolist() == [4]


def test_write_preview_orders_crops_by_row_with_plain_ones_left(tmp_path: Path) -> None:
    path = tmp_path / "preview.png"
    colours = write_preview(Numbered(100), path, plain=Numbered(), rows=2, columns=2, first=7)
    picture = read(path)
    assert picture.shape == (16 + 10 + 16, 2 * 34 + 10, 3)
    middles = [[picture[row, column, 0] for column in (8, 26, 52, 70)] for row in (8, 34)]
    assert middles == [[7, 107, 8, 108], [9, 109, 10, 110]]
    assert colours == {"road": "#ff28c8"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["preview.png"]


def test_write_preview_of_one_sampler(tmp_path: Path) -> None:
    write_preview(Numbered(), tmp_path / "a.png", rows=1, columns=3)
    assert read(tmp_path / "a.png").shape == (16, 3 * 16 + 2 * 10, 3)


def test_write_preview_returns_class_colours(tmp_path: Path) -> None:
    names = ("other", "road", "sidewalk")
    colours = write_preview(Numbered(label=2), tmp_path / "a.png", rows=1, columns=1, classes=names)
    assert list(colours) == ["road", "sidewalk"]
    corner = "#{:02x}{:02x}{:02x}".format(*read(tmp_path / "a.png")[4, 4])
    assert corner == colours["sidewalk"] != colours["road"]


def test_write_preview_rejects_a_class_without_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels \\[2\\]; expected 0 to 1"):
        write_preview(Numbered(label=2), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_write_preview_rejects_zero_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 rows"):
        write_preview(Numbered(), tmp_path / "a.png", rows=0)


def test_write_preview_rejects_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        write_preview(Numbered(), tmp_path / "gone" / "a.png", rows=1, columns=1)


def test_write_preview_keeps_existing_files(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("mine")
    with pytest.raises(OutputError, match="overwrite"):
        write_preview(Numbered(), path, rows=1, columns=1, overwrite=False)
    assert path.read_text() == "mine"
