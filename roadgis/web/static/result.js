// The panel of a finished job: layers, sliders, corrections, comparison, downloads.

import { ComparePanel } from "./compare.js";
import { CorrectPanel } from "./correct.js";
import { get, post } from "./api.js";
import { h, count, number, length, withoutOptions } from "./dom.js";
import { COLOURINGS } from "./roads.js";

const TABS = [["layers", "Layers"], ["adjust", "Adjust"], ["correct", "Correct"], ["compare", "Compare"], ["download", "Download"]];

const SLIDERS = [
  ["threshold", "Threshold", 0.05, 0.95, 0.01, (v) => `${Math.round(v * 100)} %`, "Pixels with at least this probability are road."],
  ["max_gap_m", "Largest gap", 0, 120, 5, (v) => `${v} m`, "Longer gaps are not bridged."],
  ["min_component_m", "Shortest component", 0, 500, 10, (v) => `${v} m`, "Shorter connected components are dropped."],
  ["tolerance_m", "Simplification", 0, 5, 0.1, (v) => `${number(v, 1)} m`, "Largest deviation of a simplified line."],
];
const DEFAULTS = { threshold: 0.5, max_gap_m: 30, min_component_m: 60, tolerance_m: 0.5 };

export class ResultPanel {
  constructor(job, map, panel, head, tools) {
    Object.assign(this, { job, map, tools });
    this.network = job.result.current;
    this.stats = h("div", { class: "stats" });
    this.body = h("div", { class: "stack", id: "tab-body", role: "tabpanel" });
    this.buttons = TABS.map(([name, text], at) => h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "tab-body", onclick: () => this.open(name), onkeydown: (event) => this._arrow(event, at) }, text));
    const empty = job.result.why_empty;
    panel.replaceChildren(head, this.stats,
      ...(empty ? [h("p", { class: "note", role: "alert" }, `No road was found. ${withoutOptions(empty.text)}`)] : []),
      ...job.warnings.filter((line) => !(empty && line.includes(empty.text))).map((line) => h("p", { class: "note small" }, withoutOptions(line))),
      h("div", { class: "tabs", role: "tablist" }, this.buttons), this.body);
    map.opacity.probability = 0;
    map.probability(job.jobID, "done");
    map.overlay("footprint", null);
    this.correct = new CorrectPanel(this);
    this.compare = new ComparePanel(this);
    this.showNetwork();
    map.onpick = (edge) => this.pick(edge);
    this.open("layers");
  }

  get current() {
    return this.job.result.networks.find((entry) => entry.number === this.network);
  }

  path(rest) {
    return `/jobs/${this.job.jobID}${rest}`;
  }

  close() {
    this.correct.close();
    this.map.onpick = () => {};
    this.map.focus(null);
  }

  showNetwork() {
    const { edges, length_m: metres, bridged } = this.current;
    this.stats.replaceChildren(
      h("div", {}, h("b", { id: "total-length" }, length(metres)), h("span", {}, "roads")),
      h("div", {}, h("b", { id: "total-edges" }, number(edges)), h("span", {}, edges === 1 ? "edge" : "edges")),
      h("div", {}, h("b", {}, number(bridged)), h("span", {}, bridged === 1 ? "bridged gap" : "bridged gaps")));
    this.map.focus(null); // an edge of the network before
    this.map.roads(this.job.jobID, this.network);
    this.correct.refresh();
    this.compare.refresh();
  }

  open(name) {
    this.tab = name;
    for (const button of this.buttons) {
      const chosen = button.id === `tab-${name}`;
      button.setAttribute("aria-selected", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    this.correct.leave();
    if (name !== "adjust") this.showDifference(null);
    this.body.setAttribute("aria-labelledby", `tab-${name}`);
    this.body.replaceChildren(...{
      layers: () => this._layers(), adjust: () => this._adjust(), correct: () => this.correct.enter(),
      compare: () => this.compare.parts(), download: () => this._download(),
    }[name]());
  }

  _arrow(event, at) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = this.buttons[(at + step + this.buttons.length) % this.buttons.length];
    next.focus();
    next.click();
  }

  // --- layers

  _layers() {
    const rows = [["roads", "Roads"], ["probability", "Probability"], ["imagery", "Imagery"]].map(([name, text]) => {
      const value = this.map.opacity[name];
      const range = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: value || 1, "aria-label": `Opacity: ${text}`, oninput: () => set() });
      const box = h("input", { type: "checkbox", id: `layer-${name}`, checked: value > 0, onchange: () => set() });
      const set = () => this.map.setOpacity(name, box.checked ? Number(range.value) : 0);
      if (name === "probability" && value === 0) range.value = 0.75;
      return h("div", { class: "layer" }, box, h("label", { for: `layer-${name}` }, text), range);
    });
    const mode = h("select", { id: "colouring", onchange: () => this.map.setMode(mode.value) },
      Object.entries(COLOURINGS).map(([name, { title }]) => h("option", { value: name, selected: name === this.map.mode }, title)));
    const swipe = h("button", { type: "button", id: "swipe-button", "aria-pressed": String(this.map.swiping), onclick: () => {
      this.map.swipe(!this.map.swiping);
      swipe.setAttribute("aria-pressed", String(this.map.swiping));
    } }, "Swipe over the imagery");
    this.details = h("section", { id: "details", "aria-live": "polite" }, h("p", { class: "muted" }, "Click a road to see its attributes."));
    return [h("div", {}, rows), h("div", { class: "stack tight" }, h("label", { for: "colouring" }, "Colour roads by"), mode), swipe, this.details];
  }

  async pick(edge) {
    if (this.tab === "correct") return this.correct.pick(edge);
    if (this.tab !== "layers") this.open("layers");
    if (edge === null) {
      this.map.focus(null);
      this.details.replaceChildren(h("p", { class: "muted" }, "Click a road to see its attributes."));
      return;
    }
    try {
      const feature = await get(this.path(`/roads/${this.network}/edges/${edge}`));
      this.map.focus(feature.geometry.coordinates);
      this.details.replaceChildren(h("h2", {}, `Road ${edge}`), attributes(feature.properties));
      this.details.scrollIntoView({ block: "nearest" });
    } catch (error) {
      this.tools.fail(error);
    }
  }

  // --- sliders

  _adjust() {
    const now = { ...DEFAULTS, threshold: this.current.threshold ?? this.job.settings.threshold ?? DEFAULTS.threshold, ...clean(this.current.settings) };
    const inputs = {};
    const fields = SLIDERS.map(([name, text, min, max, step, format, about]) => {
      const output = h("output", {}, format(Number(now[name])));
      const input = h("input", { type: "range", id: `slider-${name}`, "aria-describedby": `about-${name}`, min, max, step, value: now[name], oninput: () => (output.textContent = format(Number(input.value))), onchange: () => this._redo(inputs) });
      inputs[name] = input;
      return h("div", { class: "field" }, h("label", { for: `slider-${name}` }, text), output, input, h("small", { class: "muted", id: `about-${name}` }, about));
    });
    this.redoText = h("div", { class: "stack tight delta", id: "difference", role: "status" }, this._differenceText());
    this.history = h("div", { class: "stack tight" });
    this._drawHistory();
    this.showDifference(this.network);
    return [h("p", { class: "muted" }, "Each change makes a new network from the stored probability, in seconds. Earlier networks are kept."),
      this.redoText, ...fields, this.history];
  }

  _differenceText() {
    const { added_m: added, removed_m: removed, seconds } = this.current;
    if (added === undefined) return [h("p", { class: "muted" }, "Move a slider to see what changes.")];
    return [h("p", {}, h("span", { class: "plus" }, `+ ${length(added)} added`), "  ", h("span", { class: "minus" }, `− ${length(removed)} removed`)),
      h("p", { class: "muted small" }, `compared with the previous network; made in ${number(seconds, 1)} s`)];
  }

  _drawHistory() {
    const all = this.job.result.networks;
    this.history.replaceChildren(...(all.length < 2 ? [] : [h("label", { for: "history" }, "Network"),
      h("select", { id: "history", onchange: (event) => {
        this.network = Number(event.target.value);
        this.showNetwork();
        this.open("adjust");
      } }, all.map((entry) => h("option", { value: entry.number, selected: entry.number === this.network },
        `${entry.number === 0 ? "Original run" : `Change ${entry.number}`}: ${length(entry.length_m)}, ${count(entry.edges, "edge")}`)))]));
  }

  async _redo(inputs) {
    const wanted = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, Number(input.value)]));
    if (this.redoing) {
      this.again = wanted;
      return;
    }
    this.redoing = true;
    this.redoText.replaceChildren(h("progress", { "aria-label": "Making the network" }));
    try {
      const made = await post(this.path("/networks"), wanted);
      this.job.result.networks.push(made);
      this.job.result.current = this.network = made.number;
      this.showNetwork();
      if (this.tab === "adjust") {
        this.redoText.replaceChildren(...this._differenceText());
        this._drawHistory();
        await this.showDifference(made.number);
      }
    } catch (error) {
      this.redoText.replaceChildren(...this._differenceText());
      this.tools.fail(error);
    }
    this.redoing = false;
    const again = this.again;
    this.again = null;
    if (again) this._redo(inputs);
  }

  async showDifference(number) {
    let lines = { added: [], removed: [] };
    if (number && this.current.added_m !== undefined && this.current.added_m !== null) {
      try {
        lines = await get(this.path(`/networks/${number}/difference`));
      } catch (error) {
        this.tools.fail(error);
      }
      if (this.tab !== "adjust") return;
    }
    this.map.overlay("added", lines.added, { color: "#2f8bff", weight: 8, opacity: 0.75 });
    this.map.overlay("removed", lines.removed, { color: "#e11dd8", weight: 5, opacity: 0.9, dashArray: "3 8" });
  }

  // --- downloads

  _download() {
    const edits = this.correct.edits.length;
    const apply = h("input", { type: "checkbox", id: "apply-edits", checked: true, onchange: () => draw() });
    const list = h("div", { class: "downloads" });
    const draw = () => list.replaceChildren(...Object.entries(this.tools.about.downloads).map(([name, { title, about }]) => h("a", {
      class: "button", id: `download-${name}`, download: "",
      href: `/api${this.path(`/download/${name}`)}?network=${this.network}&corrected=${apply.checked}`,
    }, title, h("small", {}, about))));
    draw();
    return [edits ? h("div", { class: "row" }, apply, h("label", { for: "apply-edits" }, `Apply ${count(edits, "correction")}`)) : null, list].filter(Boolean);
  }
}

