// Comparing with an uploaded layer: a base map, or the truth.

import { get, post, put } from "./api.js";
import { h, number, length } from "./dom.js";

const CLASSES = [
  ["missing", "Missing", "in the layer only", "#ff3b5c"],
  ["extra", "Extra", "in this network only", "#3b82f6"],
  ["moved", "Moved", "in both, in different places", "#f59e0b"],
];

export class ComparePanel {
  constructor(result) {
    Object.assign(this, { result, found: null, hidden: new Set() });
  }

  parts() {
    const input = h("input", { type: "file", id: "base-file", hidden: true, accept: ".geojson,.json,.gpkg,.fgb,.parquet", onchange: () => this._send(input.files[0]) });
    this.truth = h("input", { type: "checkbox", id: "truth", checked: this.isTruth ?? false });
    this.box = h("div", { class: "stack", id: "comparison", role: "status" }, this._table());
    return [h("p", { class: "muted" }, "Compare with the roads of a base map or with known roads: GeoJSON, GeoPackage, FlatGeobuf or GeoParquet."),
      h("div", { class: "row" }, this.truth, h("label", { for: "truth" }, "It is the ground truth: score this network")),
      h("button", { type: "button", class: "wide", onclick: () => input.click() }, "Choose a line layer"), input, this.box];
  }

  async _send(file) {
    if (!file) return;
    this.isTruth = this.truth.checked;
    this.box.replaceChildren(h("progress", { "aria-label": "Comparing" }));
    try {
      await put(this.result.path(`/base/${encodeURIComponent(file.name)}`), file, () => {});
      this.found = await post(this.result.path("/comparison"), { truth: this.isTruth, network: this.result.network });
      this.lines = await get(this.result.path("/comparison"));
      this._show();
    } catch (error) {
      this.result.tools.fail(error);
    }
    this.box.replaceChildren(...this._table());
  }

  _show() {
    for (const [name, , , color] of CLASSES) {
      this.result.map.overlay(name, this.hidden.has(name) ? null : this.lines[name], { color, weight: 6, opacity: 0.85 });
    }
  }

  _table() {
    if (!this.found) return [];
    const { lengths, counts, scores, layer } = this.found;
    const rows = CLASSES.map(([name, title, about, color]) => {
      const swatch = h("span", { class: "swatch" });
      swatch.style.background = color;
      const box = h("input", { type: "checkbox", id: `class-${name}`, checked: !this.hidden.has(name), onchange: () => {
        if (box.checked) this.hidden.delete(name);
        else this.hidden.add(name);
        this._show();
      } });
      return h("tr", {}, h("td", {}, h("div", { class: "row" }, box, swatch, h("label", { for: `class-${name}`, title: about }, title))),
        h("td", { class: "num" }, number(counts[name])), h("td", {}, length(lengths[`${name}_m`] ?? 0)));
    });
    const parts = [h("h3", {}, `Against ${layer}`), h("table", {}, h("tbody", {}, rows))];
    if (scores) {
      parts.push(h("div", { class: "stats" }, Object.entries(scores).map(([name, value]) =>
        h("div", {}, h("b", {}, value === null ? "–" : `${number(value * 100, 1)} %`), h("span", {}, name)))));
    }
    return parts;
  }
}
