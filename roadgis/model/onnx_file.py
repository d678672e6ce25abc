"""Open ONNX files, and read and write the model card in their metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from roadgis.atomic import atomic_path
from roadgis.errors import MissingExtraError, ModelError, how_to_install
from roadgis.model.card import CARD_KEY, ModelCard

#: Input of some models: row, column, end row and end column of the part of the tile to compute,
#: multiples of the stride; the output is this part. By default the whole tile.
WINDOW_INPUT = "window"
#: Metadata entry of such models: pixels along the part's edges, other than those of the tile, that
#: are invalid.
WINDOW_MARGIN_KEY = "roadgis_window_margin_px"


def onnxruntime_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that ONNX Runtime raises; they share no base class of their own.

    A message that quotes a damaged file may not be UTF-8, which raises another exception.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = (getattr(state, name) for name in dir(state))
    kinds = [kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*kinds, UnicodeDecodeError)


def open_session(path: Path, options: Any = None, providers: list[str] | None = None) -> Any:
    """Open an ONNX file for inference.

    Parameters
    ----------
    options : onnxruntime.SessionOptions, optional
        Threads, memory and the like.
    providers : list of str, optional
        ONNX Runtime's execution providers, the preferred one first. Default: the CPU.

    Returns
    -------
    onnxruntime.InferenceSession
        Safe to run from several threads at once.

    Raises
    ------
    ModelError
        If there is no such file, or this ONNX Runtime cannot load it.
    """
    import onnxruntime

    if not path.is_file():
        raise ModelError(f"{path}: found no such model file; expected an ONNX model.")
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=providers or ["CPUExecutionProvider"]
        )
    except onnxruntime_errors() as error:
        raise ModelError(
            f"{path}: cannot be loaded as an ONNX model; it is damaged, another kind of file, or "
            f"needs a newer ONNX Runtime than {onnxruntime.__version__} ({_first_line(error)}). "
            "Get the file again, or export it again with 'roadgis export'."
        ) from error


def open_session_for_reading(path: Path) -> Any:
    """Open an ONNX file for its metadata and a few runs: it loads fast and prints nothing.

    Raises
    ------
    ModelError
        As :func:`open_session`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return open_session(path, options)


def session_metadata(session: Any) -> dict[str, str]:
    """Return the metadata properties of an open session.

    Raises
    ------
    ModelError
        If they are not UTF-8.
    """
    try:
        return dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError as error:
        raise ModelError(
            f"The ONNX file's metadata is damaged ({error}), expected text in UTF-8. Get the file "
            "again, or export it again with 'roadgis export'."
        ) from error


def session_card(session: Any, path: Path) -> ModelCard | None:
    """Return the card in the metadata of an open session; None if there is none.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    text = session_metadata(session).get(CARD_KEY)
    return None if text is None else ModelCard.from_json(text, str(path))


def window_margin(session: Any) -> int | None:
    """Return the width of the invalid edge of a window, pixels; None without a window input.

    See :data:`WINDOW_INPUT`.
    """
    text = session_metadata(session).get(WINDOW_MARGIN_KEY, "")
    names = {node.name for node in session.get_overridable_initializers()}
    return int(text) if text.isdecimal() and WINDOW_INPUT in names else None


def write_onnx_card(source: Path, card: ModelCard, output: Path) -> None:
    """Copy an ONNX file and replace its card.

    Parameters
    ----------
    source : Path
        An ONNX file that contains its weights.
    card : ModelCard
        The new card.
    output : Path
        May be `source`.

    Raises
    ------
    MissingExtraError
        If ``onnx`` is not installed.
    OutputError
        If the output cannot be written.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError(
            f"Writing ONNX files needs the onnx package, which is not installed ({error}). "
            f"{how_to_install('train')}"
        ) from error
    model = onnx.load(str(source))
    kept = [entry for entry in model.metadata_props if entry.key != CARD_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=CARD_KEY, value=card.to_json())
    with atomic_path(output) as partial:
        partial.write_bytes(model.SerializeToString())


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
