// Going through doubtful edges, and drawing missing roads.

import { call, get, post } from "./api.js";
import { h, count, length } from "./dom.js";

const STYLES = {
  accept: { color: "#22c55e", weight: 7, opacity: 0.55, pane: "edits" },
  reject: { color: "#ef4444", weight: 3, dashArray: "2 7", pane: "edits" },
  draw: { color: "#06b6d4", weight: 5, pane: "edits" },
};

export class CorrectPanel {
  constructor(result) {
    Object.assign(this, { result, edits: [], queue: [], at: -1, edge: null, drawing: null, active: false });
    this.keys = (event) => this._key(event);
    addEventListener("keydown", this.keys);
    this.loading = this._loadEdits();
  }

  close() {
    removeEventListener("keydown", this.keys);
    this.leave();
  }

  async _loadEdits() {
    try {
      this.edits = await get(this.result.path("/edits"));
      this._show();
    } catch (error) {
      this.result.tools.fail(error);
    }
  }

  // Called when another network is shown.
  refresh() {
    this.queue = [];
    this.at = -1;
    this._show();
    if (this.active) this._loadQueue();
  }

  enter() {
    this.active = true;
    this.card = h("section", { class: "card", id: "doubt" });
    this.user = h("input", { type: "text", id: "user", maxLength: 60, autocomplete: "name", value: localStorage.getItem("user") ?? "", placeholder: "anonymous", onchange: () => localStorage.setItem("user", this.user.value) });
    this.drawButton = h("button", { type: "button", id: "draw", class: "grow", "aria-pressed": "false", onclick: () => this._toggleDrawing("draw") }, "Draw a missing road ", h("kbd", {}, "D"));
    this.undoButton = h("button", { type: "button", id: "undo", onclick: () => this.undo() }, "Undo ", h("kbd", {}, "Z"));
    this.list = h("p", { class: "muted small", id: "edit-count" });
    this._loadQueue();
    this._show();
    return [this.card, h("div", { class: "row" }, this.drawButton, this.undoButton), this.list,
      h("div", { class: "stack tight" }, h("label", { for: "user" }, "Your name, stored with each correction"), this.user)];
  }

  leave() {
    if (!this.active) return;
    this.active = false;
    this._stopDrawing();
    this.result.map.focus(null);
  }

  async _loadQueue() {
    await this.loading;
    try {
      const { edges, left } = await get(this.result.path(`/roads/${this.result.network}/doubtful`));
      this.queue = edges;
      this.left = left;
      this.at = -1;
      this._card();
    } catch (error) {
      this.result.tools.fail(error);
    }
  }

  _card() {
    if (!this.active) return;
    if (this.edge === null) {
      this.card.replaceChildren(h("h2", {}, this.left ? `${count(this.left, "doubtful road")} to check` : "No doubtful roads left"),
        h("p", { class: "muted" }, this.left ? "Bridged gaps and the lowest confidence come first. You can also click any road on the map." : "Click any road on the map to correct it."),
        this.left ? h("button", { type: "button", class: "primary wide", id: "begin", onclick: () => this.step(1) }, "Start ", h("kbd", {}, "N")) : "");
      return;
    }
    const doubt = this.queue[this.at];
    const shown = doubt?.edge === this.edge ? doubt : null;
    this.card.replaceChildren(
      h("div", { class: "row spread" }, h("h2", {}, `Road ${this.edge}`), h("span", { class: "muted small num" }, shown ? `${this.at + 1} of ${this.queue.length}` : "")),
      h("p", { class: "muted" }, this._reason(shown)),
      h("div", { class: "thirds" },
        this._button("accept", "Accept", "A"), this._button("reject", "Reject", "R"),
        h("button", { type: "button", id: "redraw", onclick: () => this._toggleDrawing("redraw") }, "Redraw")),
      h("div", { class: "row" }, h("button", { type: "button", class: "grow", onclick: () => this.step(-1) }, "Previous ", h("kbd", {}, "P")),
        h("button", { type: "button", class: "grow", id: "next", onclick: () => this.step(1) }, "Next ", h("kbd", {}, "N"))));
  }

  _reason(shown) {
    const values = this.feature?.properties ?? {};
    const parts = [`${length(values.length_m ?? 0)} long`];
    if (values.confidence !== null && values.confidence !== undefined) parts.push(`confidence ${Math.round(values.confidence * 100)} %`);
    if (shown?.reason === "bridge" || values.bridged) parts.push("bridged gap: not detected in the imagery");
    return `${parts.join(", ")}.`;
  }

  _button(action, text, key) {
    return h("button", { type: "button", id: action, class: action === "accept" ? "primary" : "danger", onclick: () => this.decide(action) }, text, " ", h("kbd", {}, key));
  }

  async step(by) {
    if (!this.queue.length) return;
    this.at = Math.min(Math.max(this.at + by, 0), this.queue.length - 1);
    await this._select(this.queue[this.at].edge, true);
  }