function clean(settings) {
  return Object.fromEntries(Object.entries(settings ?? {}).filter(([, value]) => value !== null && value !== undefined));
}

const percent = (value) => `${number(value * 100)} %`;
const metres = (value) => `${number(value, 1)} m`;
const ATTRIBUTES = [
  ["length_m", "Length", metres], ["width_m", "Width", metres], ["width_p10_m", "Width, 10th percentile", metres],
  ["width_p90_m", "Width, 90th percentile", metres], ["confidence", "Confidence", percent],
  ["confidence_min", "Lowest confidence", percent], ["bridged", "Bridged gap", (value) => (value ? "yes" : "no")],
  ["sinuosity", "Sinuosity", (value) => number(value, 2)], ["component", "Connected component", String],
  ["source", "Sheet", String], ["source_date", "Date", String],
];

function attributes(values) {
  const others = Object.keys(values).filter((name) => name !== "id" && !ATTRIBUTES.some(([known]) => known === name));
  const all = [...ATTRIBUTES, ...others.map((name) => [name, name, String])];
  const rows = all.filter(([name]) => values[name] !== null && values[name] !== undefined);
  return h("table", {}, h("tbody", {}, rows.map(([name, title, format]) => h("tr", {}, h("td", { class: "muted" }, title), h("td", {}, format(values[name]))))));
}
