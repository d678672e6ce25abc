"""Classes of index masks: which labels belong to which class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadgis.atomic import atomic_path
from roadgis.errors import InputError

#: Name of class 0, for all other labels.
OTHER = "other"
#: Index of pixels ignored in training and metrics.
IGNORE = 255
#: File next to the masks with the meaning of their indices.
CLASSES_FILE = "classes.json"

_MAX_CLASSES = 254


@dataclass(frozen=True)
class LabelClasses:
    """Classes by index, and their labels.

    Attributes
    ----------
    names : tuple of str
        By index; the first is always ``other``.
    labels : tuple of (tuple of str)
        By index; empty for ``other``, which holds the labels of no class.
    ignore : tuple of str
        Labels of pixels that become 255.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    ignore: tuple[str, ...] = ()

    @property
    def index_of(self) -> dict[str, int]:
        """Index of each named label; others have 0."""
        found = {label: i for i, labels in enumerate(self.labels) for label in labels}
        return {**found, **dict.fromkeys(self.ignore, IGNORE)}

    def write(self, path: Path) -> None:
        """Write names, labels and the ignored index as JSON."""
        content = {
            "classes": list(self.names),
            "labels": dict(zip(self.names[1:], map(list, self.labels[1:]), strict=True)),
            "ignore": IGNORE,
            "ignored_labels": list(self.ignore),
        }
        with atomic_path(path) as partial:
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            partial.write_text(text, encoding="utf-8")


def parse_classes(classes: str | Sequence[str], ignore: str | Sequence[str] = ()) -> LabelClasses:
    """Parse the classes of an option.

    Parameters
    ----------
    classes : str or sequence of str
        ``road,sidewalk,vehicle=car+truck+bus``: a label as its own class, or ``NAME=LABEL+LABEL``.
        The first has index 1.
    ignore : str or sequence of str
        Labels of pixels that become 255, such as ``out of roi,ego vehicle``.

    Raises
    ------
    InputError
        If there are none, a name is empty, or a class or label occurs twice.
    """
    names: list[str] = [OTHER]
    groups: list[tuple[str, ...]] = [()]
    for text in _items(classes):
        name, equals, gathered = text.partition("=")
        labels = tuple(part.strip() for part in gathered.split("+")) if equals else (name.strip(),)
        if not name.strip() or not all(labels):
            raise InputError(
                f"--classes: {text!r} is not a class. Expected LABEL or NAME=LABEL+LABEL, such as "
                "vehicle=car+truck."
            )
        names.append(name.strip())
        groups.append(labels)
    if len(names) == 1:
        raise InputError("--classes: found no class. Expected labels, such as road,sidewalk.")
    if len(names) > _MAX_CLASSES + 1:
        raise InputError(
            f"--classes: {len(names) - 1} classes; a mask holds {_MAX_CLASSES} at most. Combine "
            "several labels in one class (NAME=LABEL+LABEL)."
        )
    ignored = tuple(_items(ignore))
    _reject_repeated(names, "class", f"Class 0 is always {OTHER!r}; name each of the others once.")
    _reject_repeated(
        [label for labels in groups for label in labels] + list(ignored),
        "label",
        "A pixel has one class: name each label once in --classes and --ignore.",
    )
    return LabelClasses(tuple(names), tuple(groups), ignored)


def _items(given: str | Sequence[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given)
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _reject_repeated(names: Sequence[str], what: str, remedy: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            f"--classes: the {what} {', '.join(map(repr, repeated))} is named more than once. "
            f"{remedy}"
        )
