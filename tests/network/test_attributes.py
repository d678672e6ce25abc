"""Attributes of edges and nodes, and graphs for routing."""

from __future__ import annotations

import dataclasses
import re

import networkx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from roadgis.network.attributes import edge_attributes, grouped_quantiles
from roadgis.network.clean import clean_network
from roadgis.network.network import RoadNetwork
from roadgis.options.vectorization import VectorizeOptions
from roadgis.vectorization import trace_centerlines
from tests.factories.roads import UTM, ArraySource, road

SIZE = (200, 300)


def blocks() -> RoadNetwork:
    """Two squares of 100 m that share a side, a bridge to a far road, and a ring apart.

    ::

        0 --- 1 --- 2
        |     |     |
        3 --- 4 --- 5 = 6 --- 7      8 (ring)
    """
    place = [(0, 100), (100, 100), (200, 100), (0, 0), (100, 0), (200, 0), (230, 0), (330, 0)]
    nodes = np.array([*place, (500, 0)], float) + np.array([500_000, 5_000_000])
    pairs = [(0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (4, 5), (5, 6), (6, 7)]
    lines = [shapely.LineString(nodes[[u, v]]) for u, v in pairs]
    # The loop: half as long again.
    lines[0] = shapely.LineString([nodes[0], nodes[0] + (50, 50), nodes[1]])
    ring = [nodes[8], nodes[8] + (0, 30), nodes[8] + (30, 0), nodes[8]]
    count = len(pairs) + 1
    return RoadNetwork(
        crs=UTM,
        edges=np.array([*lines, shapely.LineString(ring)], object),
        start=np.array([u for u, _ in pairs] + [8]),
        end=np.array([v for _, v in pairs] + [8]),
        width_m=np.full(count, 7.0),
        confidence=np.full(count, 0.9),
        confidence_min=np.full(count, 0.5),
        nodes=nodes,
        bridged=np.arange(count) == 7,
        source=np.array(["a.tif"] * 5 + [None] * 5, object),
        source_date=np.array(["2021-06-01"] * 5 + [None] * 5, object),
    )


def test_road_network_fills_missing_attributes_with_unknown() -> None:
    plain = {f.name: getattr(blocks(), f.name) for f in dataclasses.fields(RoadNetwork)}
    for name in ("width_p10_m", "width_p90_m", "bridged", "source", "source_date"):
        del plain[name]
    network = RoadNetwork(**plain)
    assert np.isnan(network.width_p10_m).all()
    assert np.isnan(network.width_p90_m).all()
    assert network.bridged.tolist() == [False] * 10
    assert network.source.tolist() == network.source_date.tolist() == [None] * 10
    assert RoadNetwork.empty(UTM).source.shape == (0,)


def test_component_is_numbered_in_the_order_of_nodes() -> None:
    assert blocks().component.tolist() == [0] * 9 + [1]
    assert blocks().without_bridges().component.tolist() == [0] * 7 + [1, 2]
    assert RoadNetwork.empty(UTM).component.tolist() == []


def test_sinuosity_is_length_over_chord_and_unknown_for_rings() -> None:
    network = blocks()
    assert network.sinuosity[0] == pytest.approx(np.sqrt(2), abs=1e-3)
    assert network.sinuosity[1:9] == pytest.approx(np.ones(8), abs=1e-6)
    assert (network.sinuosity[:9] >= 1).all()
    assert np.isnan(network.sinuosity[9])
    lonlat = network.to_crs(CRS.from_epsg(4326))
    assert lonlat.sinuosity == pytest.approx(network.sinuosity, abs=1e-5, nan_ok=True)


def test_without_bridges_keeps_the_traced_edges() -> None:
    network = blocks()
    seen = network.without_bridges()
    assert len(seen) == 9
    assert not seen.bridged.any()
    assert [e.wkb for e in seen.edges] == [e.wkb for e in network.edges[~network.bridged]]
    # Nodes 5 and 6 stay: a passage, and a dead end.
    assert len(seen.nodes) == 9
    assert seen.degree.tolist() == [2, 3, 2, 2, 3, 2, 1, 1, 2]
    for edge, start, end in zip(seen.edges, seen.start, seen.end, strict=True):
        assert edge.coords[0] == tuple(seen.nodes[start])
        assert edge.coords[-1] == tuple(seen.nodes[end])
    assert seen.source.tolist() == ["a.tif"] * 5 + [None] * 4


def test_without_bridges_drops_unused_nodes() -> None:
    network = blocks()
    some = network.select(np.arange(10) >= 7)
    assert len(some.nodes) == 4
    assert some.start.tolist() == [0, 1, 3]
    assert some.without_bridges().start.tolist() == [0, 2]


def test_stable_id_depends_on_the_line_only() -> None:
    network = blocks()
    assert len(set(network.stable_id)) == len(network)
    assert all(re.fullmatch(r"[0-9a-f]{16}", number) for number in network.stable_id)
    turned = dataclasses.replace(network, edges=shapely.reverse(network.edges))
    assert turned.stable_id.tolist() == network.stable_id.tolist()
    keep = np.arange(len(network)) % 2 == 1
    assert network.select(keep).stable_id.tolist() == network.stable_id[keep].tolist()
    noise = dataclasses.replace(
        network, edges=shapely.transform(network.edges, lambda xy: xy + 5e-4)
    )
    assert noise.stable_id.tolist() == network.stable_id.tolist()
    moved = dataclasses.replace(
        network, edges=shapely.transform(network.edges, lambda xy: xy + 0.1)
    )
    assert not set(moved.stable_id) & set(network.stable_id)


def test_to_networkx_routes_by_length() -> None:
    network = blocks()
    graph = network.to_networkx()
    assert networkx.shortest_path(graph, 0, 2, weight="length_m") == [0, 1, 2]
    # The diagonal edge of 141 m is shorter than the way around.
    length = networkx.shortest_path_length(graph, 0, 7, weight="length_m")
    assert length == pytest.approx(network.length_m[[1, 5, 6, 7, 8]].sum(), abs=0.1)
    assert not networkx.has_path(graph, 0, 8)
    edge = graph.edges[5, 6, 7]
    assert edge["bridged"] is True
    assert edge["source"] is None
    assert graph.edges[0, 1, 0]["source_date"] == "2021-06-01"
    assert CRS(graph.graph["crs"]) == UTM
    assert (graph.nodes[4]["x"], graph.nodes[4]["y"]) == (500_100.0, 5_000_000.0)
    seen = [(u, v, k) for u, v, k, gone in graph.edges(keys=True, data="bridged") if not gone]
    assert not networkx.has_path(graph.edge_subgraph(seen), 0, 7)


def test_to_routing_tables_follows_the_conventions_of_osmnx() -> None:
    network = blocks()
    nodes, edges = network.to_routing_tables()
    assert nodes.index.name == "osmid"
    assert nodes.index.is_unique
    assert {"x", "y", "street_count", "geometry"} <= set(nodes.columns)
    assert edges.index.names == ["u", "v", "key"]
    assert edges.index.is_unique
    assert {"osmid", "length", "geometry", "reversed"} <= set(edges.columns)
    assert nodes.crs == edges.crs == UTM
    # Like osmnx.graph_from_gdfs.
    graph = networkx.MultiDiGraph(crs=edges.crs)
    graph.add_nodes_from(nodes.to_dict("index").items())
    for (u, v, key), row in zip(edges.index, edges.to_dict("records"), strict=True):
        graph.add_edge(u, v, key=key, **row)
        assert row["geometry"].coords[0] == tuple(nodes.loc[u, ["x", "y"]])
        assert row["geometry"].coords[-1] == tuple(nodes.loc[v, ["x", "y"]])
    assert graph.number_of_edges() == 2 * 9 + 1
    there = networkx.shortest_path(graph, 0, 7, weight="length")
    back = networkx.shortest_path(graph, 7, 0, weight="length")
    assert there == back[::-1] == [0, 3, 4, 5, 6, 7]


def test_to_routing_tables_gives_the_arrays_that_pandana_takes() -> None:
    nodes, edges = blocks().to_routing_tables()
    flat = edges.reset_index()
    assert flat["u"].isin(nodes.index).all()
    assert flat["v"].isin(nodes.index).all()
    assert flat["u"].dtype.kind == flat["v"].dtype.kind == "i"
    assert flat["length"].dtype.kind == "f"
    assert (flat["length"] > 0).all()
    assert nodes["x"].dtype.kind == nodes["y"].dtype.kind == "f"


def test_to_routing_tables_numbers_parallel_edges() -> None:
    network = blocks()
    doubled = dataclasses.replace(network, end=np.where(network.end == 3, 1, network.end))
    _, edges = doubled.to_routing_tables()
    assert edges.loc[(0, 1)].index.tolist() == [0, 1]
    assert edges.loc[(0, 1)]["osmid"].tolist() == [0, 1]


def test_edge_attributes_of_a_road_that_widens() -> None:
    array = road(SIZE, (0, 100, 150, 100, 6), (150, 100, 300, 100, 16))
    lines = trace_centerlines(ArraySource(array), VectorizeOptions())
    network = clean_network(lines)
    assert len(network) == 1
    assert network.width_p10_m[0] == pytest.approx(6, abs=0.5)
    assert network.width_p90_m[0] == pytest.approx(16, abs=0.5)
    assert 6 <= network.width_m[0] <= 16


def test_edge_attributes_of_unknown_width_are_nan() -> None:
    lines = trace_centerlines(
        ArraySource(road(SIZE, (0, 100, 300, 100, 6), (150, 0, 150, 200, 6))), VectorizeOptions()
    )
    blind = dataclasses.replace(lines, width_px=np.full_like(lines.width_px, np.nan))
    attributes = edge_attributes(blind)
    assert np.isnan(attributes.width_m).all()
    assert np.isnan(attributes.width_p90_m).all()
    assert (attributes.confidence == 1).all()


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(
        st.tuples(st.integers(0, 4), st.floats(-100, 100, width=32)), min_size=1, max_size=40
    ),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
)
def test_grouped_quantiles_are_those_of_numpy(
    values: list[tuple[int, float]], share: float
) -> None:
    group = np.array([g for g, _ in values])
    value = np.array([v for _, v in values])
    (found,) = grouped_quantiles(group, value, 5, (share,))
    for number in range(5):
        members = value[group == number]
        if len(members):
            assert found[number] == pytest.approx(np.quantile(members, share), abs=1e-6)
        else:
            assert np.isnan(found[number])
