"""Segmentation of every frame of a video, or of one picture."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from roadgis.arrays import Bytes
from roadgis.atomic import atomic_path, check_target
from roadgis.errors import InputError, ReadError
from roadgis.model.runtime import Segmenter
from roadgis.options.video import VideoOptions
from roadgis.overwriting import check_not_input
from roadgis.photos.frame_labels import FrameSegmenter, drawn_classes
from roadgis.photos.frames import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    FrameWriter,
    Media,
    VideoInfo,
    check_video,
    find_codec,
    import_opencv,
    media_of,
    open_frames,
    read_picture,
    write_picture,
)
from roadgis.photos.palette import Overlay
from roadgis.progress import Progress, no_progress, scaled

logger = logging.getLogger(__name__)

# Share of the first pass, which only decodes, in the progress.
_CHECK_SHARE = 0.05


@dataclass(frozen=True)
class VideoResult:
    """The written video or picture.

    Attributes
    ----------
    width, height : int
        Pixels.
    fps : float
        Frames per second of the output; 0 for a picture.
    frames, segmented : int
        Frames in the output, and frames segmented by the model.
    seconds : float
        Processing time without the check of the video.
    shares : dict of str to float
        Share of each class in the pixels of the segmented frames; the sum is 1.
    """

    path: Path
    kind: Media
    width: int
    height: int
    fps: float
    frames: int
    segmented: int
    seconds: float
    shares: dict[str, float]

    @property
    def speed(self) -> float:
        """Frames per second of processing."""
        return self.frames / max(self.seconds, 1e-9)


def segment_video(
    source: Path,
    output: Path,
    segmenter: Segmenter,
    *,
    options: VideoOptions | None = None,
    progress: Progress = no_progress,
) -> VideoResult:
    """Draw a model's classes over each frame of a video, or over a picture.

    Frames are streamed: memory does not grow with the length. The output keeps size, frame count
    and frame rate (the mean if it varies); sound is dropped. It is complete or does not exist.

    Parameters
    ----------
    source : Path
        A video, or a PNG or JPEG picture.
    output : Path
        ``.webm`` or ``.mp4`` for a video, ``.png`` or ``.jpg`` for a picture.
    progress : Progress
        Progress callback, called once per frame; may raise Cancelled.

    Raises
    ------
    InputError
        If the source is not a video or picture, holds no frame, ends too early, or an option does
        not fit.
    OutputError
        If the output exists, cannot be written, or there is no codec for it.
    ReadError
        If the source changes while being read.
    ModelError
        If the model fails.
    """
    options = options or VideoOptions()
    import_opencv()
    kind = media_of(source)
    _check_output(source, output, kind, options)
    drawing = _Drawing(segmenter, options)
    if kind == "picture":
        return _picture(source, output, drawing, options, progress)
    return _video(source, output, drawing, options, progress)


def _check_output(source: Path, output: Path, kind: Media, options: VideoOptions) -> None:
    expected = VIDEO_SUFFIXES if kind == "video" else PICTURE_SUFFIXES
    suffix = output.suffix.lower()
    if suffix not in expected:
        raise InputError(
            f"{output}: found the suffix {suffix!r}, expected {' or '.join(expected)} for a {kind}."
        )
    check_not_input([output], [source])
    check_target(output, overwrite=options.overwrite)


def _video(
    source: Path, output: Path, drawing: _Drawing, options: VideoOptions, progress: Progress
) -> VideoResult:
    codec = find_codec(output.suffix.lower())
    info = check_video(source, progress=scaled(progress, 0.0, _CHECK_SHARE))
    _tell_end(source, info, options)
    report = scaled(progress, _CHECK_SHARE, 1.0)
    started = time.monotonic()
    written = 0
    with (
        atomic_path(output, overwrite=options.overwrite) as partial,
        FrameWriter(partial, codec, info.height, info.width, info.fps) as writer,
        open_frames(source) as frames,
    ):
        for written, frame in enumerate(islice(frames, info.frames), start=1):
            writer.write(drawing.draw(frame))
            rate = written / max(time.monotonic() - started, 1e-9)
            report(
                written / info.frames,
                f"segmenting: frame {written} of {info.frames}, {rate:.1f} frames/s",
            )
        if written != info.frames:
            raise ReadError(
                f"{source}: found {info.frames} frames at first, but only {written} when they were "
                "read again. The file changed meanwhile; run again."
            )
    width, height = writer.size
    return VideoResult(
        output, "video", width, height, info.fps, written, drawing.segmented,
        time.monotonic() - started, drawing.shares,
    )  # fmt: skip


class _Drawing:
    """Draws successive frames, and counts the pixels of each class."""

    def __init__(self, segmenter: Segmenter, options: VideoOptions) -> None:
        self._model = FrameSegmenter(segmenter, options.height)
        self._names = drawn_classes(segmenter.card)
        self._options = options
        self._overlay: Overlay | None = None
        self._labels = np.zeros((0, 0), np.uint8)
        self._counts = np.zeros(len(self._names), np.int64)
        self._drawn = 0
        self.segmented = 0

    def draw(self, frame: Bytes) -> Bytes:
        """Return the next frame with its classes, or those of an earlier frame."""
        if self._overlay is None:
            self._overlay = Overlay(
                self._names,
                *frame.shape[:2],
                alpha=self._options.alpha,
                legend=self._options.legend,
            )
        # Some streams change their size; earlier labels would not fit.
        changed = self._labels.shape != frame.shape[:2]
        if changed or self._drawn % self._options.every == 0:
            self._labels = self._model.labels(frame)
            self._counts += np.bincount(self._labels.ravel(), minlength=len(self._names))
            self.segmented += 1
        self._drawn += 1
        return self._overlay.draw(frame, self._labels)

    @property
    def shares(self) -> dict[str, float]:
        """Share of each class in the pixels of the segmented frames."""
        total = max(int(self._counts.sum()), 1)
        return {
            name: int(count) / total for name, count in zip(self._names, self._counts, strict=True)
        }


def _picture(
    source: Path, output: Path, drawing: _Drawing, options: VideoOptions, progress: Progress
) -> VideoResult:
    progress(0.0, "segmenting: the picture")
    started = time.monotonic()
    picture = read_picture(source)
    drawn = drawing.draw(picture)
    with atomic_path(output, overwrite=options.overwrite) as partial:
        write_picture(partial, drawn)
    progress(1.0, "segmenting: the picture")
    height, width = picture.shape[:2]
    seconds = time.monotonic() - started
    return VideoResult(output, "picture", width, height, 0.0, 1, 1, seconds, drawing.shares)


def _tell_end(source: Path, info: VideoInfo, options: VideoOptions) -> None:
    if info.frames >= info.announced:
        return
    text = (
        f"{source}: frame {info.frames + 1} of {info.announced} cannot be decoded; the video is "
        "cut short or damaged"
    )
    if info.truncated and not options.allow_truncated:
        raise InputError(
            f"{text}. Copy it again, or take the {info.frames} frames before it with "
            "--allow-truncated."
        )
    if info.truncated:
        logger.warning("%s; only the %d frames before it are written", text, info.frames)
    else:
        # Within half a second: usually the sound is longer than the pictures.
        logger.warning(
            "%s: announces %d frames, %d can be decoded", source, info.announced, info.frames
        )
