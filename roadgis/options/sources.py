"""Settings of the search for sheets in sources."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from roadgis.errors import InputError
from roadgis.options.option import Option, setting

#: What to do about sheets that cannot be used.
OnError = Literal["stop", "skip"]
#: Which sheet lies on top where several overlap.
Order = Literal["newest", "given"]


@dataclass(frozen=True)
class SourceOptions:
    """Settings of the search for sheets, and the choice among them.

    Attributes
    ----------
    on_error : {"stop", "skip"}
        Whether sheets that cannot be used end the run, all named at once, or are left out with a
        warning.
    order : {"newest", "given"}
        Which sheet lies on top where several overlap: the one with the latest date, sheets
        without a date below all others, or the one that is named first.
    recursive : bool
        Search the folders inside of folders too.
    date_field : str or None
        Field of a tile index with the date; None takes one that is called so.
    bbox : tuple of float or None
        West, south, east and north in degrees: only STAC items that touch it are used, and only
        this part of web map services.
    datetime : str or None
        Only STAC items of this time: ``2019``, ``2019-07-03`` or an interval such as
        ``2019-01-01/2020-12-31``, ``../2020``.
    asset : str or None
        Name of the asset to read of each STAC item; None takes the imagery by roles and bands.
    imagery_licence : str or None
        Licence under which web map services may be read; kept in the provenance.
    cache_dir : Path or None
        Where tiles of web map services are kept; None takes the user's cache folder.
    request_rate : float
        Largest number of requests per second to a web map service.
    """

    on_error: OnError = setting(
        "stop",
        Option(
            "Sheets that cannot be read: stop lists all of them before the run; skip leaves them "
            "out with a warning.",
            "sources",
        ),
    )
    order: Order = setting(
        "newest",
        Option(
            "Sheet on top where sheets overlap: the newest by date, or the first one given.",
            "sources",
        ),
    )
    recursive: bool = setting(False, Option("Search folders inside folders.", "sources"))
    date_field: str | None = setting(
        None,
        Option(
            "Field of a tile index with the date of each sheet.",
            "sources",
            metavar="FIELD",
            default_text="date or a similar name",
        ),
    )
    bbox: tuple[float, float, float, float] | None = setting(
        None,
        Option(
            "Area of STAC items and web map services: west, south, east, north in degrees.",
            "sources",
            metavar="W,S,E,N",
            default_text="the bounds of --aoi",
            example="8.5,47.3,8.6,47.4",
        ),
    )
    datetime: str | None = setting(
        None,
        Option(
            "Time of STAC items: a year, a day, or an interval such as 2019-01-01/2020-12-31 or "
            "../2020.",
            "sources",
            metavar="TIME",
            default_text="any",
        ),
    )
    asset: str | None = setting(
        None,
        Option(
            "Asset to read of each STAC item.",
            "sources",
            metavar="NAME",
            default_text="imagery, by roles and bands",
        ),
    )
    imagery_licence: str | None = setting(
        None,
        Option(
            "Licence of the imagery of a web map service (xyz:, wms:, wmts:), which is not read "
            "without it; kept in the provenance.",
            "sources",
            metavar="TEXT",
        ),
    )
    cache_dir: Path | None = setting(
        None,
        Option(
            "Cache folder for tiles of web map services.",
            "sources",
            path=("out", "folder"),
            default_text="in the user's cache folder",
        ),
    )
    request_rate: float = setting(
        5.0,
        Option(
            "Maximum number of requests per second to a web map service.",
            "sources",
            metavar="N",
            low=0,
            low_open=True,
        ),
    )

    def __post_init__(self) -> None:
        for name, choices in (("on_error", get_args(OnError)), ("order", get_args(Order))):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}, expected one of {', '.join(choices)}."
                )
        if not 0 < self.request_rate < math.inf:
            raise InputError(
                f"request_rate is {self.request_rate}, expected a positive number per second."
            )
        if self.bbox is not None and not _is_box(self.bbox):
            raise InputError(
                f"bbox is {self.bbox}, expected west,south,east,north in degrees, such as "
                "8.5,47.3,8.6,47.4."
            )
        if self.datetime is not None and not _TIME.fullmatch(self.datetime):
            raise InputError(
                f"datetime is {self.datetime!r}, expected a date such as 2019-07-03, a year, or an "
                "interval such as 2019-01-01/2020-12-31 or ../2020."
            )


_POINT = r"\d{4}(-\d\d(-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d)?)?)?)?"
_TIME = re.compile(rf"{_POINT}|({_POINT}|\.\.|)/({_POINT}|\.\.|)")


def _is_box(box: tuple[float, ...]) -> bool:
    return (
        len(box) == 4
        and all(map(math.isfinite, box))
        and box[0] < box[2]
        and -90 <= box[1] < box[3] <= 90
    )
