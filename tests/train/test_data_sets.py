"""Several data sets in one run: shares, pixel sizes, held-out scenes, redrawn labels, crops."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

pytest.importorskip("cv2", reason="needs the train extra")
pytest.importorskip("yaml", reason="needs the train extra")

from roadgis.errors import DataError, InputError
from roadgis.model.card import ModelCard
from roadgis.options.training import TrainSettings
from roadgis.options.training_data import DataSet, DataSettings
from roadgis.train.data.derived_scenes import redraw_labels, resample
from roadgis.train.data.distillation import soften_labels
from roadgis.train.data.labelled_scene import FILL, IGNORE, road_target
from roadgis.train.data.mixed_sampling import MixedSampler
from roadgis.train.data.open_data_set import OpenDataSet, open_data_set
from roadgis.train.data.sampling import one_hot
from roadgis.train.run_card import training_looks
from roadgis.train.settings import read_settings, write_settings
from tests.factories.pairs import ArrayScene
from tests.factories.rasters import write_image, write_raster

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SIDE = 120


def write_tile(
    folder: Path,
    name: str,
    *,
    value: int = 100,
    gsd_m: float | None = None,
    road: slice | None = slice(50, 60),
    mask_values: tuple[int, ...] = (0, 1),
) -> None:
    """Write a flat image with a level road, 200 brighter in blue, and its mask."""
    image = np.full((3, SIDE, SIDE), value, np.uint8)
    mask = np.zeros((1, SIDE, SIDE), np.uint8)
    if road is not None:
        image[2, road] = min(value + 100, 255)
        mask[0, road] = mask_values[1]
    if len(mask_values) == 3:
        mask[0, :10] = mask_values[2]
    for kind, bands in (("images", image), ("masks", mask)):
        path = folder / kind / f"{name}.tif"
        if gsd_m is None:
            write_image(path, bands)
        else:
            write_raster(path, bands, pixel=gsd_m)


def flat(value: int, road: slice | None = slice(50, 60)) -> ArrayScene:
    labels = np.zeros((SIDE, SIDE), np.uint8)
    if road is not None:
        labels[road] = 1
    return ArrayScene(f"flat{value}", np.full((SIDE, SIDE, 3), value, np.uint8), labels)


def test_open_data_set_holds_out_every_nth_scene_by_name(tmp_path: Path) -> None:
    for number in range(7):
        write_tile(tmp_path, f"t{number}", value=100 + number)
    data = open_data_set(DataSet("a", folders=(tmp_path,), hold_out_every=3, gsd_m=1.0))
    assert [scene.name for scene in data.validation] == ["t0", "t3", "t6"]
    assert [scene.name for scene in data.training] == ["t1", "t2", "t4", "t5"]
    assert list(data.gsd_m) == [1.0] * 4


def test_open_data_set_reads_pixel_sizes_from_georeference(tmp_path: Path) -> None:
    write_tile(tmp_path, "fine", gsd_m=0.3)
    write_tile(tmp_path, "rough", gsd_m=0.9)
    data = open_data_set(DataSet("a", folders=(tmp_path,)))
    assert np.allclose(data.gsd_m, [0.3, 0.9], rtol=0.001)


def test_open_data_set_scores_at_the_nearest_trained_pixel_size(tmp_path: Path) -> None:
    write_tile(tmp_path, "t0")
    write_tile(tmp_path, "t1")
    data = open_data_set(
        DataSet("a", folders=(tmp_path,), hold_out_every=2, gsd_m=0.2, crop_gsd_m=(0.4, 1.0))
    )
    (scene,) = data.validation
    assert (scene.height, scene.width) == (SIDE // 2, SIDE // 2)
    assert data.validation_gsd_m == [0.4]
    image, labels = scene.read(0, 0, SIDE // 2, SIDE // 2)
    assert np.unique(np.flatnonzero(labels[:, 0])).tolist() == [25, 26, 27, 28, 29]
    assert image[27, 0].tolist() == [100, 100, 200]


def test_open_data_set_rejects_a_share_without_scenes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="The data set a has a share of 1 and no scenes"):
        open_data_set(DataSet("a"))
    write_tile(tmp_path, "t0")
    only_scored = open_data_set(DataSet("a", validation=(tmp_path,), share=0, gsd_m=1.0))
    assert (len(only_scored.training), len(only_scored.validation)) == (0, 1)


def test_redraw_labels_sets_the_width() -> None:
    scene = redraw_labels(flat(90, road=slice(50, 53)), width_px=9)
    labels = scene.read_labels(0, 0, SIDE, SIDE)
    assert np.flatnonzero(labels[:, 60]).tolist() == list(range(47, 56))


def test_redraw_labels_keeps_ignored_pixels() -> None:
    source = flat(90, road=slice(50, 53))
    source.labels[:, :30] = IGNORE
    labels = redraw_labels(source, width_px=9).read_labels(0, 0, SIDE, SIDE)
    assert (labels[:, :30] == IGNORE).all()
    assert (labels[:, 30:] != IGNORE).all()


def test_resample_keeps_ignored_pixels_grey() -> None:
    source = flat(90)
    source.labels[:20] = IGNORE
    image, labels = resample(source, 0.5).read(0, 0, 60, 60)
    assert (labels[:10] == IGNORE).all()
    assert (image[:10] == FILL).all()
    assert (image[10:] == 90).all()


def sampler(*sets: DataSet, **options: object) -> MixedSampler:
    arguments: dict[str, object] = {"crop_px": 32, "seed": 5, **options}
    return MixedSampler([open_data_set(one) for one in sets], **arguments)  # type: ignore[arg-type]


def test_mixed_sampler_draws_data_sets_by_share(tmp_path: Path) -> None:
    write_tile(tmp_path / "dark", "t", value=20)
    write_tile(tmp_path / "light", "t", value=220)
    write_tile(tmp_path / "none", "t", value=128)
    crops = sampler(
        DataSet("dark", (tmp_path / "dark",), share=3, gsd_m=1.0),
        DataSet("light", (tmp_path / "light",), share=1, gsd_m=1.0),
        DataSet("none", (tmp_path / "none",), share=0, gsd_m=1.0),
    )
    drawn = Counter(int(crops.crop(number)[0][..., 0].max()) for number in range(200))
    assert set(drawn) == {20, 220}
    assert 130 <= drawn[20] <= 170


def test_mixed_sampler_resamples_to_the_range(tmp_path: Path) -> None:
    # A road 10 m wide at 0.5 m: 20 px, so 10 px at 1 m and 5 px at 2 m.
    write_tile(tmp_path, "t", road=slice(50, 70))
    crops = sampler(
        DataSet("a", (tmp_path,), gsd_m=0.5, crop_gsd_m=(1.0, 2.0)), crop_px=24, road_share=0.2
    )
    areas = []
    for number in range(60):
        labels = crops.crop(number)[1]
        across = np.flatnonzero((labels == 1).any(axis=1))
        level = len(across) and (labels[across] == 1).all()
        if level:  # not rotated, full road
            areas.append(len(across))
    assert areas
    assert min(areas) >= 4
    assert max(areas) <= 11


def test_mixed_sampler_fills_outside_the_scene(tmp_path: Path) -> None:
    write_tile(tmp_path, "t", value=60)
    crops = sampler(DataSet("a", (tmp_path,), gsd_m=1.0), crop_px=SIDE + 40)
    image, labels = crops.crop(0)
    outside = labels == IGNORE
    assert 0.3 < outside.mean() < 0.7
    assert (image[outside] == FILL).mean() > 0.97  # interpolation mixes in the border
    assert (image[~outside][:, 0] == 60).mean() > 0.97


def test_mixed_sampler_is_reproducible_by_number(tmp_path: Path) -> None:
    write_tile(tmp_path, "t0")
    write_tile(tmp_path, "t1", value=30)
    one, other = (
        sampler(DataSet("a", (tmp_path,), gsd_m=1.0, crop_gsd_m=(0.5, 2.0)), normalize_to=(110, 50))
        for _ in range(2)
    )
    for number in (7, 0, 3):
        for left, right in zip(one.crop(number), other.crop(number), strict=True):
            np.testing.assert_array_equal(left, right)


def test_mixed_sampler_normalizes_scenes(tmp_path: Path) -> None:
    write_tile(tmp_path, "t", value=40, road=slice(0, 60))
    crops = sampler(DataSet("a", (tmp_path,), gsd_m=1.0), normalize_to=(110.0, 50.0))
    values: set[int] = set()
    for number in range(12):
        image, labels = crops.crop(number)
        values.update(np.unique(image[labels != IGNORE][:, 2]).tolist())
    # Blue is 40 in one half and 140 in the other: mean 90, deviation 50.
    assert {60, 160} <= values
    assert min(values) >= 60
    assert max(values) <= 160


def test_pair_scene_ignores_255_in_masks_of_0_1_255(tmp_path: Path) -> None:
    write_tile(tmp_path, "t", mask_values=(0, 1, 255))
    (scene,) = open_data_set(DataSet("a", (tmp_path,), gsd_m=1.0)).training
    labels = scene.read_labels(0, 0, SIDE, SIDE)
    assert (labels[:10] == IGNORE).all()
    assert (labels[50:60] == 1).all()
    assert (labels[60:] == 0).all()


def test_pair_scene_takes_255_as_road_unless_it_is_nodata(tmp_path: Path) -> None:
    write_tile(tmp_path, "t", mask_values=(0, 255))
    (scene,) = open_data_set(DataSet("a", (tmp_path,), gsd_m=1.0)).training
    assert (scene.read_labels(50, 0, 10, SIDE) == 1).all()
    with rasterio.open(tmp_path / "masks" / "t.tif", "r+") as dataset:
        dataset.nodata = 255
    (scene,) = open_data_set(DataSet("a", (tmp_path,), gsd_m=1.0)).training
    assert (scene.read_labels(50, 0, 10, SIDE) == IGNORE).all()


def test_settings_of_data_sets_survive_yaml(tmp_path: Path) -> None:
    sets = (
        DataSet("a", (tmp_path / "x",), share=0.5, gsd_m=0.76, crop_gsd_m=(0.5, 1.2)),
        DataSet("b", validation=(tmp_path / "y",), share=0.0, redraw_width_m=7.0),
    )
    settings = TrainSettings(DataSettings(sets=sets, normalize_to=(110.0, 50.0)))
    write_settings(settings, tmp_path / "s.yaml")
    assert read_settings(tmp_path / "s.yaml") == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {sets: [{folders: [x]}]}", "name is missing"),
        ("data: {sets: [{name: a, gsdm: 1}]}", "unknown setting 'gsdm'; did you mean 'gsd_m'"),
        ("data: {sets: [{name: a, crop_gsd_m: [2, 1]}]}", "smallest and the largest pixel size"),
        ("data: {sets: [{name: a, hold_out_every: 1}]}", "0 or at least 2"),
        ("data: {sets: [{name: a}], folders: [x]}", "together with folders"),
        ("data: {normalize_to: [110, 0]}", "normalize_to is .*, expected a mean and a standard"),
        ("data: {sets: [{name: a, teacher_weight: 2}]}", "teacher_weight of a is 2.0, expected 0"),
    ],
)
def test_settings_of_data_sets_name_errors(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_settings(path)


def road_share(labels: npt.NDArray[np.uint8]) -> float:
    return float((labels == 1).mean())


def test_mixed_sampler_finds_road_for_half_of_the_crops(tmp_path: Path) -> None:
    write_tile(tmp_path, "t0", road=None)
    write_tile(tmp_path, "t1", road=None)
    write_tile(tmp_path, "t2")
    crops = sampler(DataSet("a", (tmp_path,), gsd_m=1.0), road_share=0.1)
    with_road = sum(road_share(crops.crop(number)[1]) >= 0.1 for number in range(100))
    assert 45 <= with_road <= 80


class Halves:
    """A teacher that predicts road in a scene's left half, in steps of its own pixels."""

    def __init__(self, gsd_m: float) -> None:
        self.card = ModelCard("halves", "1", gsd_m=gsd_m, stride=4)
        self.seen: list[tuple[int, ...]] = []

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.seen.append(images.shape)
        answer = np.zeros(images.shape[:3], np.float32)
        answer[:, :, : images.shape[2] // 2] = 0.8
        return answer

    def predict_classes(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return self.predict(images)[..., None]


def test_soften_labels_mixes_labels_and_teacher() -> None:
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[50:60] = 1
    labels[:5] = IGNORE
    scene = ArrayScene("a", np.full((SIDE, SIDE, 3), 90, np.uint8), labels)
    (soft,) = soften_labels([scene], [1.0], Halves(1.0), weight=0.5)
    target = road_target(soft.read(0, 0, SIDE, SIDE)[1])
    assert target[55, 0] == pytest.approx(0.9)  # road, and the teacher predicts 0.8
    assert target[55, -1] == pytest.approx(0.5)  # road, and the teacher predicts 0
    assert target[80, 0] == pytest.approx(0.4)
    assert target[80, -1] == 0
    assert (soft.read(0, 0, 5, SIDE)[1] == IGNORE).all()
    np.testing.assert_array_equal(soft.read_labels(0, 0, SIDE, SIDE), labels)


def test_soften_labels_predicts_at_the_pixel_size_of_the_teacher() -> None:
    teacher = Halves(2.0)
    (soft,) = soften_labels([flat(90)], [1.0], teacher, weight=1.0)
    target = road_target(soft.read(0, 0, SIDE, SIDE)[1])
    assert teacher.seen == [(1, SIDE // 2, SIDE // 2, 3)]
    assert np.allclose(target[:, : SIDE // 2 - 2], 0.8, atol=0.006)
    assert np.allclose(target[:, SIDE // 2 + 2 :], 0.0)


def test_mixed_sampler_keeps_soft_labels() -> None:
    (soft,) = soften_labels([flat(90)], [1.0], Halves(1.0), weight=0.5)
    data = OpenDataSet(DataSet("a"), [soft], [1.0])
    labels = MixedSampler([data], crop_px=64, seed=1).crop(3)[1]
    target = one_hot(labels, 1)[..., 0]
    assert set(np.rint(np.unique(target) * 100).tolist()) <= {0, 40, 50, 90}
    assert target.max() > 0.4


def test_training_looks_are_the_range_of_the_scenes(tmp_path: Path) -> None:
    for number, value in enumerate((40, 100)):
        write_tile(tmp_path, f"t{number}", value=value, road=None)
    data = open_data_set(DataSet("a", (tmp_path,), gsd_m=1.0))
    looks = training_looks([data])
    low, high = looks["brightness"]
    assert low == pytest.approx((40 + 0.01 * 60) / 1.25, abs=0.01)
    assert high == pytest.approx((100 - 0.01 * 60) * 1.25, abs=0.01)
    assert looks["contrast"] == (0.0, 0.0)
    scored = open_data_set(DataSet("a", (tmp_path,), gsd_m=1.0, share=0))
    assert training_looks([scored]) == {}
