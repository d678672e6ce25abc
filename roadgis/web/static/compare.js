// Comparing with an uploaded layer: a base map, or the truth.

import { get, post, put } from "./api.js";
import { h, number, length } from "./dom.js";

const CLASSES = [
  ["missing", "Missing", "in the layer only", "#ff3b5c"],
  ["extra", "Extra", "in this network only", "#a855f7"],
  ["moved", "Moved", "in both, in different places", "#f59e0b"],
];

export class ComparePanel {
  constructor(result) {
    Object.assign(this, { result, found: result.job.result.comparison ?? null, lines: null, hidden: new Set() });
    this.isTruth = Boolean(this.found?.scores);
  }

  parts() {
    const input = h("input", { type: "file", id: "base-file", hidden: true, accept: this.result.tools.about.uploads.base.join(), onchange: () => this._send(input.files[0]) });
    const truth = h("input", { type: "checkbox", id: "truth", checked: this.isTruth, onchange: () => {
      this.isTruth = truth.checked;
      if (this.found) this._compare();
    } });
    this.box = h("div", { class: "stack", id: "comparison", role: "status" }, this._table());
    if (this._isCurrent() && !this.lines) this._load();
    return [h("p", { class: "muted" }, "Compare this network with another line layer, such as a base map or ground truth: GeoJSON, GeoPackage, FlatGeobuf or GeoParquet."),
      h("div", { class: "row" }, truth, h("label", { for: "truth" }, "The layer is ground truth: compute scores")),
      h("button", { type: "button", class: "wide", onclick: () => input.click() }, "Choose a line layer"), input, this.box];
  }

  // Whether the comparison is that of the network that is shown.
  _isCurrent() {
    return this.found?.network === this.result.network;
  }

  async _send(file) {
    if (!file) return;
    this.box.replaceChildren(h("progress", { "aria-label": "Uploading the layer" }));
    try {
      await put(this.result.path(`/base/${encodeURIComponent(file.name)}`), file, () => {});
    } catch (error) {
      this.box.replaceChildren(...this._table());
      return this.result.tools.fail(error);
    }
    await this._compare();
  }

  async _compare() {
    this.box.replaceChildren(h("progress", { "aria-label": "Comparing" }));
    try {
      this.found = await post(this.result.path("/comparison"), { truth: this.isTruth, network: this.result.network });
      this.result.job.result.comparison = this.found;
      await this._load();
    } catch (error) {
      this.result.tools.fail(error);
    }
    this.box.replaceChildren(...this._table());
  }

  async _load() {
    try {
      this.lines = await get(this.result.path("/comparison"));
      this._show();
    } catch (error) {
      this.result.tools.fail(error);
    }
  }

  // Called when another network is shown.
  refresh() {
    this.lines = null;
    this._show();
    this.box?.replaceChildren(...this._table());
  }

  _show() {
    for (const [name, , , color] of CLASSES) {
      this.result.map.overlay(name, this.hidden.has(name) ? null : this.lines?.[name], { color, weight: 6, opacity: 0.85 });
    }
  }

  _table() {
    if (!this.found) return [];
    if (!this._isCurrent()) return [h("button", { type: "button", class: "wide", id: "compare-again", onclick: () => this._compare() }, `Compare this network with ${this.found.layer}`)];
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
    const parts = [h("h2", {}, `Comparison with ${layer}`), h("table", {}, h("tbody", {}, rows))];
    if (scores) {
      parts.push(h("div", { class: "stats" }, Object.entries(scores).map(([name, value]) =>
        h("div", {}, h("b", {}, value === null ? "–" : `${number(value * 100, 1)} %`), h("span", {}, name)))));
    }
    return parts;
  }
}
