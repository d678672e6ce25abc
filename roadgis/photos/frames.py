"""Reading and writing videos and pictures as arrays of red, green, blue."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from roadgis.arrays import Bytes
from roadgis.errors import InputError, MissingExtraError, OutputError, ReadError, how_to_install
from roadgis.imagery.damage import missing_end
from roadgis.progress import Progress, no_progress

logger = logging.getLogger(__name__)

Media = Literal["video", "picture"]
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
VIDEO_SUFFIXES = (".webm", ".mp4")

# Best first. VP8 is written two to three times as fast as VP9. Browsers play all but mp4v, which
# is ten times as fast again.
_CODECS = {".webm": ("VP80", "VP90"), ".mp4": ("avc1", "mp4v", "vp09")}
# Containers without an exact frame count derive it from their duration, which may be that of the
# sound. Smaller differences are a warning.
_SLACK_S = 0.5
_HEAD_BYTES = 400
_MUTE = threading.Lock()


def import_opencv() -> Any:
    """Import ``cv2`` with its messages silenced."""
    # Read by OpenCV when it opens its first video; -8 is FFmpeg's "quiet".
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            f"Videos and pictures need OpenCV ({error}). {how_to_install('video')}"
        ) from error
    return cv2


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video.

    Attributes
    ----------
    width, height : int
        Pixels as displayed: a camera's rotation is applied.
    fps : float
        Frames per second; the mean if the rate varies.
    frames : int
        Frames that can be decoded.
    announced : int
        Frames according to the file; 0 if unknown.
    """

    width: int
    height: int
    fps: float
    frames: int
    announced: int

    @property
    def truncated(self) -> bool:
        """Whether it ends more than half a second before the announced end."""
        return self.announced - self.frames > max(_SLACK_S * self.fps, 1)


def media_of(path: Path) -> Media:
    """Detect the type of a file from its first bytes, not its name.

    Only video containers reach the decoder, which would also follow playlists to other files.

    Raises
    ------
    InputError
        If it is neither a video nor a picture.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: does not exist; expected a video or a PNG or JPEG picture."
        ) from error
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error}); expected a video file.") from error
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return "picture"
    if _is_container(head):
        return "video"
    raise InputError(
        f"{path}: is not a video; expected a file of type MP4, MOV, WebM, MKV, AVI, MPEG, OGG, FLV "
        "or WMV, or a PNG or JPEG picture. Convert it, for example with FFmpeg."
    )


def _is_container(head: bytes) -> bool:
    starts = (
        b"\x1aE\xdf\xa3",  # WebM, Matroska
        b"OggS",
        b"FLV\x01",
        b"\x00\x00\x01\xba",  # MPEG program stream
        b"\x00\x00\x01\xb3",  # MPEG-1 and 2 video
        b"0&\xb2u\x8ef\xcf\x11",  # WMV
    )
    if head.startswith(starts) or (head[:4] == b"RIFF" and head[8:11] == b"AVI"):
        return True
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}:  # MP4, MOV
        return True
    # MPEG transport stream: packets of 188 bytes, with a time stamp before each on Blu-ray (192).
    return head[:1] == head[188:189] == b"G" or head[4:5] == head[196:197] == b"G"


def check_video(path: Path, *, progress: Progress = no_progress) -> VideoInfo:
    """Decode a whole video once, to know its content before the long work.

    Parameters
    ----------
    progress : Progress
        Progress callback, called once per frame.

    Raises
    ------
    InputError
        If it cannot be opened, holds no frame, or gives no frame rate.
    """
    cv2 = import_opencv()
    with _captured(cv2, path) as capture:
        announced = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        found, first = capture.read()
        if not found:
            raise InputError(
                f"{path}: found no frame that can be decoded, expected a video. It may be damaged, "
                "hold sound only, or need a codec that this OpenCV lacks; convert it with FFmpeg."
            )
        height, width = first.shape[:2]
        frames = 1
        while capture.grab():
            frames += 1
            done = frames / announced if announced else 0.0
            progress(min(done, 1.0), f"checking: frame {frames}")
    if not (math.isfinite(fps) and 0 < fps <= 1000):
        raise InputError(
            f"{path}: found a frame rate of {fps:g}, expected more than 0 and at most 1000 a "
            "second. Convert it with FFmpeg."
        )
    return VideoInfo(width, height, fps, frames, announced)


@contextlib.contextmanager
def open_frames(path: Path) -> Iterator[Iterator[Bytes]]:
    """Read a video frame by frame.

    Yields
    ------
    iterator of ndarray of uint8, shape (H, W, 3)
        Red, green, blue. It ends at the first frame that cannot be decoded.
    """
    cv2 = import_opencv()

    def frames(capture: Any) -> Iterator[Bytes]:
        while True:
            found, frame = capture.read()
            if not found:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    with _captured(cv2, path) as capture:
        yield frames(capture)


@contextlib.contextmanager
def _captured(cv2: Any, path: Path) -> Iterator[Any]:
    # FFmpeg by name: other readers take "frame_%03d.png" as a series of pictures.
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise InputError(
                f"{path}: cannot be opened as a video. It may have been cut short (an MP4 keeps "
                "its index at the end) or be damaged; copy it again, or repair it with FFmpeg."
            )
        yield capture
    finally:
        capture.release()


def find_codec(suffix: str) -> str:
    """Return the best codec (four characters) that this OpenCV writes into a file type.

    Raises
    ------
    InputError
        If the suffix is not one of :data:`VIDEO_SUFFIXES`.
    OutputError
        If no codec works; the message names the file types that do.
    """
    if suffix not in _CODECS:
        raise InputError(f"Found the suffix {suffix!r}, expected one of {VIDEO_SUFFIXES}.")
    cv2 = import_opencv()
    for codec in _CODECS[suffix]:
        if _writes(cv2, codec, suffix):
            return codec
    others = [
        other
        for other in VIDEO_SUFFIXES
        if other != suffix and any(_writes(cv2, codec, other) for codec in _CODECS[other])
    ]
    remedy = (
        f"name the output {' or '.join(others)}" if others else "install opencv-python-headless"
    )
    raise OutputError(
        f"OpenCV {cv2.__version__} on this machine has none of the codecs "
        f"{', '.join(_CODECS[suffix])} that {suffix} needs; {remedy}."
    )


def _writes(cv2: Any, codec: str, suffix: str) -> bool:
    """Return whether a codec works: some fail only at the first frame."""
    with tempfile.TemporaryDirectory(prefix="roadgis-codec-") as folder:
        path = Path(folder) / f"probe{suffix}"
        writer = _open_writer(cv2, path, codec, 25.0, (64, 64))
        if writer.isOpened():
            for _ in range(3):
                writer.write(np.zeros((64, 64, 3), np.uint8))
        writer.release()
        return path.exists() and path.stat().st_size > 0


def _open_writer(cv2: Any, path: Path, codec: str, fps: float, size: tuple[int, int]) -> Any:
    code = cv2.VideoWriter_fourcc(*codec)
    with _muted():
        return cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, fps, size)


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Silence messages of OpenCV that bypass its own logging."""
    with _MUTE, contextlib.ExitStack() as stack:
        sys.stderr.flush()
        kept = os.dup(2)
        stack.callback(os.close, kept)
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        stack.callback(os.dup2, kept, 2)
        yield


