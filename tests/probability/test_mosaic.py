"""The probability mosaic: chunks, resuming, damage, the COG."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from roadgis.errors import OutputError, ReadError, ResumeError
from roadgis.imagery.grid import Grid, Window
from roadgis.probability.mosaic import Mosaic, remove_mosaic, write_cog
from roadgis.probability.source import NO_DATA

CHUNK = 64
GRID = Grid(CRS.from_epsg(32633), 500_000.0, 5_000_000.0, 1.0, 150, 100)


def values(seed: int = 0) -> np.ndarray:
    """Return a grid of probabilities with some nodata."""
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 255, (GRID.height, GRID.width), np.uint8)
    array[:20, :30] = NO_DATA
    return array


def filled(folder: Path, array: np.ndarray) -> Mosaic:
    mosaic = Mosaic.create(folder, GRID, {"model": "a"}, chunk_px=CHUNK)
    mosaic.write(GRID.window, array)
    return mosaic


def test_mosaic_reads_windows_as_written_and_nodata_beyond(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    array = values()
    folder = tmp_path_factory.mktemp("mosaic")
    filled(folder, array)
    mosaic = Mosaic.open(folder)  # values are read back from the files
    framed = np.pad(array, 90, constant_values=NO_DATA)

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(-90, GRID.height),
        st.integers(-90, GRID.width),
        st.integers(1, 90),
        st.integers(1, 90),
    )
    def check(row: int, col: int, height: int, width: int) -> None:
        found = mosaic.read(Window(row, col, height, width))
        np.testing.assert_array_equal(
            found, framed[row + 90 : row + 90 + height, col + 90 : col + 90 + width]
        )

    check()


def test_mosaic_window_is_done_when_all_its_chunks_are(tmp_path: Path) -> None:
    mosaic = Mosaic.create(tmp_path, GRID, {}, chunk_px=CHUNK)
    first = Window(0, 0, CHUNK, CHUNK)
    assert not mosaic.is_done(first)
    mosaic.write(first, np.zeros((CHUNK, CHUNK), np.uint8))
    assert mosaic.is_done(first)
    assert not mosaic.is_done(GRID.window)
    assert [path.name for path in (tmp_path / "chunks-1" / "00000").iterdir()] == ["00000.tif"]


def test_mosaic_marks_a_chunk_without_data_without_a_file(tmp_path: Path) -> None:
    mosaic = Mosaic.create(tmp_path, GRID, {}, chunk_px=CHUNK)
    mosaic.write(GRID.window, None)
    assert mosaic.is_done(GRID.window)
    assert mosaic.is_blank(GRID.window)
    assert not list(tmp_path.rglob("*.tif"))
    assert (mosaic.read(GRID.window) == NO_DATA).all()


def test_mosaic_rejects_a_part_of_a_chunk(tmp_path: Path) -> None:
    mosaic = Mosaic.create(tmp_path, GRID, {}, chunk_px=CHUNK)
    with pytest.raises(ValueError, match="whole chunks"):
        mosaic.write(Window(0, 0, CHUNK, CHUNK - 1), np.zeros((CHUNK, CHUNK - 1), np.uint8))


def test_mosaic_resumes_with_equal_settings_and_names_changed_ones(tmp_path: Path) -> None:
    Mosaic.create(tmp_path, GRID, {"model": "a", "aoi": None}, chunk_px=CHUNK)
    Mosaic.create(tmp_path, GRID, {"aoi": None, "model": "a"}, chunk_px=CHUNK)
    with pytest.raises(ResumeError, match=r'model: "a" before, "b" now.*--restart'):
        Mosaic.create(tmp_path, GRID, {"model": "b", "aoi": None}, chunk_px=CHUNK)
    with pytest.raises(ResumeError, match="chunk_px: 64 before, 32 now"):
        Mosaic.create(tmp_path, GRID, {"model": "a", "aoi": None}, chunk_px=32)


def test_mosaic_open_reads_the_grid(tmp_path: Path) -> None:
    array = values(1)
    filled(tmp_path, array)
    again = Mosaic.open(tmp_path)
    assert again.grid == GRID
    np.testing.assert_array_equal(again.read(GRID.window), array)
    with pytest.raises(ReadError, match=r"no mosaic\.json"):
        Mosaic.open(tmp_path / "elsewhere")


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 100_000, b"[]", b"1"])
def test_mosaic_with_a_damaged_header_names_the_remedy(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "mosaic.json").write_bytes(text)
    with pytest.raises(ResumeError, match="Remove the folder"):
        Mosaic.open(tmp_path)


def test_mosaic_with_a_header_of_another_format_names_the_expected_one(tmp_path: Path) -> None:
    (tmp_path / "mosaic.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ResumeError, match="format 2"):
        Mosaic.open(tmp_path)


def test_mosaic_names_a_damaged_chunk(tmp_path: Path) -> None:
    mosaic = filled(tmp_path, values())
    chunk = tmp_path / "chunks-1" / "00001" / "00001.tif"
    chunk.write_bytes(chunk.read_bytes()[:200])
    with pytest.raises(ReadError, match=r"00001.00001\.tif"):
        mosaic.read(GRID.window)


def test_mosaic_cog_has_values_tags_and_overviews(tmp_path: Path) -> None:
    grid = Grid(GRID.crs, GRID.x0, GRID.y0, 1.0, 1200, 1100)
    rng = np.random.default_rng(3)
    array = rng.integers(0, 255, (grid.height, grid.width), np.uint8)
    array[500:800, 500:800] = NO_DATA
    mosaic = Mosaic.create(tmp_path / "work", grid, {}, chunk_px=512)
    mosaic.write(grid.window, array)
    path = tmp_path / "prob.tif"
    write_cog(mosaic, path, tags={"ROADGIS_PROVENANCE": "{}"})
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), array)
        assert dataset.overviews(1) == [2, 4]
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.tags()["ROADGIS_PROBABILITY"] == "254"
        assert dataset.tags()["ROADGIS_PROVENANCE"] == "{}"
        assert dataset.nodata == NO_DATA
        assert dataset.crs.to_epsg() == 32633
        assert dataset.transform == grid.transform
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["prob.tif"]


def test_mosaic_cog_that_cannot_be_written_keeps_the_old_file(tmp_path: Path) -> None:
    mosaic = filled(tmp_path / "work", values())
    with pytest.raises(OutputError, match="nowhere"):
        write_cog(mosaic, tmp_path / "nowhere" / "prob.tif")


def test_mosaic_never_reads_an_unfinished_chunk_as_nodata(tmp_path: Path) -> None:
    mosaic = Mosaic.create(tmp_path, GRID, {}, chunk_px=CHUNK)
    mosaic.write(Window(0, 0, CHUNK, CHUNK), np.zeros((CHUNK, CHUNK), np.uint8))
    for read in (lambda: mosaic.read(GRID.window), mosaic.write_vrt):
        with pytest.raises(ReadError, match=r"00000.00001\.tif: this chunk is not finished"):
            read()


def test_mosaic_names_a_finished_chunk_that_is_missing(tmp_path: Path) -> None:
    filled(tmp_path, values())
    (tmp_path / "chunks-1" / "00001" / "00001.tif").unlink()
    mosaic = Mosaic.open(tmp_path)
    for use in (mosaic.is_done, mosaic.read):
        with pytest.raises(ReadError, match=r"00001.00001\.tif: .*missing now.*--restart"):
            use(GRID.window)


def test_mosaic_names_a_chunk_of_another_mosaic_and_one_in_the_wrong_place(tmp_path: Path) -> None:
    filled(tmp_path / "a", values(1))
    filled(tmp_path / "b", values(2))
    first, second = (tmp_path / "a" / "chunks-1" / "00001" / f"0000{col}.tif" for col in (0, 1))
    first.write_bytes((tmp_path / "b" / "chunks-1" / "00001" / "00000.tif").read_bytes())
    with pytest.raises(ReadError, match=r"00001.00000\.tif: .*another run or place"):
        Mosaic.open(tmp_path / "a").read(GRID.window)
    filled(tmp_path / "c", values(1))
    swapped = tmp_path / "c" / "chunks-1" / "00000" / "00001.tif"
    swapped.write_bytes((swapped.parent / "00000.tif").read_bytes())
    with pytest.raises(ReadError, match=r"00000.00001\.tif: .*another run or place"):
        Mosaic.open(tmp_path / "c").write_vrt()
    assert second.exists()


def test_mosaic_does_not_replace_a_file_of_others_in_a_chunks_place(tmp_path: Path) -> None:
    mosaic = Mosaic.create(tmp_path / "a", GRID, {}, chunk_px=CHUNK)
    other = filled(tmp_path / "b", values(2))
    place = tmp_path / "a" / "chunks-1" / "00000" / "00000.tif"
    place.parent.mkdir()
    place.write_bytes((other.folder / "chunks-1" / "00000" / "00000.tif").read_bytes())
    before = place.read_bytes()
    with pytest.raises(ReadError, match=r"00000.00000\.tif: .*another run or place"):
        mosaic.write(GRID.window, values())
    assert place.read_bytes() == before


def test_mosaic_counts_a_chunk_written_but_not_yet_marked(tmp_path: Path) -> None:
    mosaic = filled(tmp_path, values())
    (mosaic.folder / "chunks-1" / "done.bin").write_bytes(bytes(6))
    again = Mosaic.open(tmp_path)
    assert again.is_done(GRID.window)
    np.testing.assert_array_equal(again.read(GRID.window), values())


def test_mosaic_names_a_damaged_record_of_finished_blocks(tmp_path: Path) -> None:
    filled(tmp_path, values())
    (tmp_path / "chunks-1" / "done.bin").write_bytes(b"\1\1")
    with pytest.raises(ReadError, match=r"done\.bin: is damaged"):
        Mosaic.open(tmp_path)


def test_remove_mosaic_leaves_files_of_others(tmp_path: Path) -> None:
    filled(tmp_path, values())
    kept = [tmp_path / "notes.txt", tmp_path / "chunks-1" / "mine.tif"]
    for path in kept:
        path.write_text("mine")
    remove_mosaic(tmp_path)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)
    assert not (tmp_path / "chunks-1" / "00000").exists()


def test_renewed_mosaic_keeps_windows_where_they_lie_in_the_new_grid(tmp_path: Path) -> None:
    array = values(4)
    mosaic = filled(tmp_path, array)
    # The new grid starts 30 rows above and 20 columns to the left of the old one.
    grid = Grid(GRID.crs, GRID.x0 - 20, GRID.y0 + 30, 1.0, 200, 140)
    there = Window(CHUNK, CHUNK, CHUNK, CHUNK)
    here = Window(CHUNK - 30, CHUNK - 20, CHUNK, CHUNK)
    with pytest.raises(ReadError, match="not finished"):
        mosaic.renewed(grid, {"a": 1}, [(here, there)]).read(grid.window)
    again = Mosaic.open(tmp_path)
    assert again.grid == grid
    assert again.imagery == {"a": 1}
    np.testing.assert_array_equal(
        again.read(there), array[here.row : here.row + CHUNK, here.col : here.col + CHUNK]
    )
    assert [p.name for p in tmp_path.glob("chunks-*")] == ["chunks-2"]


def test_mosaic_caches_chunks_until_their_files_change(tmp_path: Path) -> None:
    array = values()
    mosaic = filled(tmp_path, array)
    (file, *_) = sorted((tmp_path / "chunks-1").rglob("*.tif"))
    state = file.stat()
    file.write_bytes(bytes(state.st_size))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert np.array_equal(mosaic.read(mosaic.grid.window), array)  # no file is opened
    os.utime(file, ns=(0, 0))
    with pytest.raises(ReadError, match=r"the chunk is damaged"):
        mosaic.read(mosaic.grid.window)
