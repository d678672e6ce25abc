"""GeoParquet files after version 1.1 of its specification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from roadgis.output.provenance import PROVENANCE_KEY
from roadgis.output.table import FeatureTable

#: Rows of a row group: readers skip those whose boxes lie outside of their area.
_GROUP_ROWS = 16_384
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def write_parquet(features: FeatureTable, path: Path, provenance: str) -> None:
    """Write lines as GeoParquet 1.1: WKB, PROJJSON, a bounding box for each row.

    Rows are in the order of a Hilbert curve, so that each row group covers a small area.

    geopandas stores metadata (``attrs``) since 1.2, which needs Python 3.11, and as a pandas
    entry that other programs do not look for.

    Parameters
    ----------
    features : FeatureTable
        LineStrings.
    provenance : str
        JSON text, stored in the schema's metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = features.to_geodataframe()
    if len(table):
        place = np.asarray(table.geometry.hilbert_distance())
        table = table.iloc[np.argsort(place, kind="stable")]
    geometries = np.asarray(table.geometry)
    columns: dict[str, Any] = {
        # A text column without values would get the type null.
        name: pa.array(
            np.asarray(table[name]),
            pa.string() if table[name].dtype == object else None,
            from_pandas=True,
        )
        for name in table.columns
        if name != table.geometry.name
    }
    columns["geometry"] = pa.array(shapely.to_wkb(geometries, flavor="iso"), pa.binary())
    boxes = shapely.bounds(geometries).reshape(-1, 4)
    columns["bbox"] = pa.StructArray.from_arrays(
        [pa.array(boxes[:, i]) for i in range(4)], names=list(_CORNERS)
    )
    geometry: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["LineString"],
        "crs": table.crs.to_json_dict(),
        "edges": "planar",
        "covering": {"bbox": {corner: ["bbox", corner] for corner in _CORNERS}},
    }
    if len(boxes):
        geometry["bbox"] = [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    arrow = pa.table(columns).replace_schema_metadata(
        {"geo": json.dumps(geo), PROVENANCE_KEY: provenance}
    )
    pq.write_table(arrow, path, compression="zstd", row_group_size=_GROUP_ROWS)