  async pick(edge) {
    this.at = this.queue.findIndex((entry) => entry.edge === edge);
    await this._select(edge, false);
  }

  async _select(edge, zoom) {
    this.edge = edge;
    this.feature = null;
    if (edge !== null) {
      try {
        this.feature = await get(this.result.path(`/roads/${this.result.network}/edges/${edge}`));
      } catch (error) {
        this.edge = null;
        this.result.tools.fail(error);
      }
    }
    this.result.map.focus(this.feature?.geometry.coordinates ?? null, zoom && !this.drawing);
    this._card();
  }

  async decide(action) {
    if (this.edge === null) return;
    const decided = this.edge;
    if (!(await this._store({ action, edge: decided, network: this.result.network }))) return;
    const inQueue = this.queue.findIndex((entry) => entry.edge === decided);
    if (inQueue >= 0) {
      this.queue.splice(inQueue, 1);
      this.left -= 1;
      this.at = inQueue - 1;
    }
    if (inQueue >= 0 && this.queue.length) await this.step(1);
    else await this._select(null, false);
  }

  async _store(edit) {
    try {
      const made = await post(this.result.path("/edits"), { ...edit, user: localStorage.getItem("user") ?? "" });
      this.edits.push(made);
      this._show();
      return true;
    } catch (error) {
      this.result.tools.fail(error);
      return false;
    }
  }

  async undo() {
    if (!this.edits.length) return;
    try {
      const { id } = await call("DELETE", this.result.path("/edits/last"));
      const gone = this.edits.find((edit) => edit.id === id); // not there if somebody else made it
      await this._loadEdits();
      await this._loadQueue();
      if (gone && gone.edge !== null && gone.network === this.result.network) await this.pick(gone.edge);
    } catch (error) {
      this.result.tools.fail(error);
    }
  }

  // Drawing: two clicks, and the path of highest probability between them.

  _toggleDrawing(what) {
    if (this.drawing) return this._stopDrawing();
    this.drawing = what;
    this.places = [];
    if (what === "draw") this.drawButton.setAttribute("aria-pressed", "true");
    this.result.tools.setHint("Click where the road starts. Escape stops.");
    this.result.map.placing((place) => this._place(place));
  }

  _stopDrawing() {
    this.drawing = null;
    this.drawButton?.setAttribute("aria-pressed", "false");
    this.result.map.placing(null);
    this.result.map.overlay("begin", null);
    this.result.tools.setHint("");
  }

  async _place(place) {
    const [west, south, east, north] = this.result.job.facts.bounds_lonlat;
    if (place[0] < west || place[0] > east || place[1] < south || place[1] > north) {
      return this.result.tools.setHint("Roads start and end on the imagery: click on it.");
    }
    this.places.push(place);
    if (this.places.length === 1) {
      this.result.map.overlay("begin", [[place, place]], { color: "#06b6d4", weight: 12, pane: "edits" });
      this.result.tools.setHint("Click where it ends.");
      return;
    }
    const what = this.drawing;
    const [start, end] = this.places;
    this.places = [];
    this.result.tools.setHint("Finding the road …");
    try {
      const line = await post(this.result.path("/route"), { start, end });
      const edge = what === "redraw" ? this.edge : null;
      await this._store({ action: what, edge, network: this.result.network, geometry: line.coordinates });
      this._stopDrawing();
      if (what === "redraw") await this._select(null, false);
    } catch (error) {
      this.result.tools.fail(error);
      this.result.tools.setHint("Click where the road starts. Escape stops.");
      this.result.map.overlay("begin", null);
    }
  }

  _show() {
    const map = this.result.map;
    const last = new Map(this.edits.filter((edit) => edit.edge !== null).map((edit) => [`${edit.network}/${edit.edge}`, edit]));
    const kept = [...last.values(), ...this.edits.filter((edit) => edit.edge === null)];
    const lines = (...actions) => kept.filter((edit) => actions.includes(edit.action)).map((edit) => edit.geometry);
    map.hide([...last.values()].filter((edit) => edit.network === this.result.network && edit.action !== "accept").map((edit) => edit.edge));
    map.overlay("accepted", lines("accept"), STYLES.accept);
    map.overlay("rejected", lines("reject"), STYLES.reject);
    map.overlay("drawn", lines("draw", "redraw"), STYLES.draw);
    if (!this.active) return;
    this.undoButton.disabled = !this.edits.length;
    const by = new Set(this.edits.map((edit) => edit.user));
    this.list.textContent = this.edits.length ? `${count(this.edits.length, "correction")} by ${[...by].join(", ")}` : "No corrections yet.";
  }

  _key(event) {
    if (event.key === "Escape" && this.drawing) return this._stopDrawing();
    if (!this.active || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const action = { a: () => this.decide("accept"), r: () => this.decide("reject"), n: () => this.step(1), p: () => this.step(-1), z: () => this.undo(), d: () => this._toggleDrawing("draw") }[event.key.toLowerCase()];
    if (action) {
      event.preventDefault();
      action();
    }
  }
}
