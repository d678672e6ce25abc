"""Reading a tile index of sheets, as written by ``gdaltindex``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadgis.errors import SceneError
from roadgis.imagery.acquisition_date import stated_date
from roadgis.sources.location import listed, located
from roadgis.sources.sheet import Sheet
from roadgis.vector_files.light_pyogrio import light_pyogrio

if TYPE_CHECKING:
    from roadgis.vector_files.reading import LayerFile

#: Field with the path of the raster.
LOCATION = "location"
#: Names of date fields, the best one first; including names cut to ten characters in Shapefiles.
_DATE_FIELDS = (
    *("date", "acquisition_date", "acquisitio", "acq_date", "datetime", "acquired", "captured"),
    *("capture_date", "capture_da", "source_date", "src_date", "flight_date", "flight_dat"),
    *("timestamp", "year"),
)


def is_vector(path: Path) -> bool:
    """Return whether a file, such as a GeoPackage, has a vector layer."""
    pyogrio = light_pyogrio()
    try:
        return any(kind is not None for _, kind in pyogrio.list_layers(path))
    except pyogrio.errors.DataSourceError:
        return False


def read_tile_index(path: Path, date_field: str | None = None) -> list[Sheet]:
    """Read sheets from a layer of outlines.

    Parameters
    ----------
    path : Path
        GeoPackage, Shapefile or another vector format with a field ``location``. Relative paths
        in it start at its folder.
    date_field : str or None
        Field with the date; by default a field named date or similar.

    Returns
    -------
    list of Sheet
        One per feature, in the file's order.

    Raises
    ------
    SceneError
        If the field or all features are missing, or values are not paths or dates.
    DataError
        If the file cannot be read.
    """
    from roadgis.vector_files.reading import LayerFile  # tables are slow to load

    layer = LayerFile(
        path,
        None,
        layer_option=None,
        expected="outlines of sheets, with their paths in the field 'location'",
        unwanted=("Point", "Line"),
    )
    location = _field(layer, (LOCATION,))
    if location is None:
        raise SceneError(
            f"{path}: has no field '{LOCATION}' (fields: {', '.join(layer.fields) or 'none'}). "
            "Expected imagery, or a tile index of imagery as gdaltindex writes it."
        )
    dated = _field(layer, _DATE_FIELDS if date_field is None else (date_field,))
    if date_field is not None and dated is None:
        raise SceneError(
            f"{path}: has no field {date_field!r} (fields: {', '.join(layer.fields)}). Name the "
            "field with the sheets' dates with --date-field."
        )
    table = layer.read([location] if dated is None else [location, dated])
    sheets, wrong = [], []
    for number, name in enumerate(table[location], 1):
        try:
            date = stated_date(None if dated is None else table[dated].iloc[number - 1])
            sheets.append(Sheet(located(path, _path(name)), date=date))
        except ValueError as error:
            wrong.append(f"feature {number}: {error}")
    if wrong:
        raise SceneError(f"{path}: holds values that cannot be used:\n{listed(wrong)}")
    if not sheets:
        raise SceneError(f"{path}: has no features; expected one per sheet.")
    return sheets


def _field(layer: LayerFile, names: Sequence[str]) -> str | None:
    own = {field.lower(): field for field in layer.fields}
    return next((own[name.lower()] for name in names if name.lower() in own), None)


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{LOCATION} is empty")
    return value.strip()
