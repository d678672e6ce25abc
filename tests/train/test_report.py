"""Test reports: self-contained page, JSON, commands."""

from __future__ import annotations

import base64
import io
import itertools
import json
import math
import os
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rasterio.errors import NotGeoreferencedWarning

from roadgis.errors import DataError, InputError, MissingExtraError, OutputError
from roadgis.model.catalog import read_card
from roadgis.options.scoring import ReportOptions
from roadgis.train.data.labelled_scene import IGNORE
from roadgis.train.scoring.curves import Scores
from roadgis.train.scoring.evaluation import Block, SceneScores
from roadgis.train.scoring.overlays import COLOURS, OverlayGallery
from roadgis.train.scoring.page import history_charts
from roadgis.train.scoring.report import read_history, score_model
from tests.factories.models import GROUND, tiny_model
from tests.factories.pairs import ArrayScene
from tests.train.test_threshold import road_scene, write_pairs

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{NotGeoreferencedWarning.__module__}.{NotGeoreferencedWarning.__name__}"
)

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Records the content of a page, and checks that its elements close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "m.onnx", name="<tiny> & Söhne")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "valid"
    scene = road_scene()
    write_pairs(folder, scene, ("good", "Straße <b> & Co"))
    hidden = ArrayScene("", scene.image.copy(), scene.labels)
    hidden.image[:, :45] = GROUND  # half of the road is hidden
    write_pairs(folder, hidden, ("half",))
    empty = ArrayScene("", np.full_like(scene.image, GROUND), np.zeros_like(scene.labels))
    write_pairs(folder, empty, ("empty",))
    return folder


def test_score_model_writes_all_numbers_as_json(tmp_path: Path, model: Path, data: Path) -> None:
    path = tmp_path / "scores.json"
    result = score_model(model, [data], ReportOptions(scores=path))
    values = json.loads(path.read_text(encoding="utf-8"))
    assert values["threshold"] == read_card(model).threshold
    assert values["data"] == [str(data)]
    assert values["model"]["name"] == "<tiny> & Söhne"
    for name in (
        "iou", "precision", "recall", "f1", "relaxed_precision", "relaxed_recall", "relaxed_f1",
    ):  # fmt: skip
        assert values[name] == getattr(result.scores, name)
    assert 0.8 < values["iou"] < 0.9
    assert values["break_even"] > 0.8
    names = [scene["name"] for scene in values["scenes"]]
    assert sorted(names) == ["Straße <b> & Co", "empty", "good", "half"]
    by_name = dict(zip(names, values["scenes"], strict=True))
    assert by_name["good"]["iou"] > 0.95
    assert by_name["half"]["iou"] == pytest.approx(0.5, abs=0.05)
    assert by_name["empty"]["recall"] is None  # undefined without road
    assert [entry["name"] for entry in values["classes"]] == ["other", "road"]
    assert np.sum(values["confusion"]) == 4 * 70 * 90
    assert len(values["curve"]["iou"]) == 254
    assert sum(values["histogram"]["road"]) == 3 * 8 * 90


def test_score_model_report_is_self_contained_and_well_formed(
    tmp_path: Path, model: Path, data: Path
) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "report.html"
    score_model(model, [data], ReportOptions(report=path, examples=2))
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.all("script")
    assert not page.all("link")
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name) or ""
            assert value.startswith(("data:image/jpeg;base64,", "#")) or not value, (tag, value)
    assert "url(http" not in text
    assert "@import" not in text
    # Names are text, not markup.
    assert "<b>" not in text
    assert "Straße &lt;b&gt; &amp; Co" in text
    assert "&lt;tiny&gt; &amp; Söhne" in text
    # The best two and the worst one of three scenes with road.
    assert len(page.all("img")) == 3
    assert all(image["alt"] for image in page.all("img"))
    charts = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(charts) == 3
    assert all(chart["aria-label"] for chart in charts)
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    for _, attributes in page.tags:
        target = attributes.get("xlink:href") or ""
        assert not target.startswith("#") or target[1:] in identities
    assert "Confusion matrix" in text
    assert len(text) < 1_000_000


