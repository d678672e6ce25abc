"""Segmented videos: class colours, number of frames, truncated files."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from roadgis.errors import Cancelled, InputError, MissingExtraError, OutputError
from roadgis.model.runtime import load_model
from roadgis.options.training_data import DataSettings
from tests.factories.models import save_model, tiny_card, tiny_model

cv2 = pytest.importorskip("cv2")

from roadgis.options.video import VideoOptions  # noqa: E402
from roadgis.photos import frames as frames_module  # noqa: E402
from roadgis.photos.frame_labels import FrameSegmenter, drawn_classes  # noqa: E402
from roadgis.photos.frames import check_video, find_codec, media_of  # noqa: E402
from roadgis.photos.palette import PALETTE, Overlay, class_colours  # noqa: E402
from roadgis.photos.video import segment_video  # noqa: E402

Image = npt.NDArray[np.uint8]

GREY = (110, 110, 110)
RED = (220, 30, 30)
BLUE = (30, 30, 220)
HEIGHT, WIDTH, FRAMES, FPS = 96, 128, 20, 12.5


def colour_model(path: Path, **fields: Any) -> Path:
    """Write a model with class 1 for red pixels, 2 for blue ones, and 0 for others."""
    weights = 0.05 * np.array([[0, 0, 0], [1, -1, -1], [-1, -1, 1]], np.float32)
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        _constant("weights", weights.reshape(3, 3, 1, 1)),
        _constant("bias", np.array([2.5, 0, 0], np.float32)),
        helper.make_node("Conv", ["planes", "weights", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=1),
        helper.make_node("Transpose", ["shares"], ["road"], perm=[0, 2, 3, 1]),
    ]
    values = {"classes": ("other", "red", "blue"), "road_class": 1} | fields
    save_model(path, nodes, tiny_card(**values))
    return path


def _constant(name: str, value: Any) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))


def box_at(frame: int) -> tuple[slice, slice]:
    """Return the position of the red box, which moves by 4 px per frame."""
    return np.s_[40:72], np.s_[8 + 4 * frame : 40 + 4 * frame]


def frame_at(number: int, height: int = HEIGHT, width: int = WIDTH) -> Image:
    image = np.full((height, width, 3), GREY, np.uint8)
    image[box_at(number)] = RED
    return image


def write_video(
    path: Path, *, frames: int = FRAMES, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Path:
    codec = {".webm": "VP80", ".mp4": "mp4v", ".avi": "MJPG"}[path.suffix]
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), FPS, size[::-1]
    )
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.ascontiguousarray(frame_at(number % 20, *size)[..., ::-1]))
    writer.release()
    return path


def read_video(path: Path) -> list[Image]:
    with frames_module.open_frames(path) as found:
        return list(found)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_model(tmp_path_factory.mktemp("model") / "colour.onnx")


@pytest.fixture(scope="module")
def segmenter(model: Path) -> Any:
    return load_model(model, threads=1)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "drive.mp4")


@pytest.mark.parametrize("suffix", [".webm", ".mp4"])
def test_segment_video_colours_the_box_in_every_frame(
    tmp_path: Path, drive: Path, segmenter: Any, suffix: str
) -> None:
    output = tmp_path / f"out{suffix}"
    options = VideoOptions(alpha=0.5, height=HEIGHT, legend=False)
    result = segment_video(drive, output, segmenter, options=options)
    assert (result.frames, result.segmented, result.fps) == (FRAMES, FRAMES, FPS)
    drawn = read_video(output)
    assert len(drawn) == FRAMES
    assert check_video(output).fps == pytest.approx(FPS, abs=0.01)
    inside = (np.array(RED) + np.array(PALETTE[0])) / 2
    for number, image in enumerate(drawn):
        rows, columns = box_at(number)
        core = image[rows, columns][6:-6, 6:-6].astype(int)
        assert np.abs(core - inside).mean() < 12, number
        outer = image.astype(int)
        outer[34:78, 2 + 4 * number : 46 + 4 * number] = GREY
        assert np.abs(outer - GREY).max() < 45, number
        assert np.abs(outer - GREY).mean() < 8, number  # the codecs shift colours a little


def test_segment_video_shares_are_the_mean_over_frames(
    tmp_path: Path, drive: Path, segmenter: Any
) -> None:
    result = segment_video(
        drive, tmp_path / "o.webm", segmenter, options=VideoOptions(height=HEIGHT)
    )
    assert sum(result.shares.values()) == pytest.approx(1)
    assert result.shares["red"] == pytest.approx(32 * 32 / (HEIGHT * WIDTH), abs=0.01)
    assert result.shares["blue"] == 0


def test_segment_video_of_a_picture_is_exact(tmp_path: Path, segmenter: Any) -> None:
    image = frame_at(2)
    image[4:20, 90:120] = BLUE
    source = tmp_path / "in.png"
    frames_module.write_picture(source, image)
    output = tmp_path / "out.png"
    options = VideoOptions(alpha=1, height=HEIGHT, legend=False)
    result = segment_video(source, output, segmenter, options=options)
    expected = np.full_like(image, GREY)
    expected[box_at(2)] = PALETTE[0]
    expected[4:20, 90:120] = PALETTE[1]
    np.testing.assert_array_equal(frames_module.read_picture(output), expected)
    assert result.kind == "picture"
    assert result.shares["blue"] == 16 * 30 / (HEIGHT * WIDTH)
    assert result.shares["red"] == 32 * 32 / (HEIGHT * WIDTH)


@pytest.mark.parametrize("height", [48, 96, 150, 301])
@pytest.mark.parametrize("width", [61, 128, 200])
def test_segment_video_pads_frames_to_the_stride(segmenter: Any, height: int, width: int) -> None:
    image = np.full((120, width, 3), GREY, np.uint8)
    truth = np.zeros((120, width), bool)
    truth[30:90, width // 3 :] = True  # up to the padded right edge
    image[truth] = RED
    labels = FrameSegmenter(segmenter, height).labels(image) == 1
    assert (labels & truth).sum() / (labels | truth).sum() > 0.95


class Recording:
    """A model that records the shapes of its input."""

    def __init__(self, inner: Any, **fields: Any) -> None:
        self.card = tiny_card(**({"classes": inner.card.classes, "road_class": 1} | fields))
        self._inner, self.shapes = inner, []  # type: ignore[var-annotated]
        self.device = self.fingerprint = "none"

    def predict_classes(self, images: Image) -> npt.NDArray[np.float32]:
        self.shapes.append(images.shape)
        answer: npt.NDArray[np.float32] = self._inner.predict_classes(images)
        return answer

    def predict(self, images: Image) -> npt.NDArray[np.float32]:
        return self.predict_classes(images)[..., self.card.road_class]

    def release(self) -> None:
        pass


@pytest.mark.parametrize(
    ("fields", "height", "expected"),
    [
        ({"stride": 16}, 50, (1, 48, 80, 3)),  # 72 px wide in proportion, padded to 80
        (
            {"stride": 16, "recipe": {"data": asdict(DataSettings(crop_px=64))}},
            None,
            (1, 64, 96, 3),
        ),
        ({"stride": 16, "recipe": {"crop_px": 64}}, None, (1, 64, 96, 3)),
        ({"stride": 16}, None, (1, 512, 768, 3)),
        ({"stride": 16, "recipe": {"crop_px": "64"}}, None, (1, 512, 768, 3)),
        ({"stride": 16, "margin_px": 16, "tile_px": 64}, None, (1, 64, 64, 3)),
    ],
)
def test_frame_segmenter_scales_to_height_and_stride(
    segmenter: Any, fields: dict[str, Any], height: int | None, expected: tuple[int, ...]
) -> None:
    seen = Recording(segmenter, **fields)
    FrameSegmenter(seen, height).labels(np.full((100, 150, 3), GREY, np.uint8))
    assert seen.shapes == [expected]


def test_frame_segmenter_rejects_a_height_for_fixed_tiles(segmenter: Any) -> None:
    fixed = Recording(segmenter, stride=16, margin_px=16, tile_px=64)
    with pytest.raises(InputError, match="tiles of 64 px only"):
        FrameSegmenter(fixed, 128)


def test_frame_segmenter_rejects_four_bands(segmenter: Any) -> None:
    bands = ("red", "green", "blue", "nir")
    four = Recording(segmenter, bands=bands, mean=(0,) * 4, std=(1,) * 4)
    with pytest.raises(InputError, match="expected red, green and blue"):
        FrameSegmenter(four)


def test_frame_segmenter_of_a_binary_model_uses_the_threshold(tmp_path: Path) -> None:
    from tests.factories.models import GROUND, ROAD

    road = load_model(tiny_model(tmp_path / "road.onnx"), threads=1)
    assert drawn_classes(road.card) == ("other", "road")
    image = np.full((64, 96, 3), GROUND, np.uint8)
    image[20:36] = ROAD
    labels = FrameSegmenter(road, 64).labels(image)
    np.testing.assert_array_equal(labels[8:-8, 8:-8], (image == ROAD).all(axis=2)[8:-8, 8:-8])


def test_segment_video_every_third_frame(tmp_path: Path, drive: Path, segmenter: Any) -> None:
    seen = Recording(segmenter)
    output = tmp_path / "o.webm"
    options = VideoOptions(alpha=1, every=3, height=HEIGHT, legend=False)
    result = segment_video(drive, output, seen, options=options)
    assert (result.frames, result.segmented, len(seen.shapes)) == (FRAMES, 7, 7)
    drawn = read_video(output)
    assert len(drawn) == FRAMES
    rows, columns = box_at(3)
    for number in (3, 4, 5):
        core = drawn[number][rows, columns][6:-6, 6:-6].astype(int)
        assert np.abs(core - PALETTE[0]).mean() < 15, number


def test_segment_video_crops_odd_sizes(tmp_path: Path, segmenter: Any) -> None:
    source = tmp_path / "in.png"
    frames_module.write_picture(source, frame_at(0, 97, 129))
    with frames_module.FrameWriter(tmp_path / "odd.webm", "VP80", 97, 129, 10) as writer:
        for _ in range(3):
            writer.write(frame_at(0, 97, 129))
    assert read_video(tmp_path / "odd.webm")[0].shape == (96, 128, 3)
    result = segment_video(source, tmp_path / "o.png", segmenter)
    assert (result.width, result.height) == (129, 97)


def test_overlay_legend_shows_classes_in_their_colour() -> None:
    image = np.full((240, 320, 3), GREY, np.uint8)
    overlay = Overlay(("other", "road", "Gehweg für alle"), 240, 320)
    drawn = overlay.draw(image, np.zeros((240, 320), np.uint8))
    colours = {tuple(int(v) for v in c) for c in drawn.reshape(-1, 3)}
    assert set(PALETTE[:2]) <= colours
    assert PALETTE[2] not in colours
    np.testing.assert_array_equal(drawn[120:], image[120:])


def test_overlay_legend_without_room_is_omitted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    image = np.full((40, 60, 3), GREY, np.uint8)
    with caplog.at_level(logging.WARNING):
        overlay = Overlay(("other", *(f"class {n}" for n in range(12))), 40, 60)
    assert "no room for a legend of 12 classes" in caplog.text
    np.testing.assert_array_equal(overlay.draw(image, np.zeros((40, 60), np.uint8)), image)


def test_class_colours_repeat_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        colours = class_colours(30)
    assert "share" in caplog.text
    np.testing.assert_array_equal(colours[25], colours[1])
    assert tuple(colours[1]) == (0xE1, 0x2D, 0x69)


# Linear RGB with one kind of cone missing (Machado, Oliveira and Fernandes 2009, severity 1).
VISION = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@pytest.mark.parametrize("vision", VISION)
def test_palette_first_eight_colours_differ_with_colour_blindness(vision: str) -> None:
    value = np.array(PALETTE[:8]) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISION[vision]).T, 0, 1)
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    opponent = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    lab = np.cbrt(seen @ np.array(cones).T) @ np.array(opponent).T  # OKLab
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 9 * np.eye(8)
    assert distance.min() > 0.15  # a just noticeable difference is about 0.02


def test_media_of_rejects_other_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    for path in (secret, secret.rename(tmp_path / "movie.mp4")):
        if path.exists():
            with pytest.raises(InputError, match="is not a video"):
                media_of(path)
    (tmp_path / "empty.webm").touch()
    with pytest.raises(InputError, match="is not a video"):
        media_of(tmp_path / "empty.webm")
    with pytest.raises(InputError, match="does not exist"):
        media_of(tmp_path / "none.mp4")


def test_media_of_detects_pictures_by_content(tmp_path: Path, segmenter: Any) -> None:
    source = tmp_path / "p.png"
    frames_module.write_picture(source, frame_at(0))
    named = source.rename(tmp_path / "p.mp4")
    assert media_of(named) == "picture"
    with pytest.raises(InputError, match=r"expected \.png or \.jpg"):
        segment_video(named, tmp_path / "o.webm", segmenter)


def test_check_video_rejects_an_mp4_without_index(
    tmp_path: Path, drive: Path, segmenter: Any
) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(drive.read_bytes()[: drive.stat().st_size // 2])
    with pytest.raises(InputError, match="cut short"):
        segment_video(cut, tmp_path / "o.webm", segmenter)
    assert list(tmp_path.iterdir()) == [cut]


@pytest.fixture(scope="module")
def truncated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cut")
    whole = write_video(folder / "whole.webm", frames=60).read_bytes()
    cut = folder / "cut.webm"
    cut.write_bytes(whole[: len(whole) // 2])
    return cut


def test_segment_video_names_the_frame_of_truncation(
    tmp_path: Path, truncated: Path, segmenter: Any
) -> None:
    info = check_video(truncated)
    assert info.announced == 60
    assert 1 < info.frames < 50
    with pytest.raises(InputError, match=f"frame {info.frames + 1} of 60 cannot be decoded"):
        segment_video(truncated, tmp_path / "o.webm", segmenter)
    assert list(tmp_path.iterdir()) == []


def test_segment_video_accepts_truncated_videos_if_allowed(
    tmp_path: Path, truncated: Path, segmenter: Any, caplog: pytest.LogCaptureFixture
) -> None:
    options = VideoOptions(allow_truncated=True, height=HEIGHT)
    with caplog.at_level(logging.WARNING):
        result = segment_video(truncated, tmp_path / "o.webm", segmenter, options=options)
    assert result.frames == check_video(truncated).frames == len(read_video(tmp_path / "o.webm"))
    assert f"only the {result.frames} frames before it are written" in caplog.text


def test_read_picture_rejects_damaged_pictures(tmp_path: Path, segmenter: Any) -> None:
    source = tmp_path / "p.png"
    source.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(InputError, match="damaged"):
        segment_video(source, tmp_path / "o.png", segmenter)


def test_segment_video_keeps_existing_outputs_and_the_source(
    tmp_path: Path, drive: Path, segmenter: Any
) -> None:
    output = tmp_path / "o.webm"
    output.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        segment_video(drive, output, segmenter)
    assert output.read_bytes() == b"mine"
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(drive.read_bytes())
    with pytest.raises(InputError, match="is an input as well"):
        segment_video(copy, copy, segmenter, options=VideoOptions(overwrite=True))
    options = VideoOptions(overwrite=True, height=32)
    assert segment_video(drive, output, segmenter, options=options).frames == FRAMES
    assert len(read_video(output)) == FRAMES


@pytest.mark.parametrize("wrong", [{"alpha": 1.5}, {"every": 0}, {"height": 0}])
def test_video_options_reject_wrong_values(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        VideoOptions(**wrong)


@pytest.mark.parametrize("text", ["checking: frame 4", "segmenting: frame 4 of"])
def test_segment_video_cancelled_leaves_no_file(
    tmp_path: Path, drive: Path, segmenter: Any, text: str
) -> None:
    def progress(fraction: float, message: str) -> None:
        if message.startswith(text):
            raise Cancelled

    with pytest.raises(Cancelled):
        segment_video(drive, tmp_path / "o.webm", segmenter, progress=progress)
    assert list(tmp_path.iterdir()) == []


def test_segment_video_reports_progress_per_frame(
    tmp_path: Path, drive: Path, segmenter: Any
) -> None:
    reports: list[tuple[float, str]] = []
    segment_video(
        drive, tmp_path / "o.webm", segmenter,
        options=VideoOptions(height=32), progress=lambda *report: reports.append(report),
    )  # fmt: skip
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    frames = [text for _, text in reports if text.startswith("segmenting")]
    assert [text.split(",")[0] for text in frames] == [
        f"segmenting: frame {n} of {FRAMES}" for n in range(1, FRAMES + 1)
    ]


def test_find_codec_names_working_file_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "_CODECS", {".webm": ("ZZZZ",), ".mp4": ("mp4v",)})
    with pytest.raises(OutputError, match=r"none of the codecs ZZZZ.*name the output \.mp4"):
        find_codec(".webm")


def test_import_opencv_names_the_extra(
    tmp_path: Path, drive: Path, segmenter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[video\]'"):
        segment_video(drive, tmp_path / "o.webm", segmenter)


def test_segment_video_streams_frames(drive: Path) -> None:
    with frames_module.open_frames(drive) as found:
        first = next(islice(found, 1))
    assert first.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(first[50, 20].astype(int) - RED).max() < 30  # RGB, not BGR


def test_video_command_prints_shares_and_speed(tmp_path: Path, drive: Path, model: Path) -> None:
    from roadgis.cli.commands.video import command

    output = tmp_path / "o.webm"
    result = CliRunner().invoke(
        command, [str(drive), "-m", str(model), "-o", str(output), "--height", "96"]
    )
    assert result.exit_code == 0, result.output
    assert "o.webm: 128 x 96 px, 20 frames at 12.5/s" in result.output
    assert "other 9" in result.output
    assert "red 8." in result.output
    assert len(read_video(output)) == FRAMES


def test_video_command_interrupted_leaves_no_file(tmp_path: Path, model: Path) -> None:
    source = write_video(tmp_path / "long.avi", frames=400)
    process = subprocess.Popen(
        [
            sys.executable, "-c",
            "from roadgis.cli.commands.video import command\n"
            "from roadgis.cli.shell import run\n"
            "run(command)",
            str(source), "-m", str(model), "-o", str(tmp_path / "o.webm"), "--progress", "jsonl",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "segmenting: frame 5 " in json.loads(line).get("text", ""):
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert [path.name for path in tmp_path.iterdir()] == ["long.avi"]