class FrameWriter:
    """Writes a video frame by frame; a context manager.

    Parameters
    ----------
    path : Path
        One of :data:`VIDEO_SUFFIXES`.
    codec : str
        From :func:`find_codec`.
    height, width : int
        Size of the frames, pixels. Codecs need even sizes: the last odd row or column is left out.

    Attributes
    ----------
    size : tuple of int
        Width and height of the video.

    Raises
    ------
    OutputError
        If the file cannot be opened for writing, or is empty at the end.
    """

    def __init__(self, path: Path, codec: str, height: int, width: int, fps: float) -> None:
        self._cv2 = import_opencv()
        self._path = path
        self.size = (width - width % 2, height - height % 2)
        self._writer = _open_writer(self._cv2, path, codec, fps, self.size)
        if not self._writer.isOpened():
            self._writer.release()
            raise OutputError(
                f"{path.name}: OpenCV cannot write {codec} of {self.size[0]} x {self.size[1]} px "
                f"at {fps:g} frames a second. Try another file type: {VIDEO_SUFFIXES}."
            )

    def write(self, frame: Bytes) -> None:
        """Add a frame, shape (H, W, 3), red, green, blue."""
        width, height = self.size
        self._writer.write(self._cv2.cvtColor(frame[:height, :width], self._cv2.COLOR_RGB2BGR))

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.release()
        if error is None and (not self._path.exists() or self._path.stat().st_size == 0):
            raise OutputError(
                f"{self._path.name}: OpenCV wrote nothing. Check the disk's free space, or try "
                f"another file type: {VIDEO_SUFFIXES}."
            )


def read_picture(path: Path) -> Bytes:
    """Read a PNG or JPEG picture.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        Red, green, blue; a camera's rotation is applied.
    """
    cv2 = import_opencv()
    # Not imread: on Windows it cannot open names outside the code page.
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"{path}: the picture cannot be decoded ({error}).") from error
    if picture is None or missing_end(data.tobytes()) is not None:
        raise InputError(f"{path}: the picture is damaged or cut short; copy it again.")
    rgb: Bytes = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return rgb


def write_picture(path: Path, image: Bytes) -> None:
    """Write a picture of shape (H, W, 3), red, green, blue, as PNG or JPEG by its suffix."""
    cv2 = import_opencv()
    done, data = cv2.imencode(path.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError(f"{path.name}: OpenCV cannot write this type of picture; use .png.")
    path.write_bytes(data.tobytes())