def test_score_model_report_shows_scenes(tmp_path: Path, model: Path, data: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import image

    path = tmp_path / "report.html"
    score_model(model, [data], ReportOptions(report=path, examples=1))
    pictures = Page(path.read_text(encoding="utf-8")).all("img")
    assert len(pictures) == 2
    worst = (pictures[1]["src"] or "").partition(",")[2]
    pixels = image.imread(io.BytesIO(base64.b64decode(worst)), format="jpeg").astype(int)
    assert pixels.shape == (70, 90, 3)
    # The left half of the road is missed, the right half is hit.
    left, right = pixels[34, 10], pixels[34, 80]
    assert left[2] > 180 > left[0] + 60
    assert right[1] > 150 > right[0] + 60
    assert "half: IoU 0." in path.read_text(encoding="utf-8")


def test_score_model_report_plots_the_training_log(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("matplotlib")
    model = tiny_model(tmp_path / "model.onnx")
    (tmp_path / "settings.yaml").write_text("seed: 1\n", encoding="utf-8")
    (tmp_path / "log.csv").write_text(
        "epoch,step,loss,iou,validation_iou,learning_rate,seconds\n"
        "1,100,1.5,0.2,,0.001,9\n2,200,1.1,0.3,0.25,0.001,18\n3,300,0.9,,0.4,0.001,27\n",
        encoding="utf-8",
    )
    path = tmp_path / "report.html"
    score_model(model, [data], ReportOptions(report=path, examples=0))
    page = Page(path.read_text(encoding="utf-8"))
    assert "Training" in page.words
    assert not page.all("img")
    history = read_history(tmp_path / "log.csv")
    assert history["loss"] == [1.5, 1.1, 0.9]
    assert math.isnan(history["validation_iou"][0])


def test_history_charts_are_empty_without_values(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    log = tmp_path / "log.csv"
    for text in ("", "epoch,step,loss\n", "epoch,step,loss\n1,100,\n", "other\n3\n"):
        log.write_text(text, encoding="utf-8")
        assert history_charts(read_history(log)) == []


def test_read_history_rejects_other_files(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        read_history(tmp_path / "log.csv")


def test_score_model_checks_outputs_first(tmp_path: Path, model: Path, data: Path) -> None:
    taken = tmp_path / "taken.json"
    taken.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="--overwrite"):
        score_model(model, [tmp_path / "no such folder"], ReportOptions(scores=taken))
    assert taken.read_text(encoding="utf-8") == "mine"
    with pytest.raises(OutputError, match="folder does not exist"):
        score_model(model, [data], ReportOptions(scores=tmp_path / "no" / "s.json"))
    with pytest.raises(InputError, match="one name"):
        ReportOptions(report=taken, scores=taken)
    score_model(model, [data], ReportOptions(scores=taken, overwrite=True))
    assert json.loads(taken.read_text(encoding="utf-8"))["iou"] > 0.8
    assert sorted(os.listdir(tmp_path)) == ["taken.json"]


def test_score_model_without_matplotlib_is_an_error(
    tmp_path: Path, model: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install .\.\[train\]"):
        score_model(model, [data], ReportOptions(report=tmp_path / "r.html"))
    # Numbers need no figures.
    assert score_model(model, [data], ReportOptions(scores=tmp_path / "s.json")).scores.iou > 0.8


def scene_scores(iou: float) -> SceneScores:
    return SceneScores("s", Scores(iou, *[math.nan] * 6), math.nan, 1, 1)


def test_overlay_gallery_keeps_the_best_and_the_worst() -> None:
    blank = np.zeros((4, 4), np.uint8)
    scene = ArrayScene("s", np.zeros((4, 4, 3), np.uint8), blank)
    gallery = OverlayGallery(2, by_class=False)
    for iou in (0.5, 0.1, math.nan, 0.9, 0.4, 0.7, 0.2, 0.6):
        gallery.block(scene, Block(0, 0, scene.image, blank, blank))
        gallery.scene_done(scene, scene_scores(iou))
    assert [overlay.scores.scores.iou for overlay in gallery.best] == [0.9, 0.7]
    assert [overlay.scores.scores.iou for overlay in gallery.worst] == [0.1, 0.2]


def test_overlay_gallery_averages_large_scenes_by_block() -> None:
    rng = np.random.default_rng(0)
    shape = (1501, 121)
    image = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    labels, found = (rng.integers(0, 2, shape).astype(np.uint8) for _ in range(2))
    labels[:100] = IGNORE
    scene = ArrayScene("s", image, labels)
    pictures = []
    for rows, cols in ((1501, 121), (400, 50)):
        gallery = OverlayGallery(1, by_class=False)
        for row in range(0, shape[0], rows):
            for col in range(0, shape[1], cols):
                here = np.s_[row : row + rows, col : col + cols]
                gallery.block(scene, Block(row, col, image[here], labels[here], found[here]))
        gallery.scene_done(scene, scene_scores(0.5))
        pictures.append(gallery.best[0].picture.astype(int))
    assert pictures[0].shape == (501, 41, 3)
    assert abs(pictures[0] - pictures[1]).max() <= 1
    assert pictures[0][:33].mean() < pictures[0][40:].mean() / 2  # ignored pixels are dark


def test_overlay_colours_differ_in_lightness() -> None:
    light = {
        name: 0.2126 * red + 0.7152 * green + 0.0722 * blue
        for name, (red, green, blue) in COLOURS.items()
    }
    values = sorted(light.values())
    assert min(b - a for a, b in itertools.pairwise(values)) > 8


def test_test_command_scores_and_writes(tmp_path: Path, model: Path, data: Path) -> None:
    from roadgis.cli.commands.test import command

    path = tmp_path / "scores.json"
    arguments = [str(model), "--data", str(data), "--json", str(path), "--threshold", "0.25"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    assert "4 scenes at threshold 0.2500: IoU 0." in done.stderr
    assert json.loads(path.read_text(encoding="utf-8"))["threshold"] == 0.25
    again = CliRunner().invoke(command, arguments)
    assert isinstance(again.exception, OutputError)
    assert CliRunner().invoke(command, [*arguments, "--overwrite"]).exit_code == 0
    without = CliRunner().invoke(command, [str(model)])
    assert isinstance(without.exception, DataError)
    assert "found no scenes to score on" in str(without.exception)


def test_threshold_command_changes_the_card(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("matplotlib")
    from roadgis.cli.commands.threshold import command

    model = tiny_model(tmp_path / "m.onnx", threshold=0.9)
    plot, curve = tmp_path / "curve.png", tmp_path / "curve.csv"
    arguments = [str(model), "--data", str(data), "--plot", str(plot), "--curve", str(curve)]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    assert "at 0.5) on valid: 4 scenes" in done.stderr
    assert read_card(model).threshold != 0.9
    assert plot.is_file()
    assert curve.is_file()
    assert isinstance(CliRunner().invoke(command, arguments).exception, OutputError)
    relaxed = [*arguments, "--overwrite", "--criterion", "relaxed-f1", "--buffer-px", "2"]
    assert CliRunner().invoke(command, relaxed).exit_code == 0
    assert "relaxed_f1_2px" in read_card(model).scores
