// The map: layers of a job, legend, coordinates, swipe, hover and click.

import { h, toast } from "./dom.js";
import { COLOURINGS, RAMP, RoadTiles, gradient } from "./roads.js";

const L = window.L;
const LAYERS = ["imagery", "probability", "roads"];

export class JobMap {
  constructor(element) {
    this.map = L.map(element, {
      center: [25, 5], zoom: 2, minZoom: 1, maxZoom: 22, zoomControl: false, worldCopyJump: false,
      fadeAnimation: false,
    });
    L.control.zoom({ position: "topright" }).addTo(this.map);
    L.control.scale({ imperial: false, position: "bottomright" }).addTo(this.map);
    this.map.attributionControl.setPrefix(false);
    this.map.createPane("base").style.zIndex = 150;
    LAYERS.forEach((name, at) => (this.map.createPane(name).style.zIndex = 200 + 50 * at));
    this.map.createPane("difference").style.zIndex = 380;
    this.map.createPane("edits").style.zIndex = 420;
    this.map.createPane("focus").style.zIndex = 440;
    this.canvas = { difference: L.canvas({ pane: "difference" }), edits: L.svg({ pane: "edits" }), focus: L.svg({ pane: "focus" }) };
    this.opacity = { imagery: 1, probability: 0, roads: 1 };
    this.mode = "confidence";
    this.layers = {};
    this.overlays = {};
    this.onpick = () => {};
    this.onplace = null;
    this._controls();
    this._pointer();
    this._swipe();
  }

  base(about) {
    if (about) L.tileLayer(about.url, { attribution: about.attribution, maxZoom: 22, maxNativeZoom: 19, pane: "base" }).addTo(this.map);
  }

  clear() {
    for (const layer of Object.values(this.layers)) layer.remove();
    for (const layer of Object.values(this.overlays)) layer.remove();
    this.layers = {};
    this.overlays = {};
    this.tip.hidden = true;
    this.swipe(false);
    this.placing(null);
    this._legend();
  }

  // Zooms are whole, so a scene that is barely too large for one is cut a little instead of halved.
  fit(bounds) {
    this.map.invalidateSize();
    const box = L.latLngBounds([bounds[1], bounds[0]], [bounds[3], bounds[2]]);
    const size = this.map.getSize();
    let zoom = this.map.getBoundsZoom(box);
    const wider = this.map.project(box.getNorthEast(), zoom + 1).subtract(this.map.project(box.getSouthWest(), zoom + 1));
    if (Math.abs(wider.x) <= 1.15 * size.x && Math.abs(wider.y) <= 1.15 * size.y) zoom += 1;
    this.map.setView(box.getCenter(), Math.min(zoom, this.map.getMaxZoom()), { animate: false });
  }

  footprint(inputs) {
    this.overlay("footprint", inputs.map(({ bounds_lonlat: [w, s, e, n] }) => [[w, s], [e, s], [e, n], [w, n], [w, s]]),
      { color: "#2dd4bf", weight: 2, dashArray: "6 5", pane: "edits" });
  }

  imagery(job) {
    this._tiles("imagery", `/api/jobs/${job}/tiles/imagery/{z}/{x}/{y}.png`);
  }

  probability(job, version) {
    this._tiles("probability", `/api/jobs/${job}/tiles/probability/{z}/{x}/{y}.png?v=${version}`);
  }

  _tiles(name, url) {
    this._swap(name, L.tileLayer(url, { pane: name, maxZoom: 22, opacity: this.opacity[name] }));
    this._legend();
  }

  roads(job, network, version = "") {
    const url = `/api/jobs/${job}/roads/${network}/{z}/{x}/{y}.json?v=${version}`;
    const layer = new RoadTiles(url, { mode: this.mode, opacity: this.opacity.roads });
    layer.once("tileerror", () => this.layers.roads === layer && toast("Some roads could not be loaded. Reload the page.", { bad: true }));
    this._swap("roads", layer);
    this._legend();
    return layer;
  }

  // The old layer stays until the new one is drawn.
  _swap(name, layer) {
    const old = this.layers[name];
    this.layers[name] = layer;
    layer.addTo(this.map);
    if (old) {
      let gone = false;
      const remove = () => !gone && (gone = true) && old.remove();
      layer.once("load", remove);
      setTimeout(remove, 4000);
    }
  }

  setOpacity(name, value) {
    this.opacity[name] = value;
    this.layers[name]?.setOpacity(value);
    this._legend();
  }

  setMode(mode) {
    this.mode = mode;
    this.layers.roads?.redrawTiles(mode);
    this._legend();
  }

  hide(ids) {
    if (!this.layers.roads) return;
    this.layers.roads.hidden = new Set(ids);
    this.layers.roads.redrawTiles();
  }

  // Lines over the map: [[[lon, lat], ...], ...].
  overlay(name, lines, style) {
    this.overlays[name]?.remove();
    delete this.overlays[name];
    if (!lines?.length) return;
    const pane = style.pane || "difference";
    const places = lines.map((line) => line.map(([lon, lat]) => [lat, lon]));
    this.overlays[name] = L.polyline(places, { renderer: this.canvas[pane], interactive: false, smoothFactor: 0.5, ...style, pane }).addTo(this.map);
  }

  focus(line, zoom = false) {
    this.overlay("focusHalo", line && [line], { pane: "focus", color: "#ffffff", weight: 11, opacity: 0.9 });
    this.overlay("focus", line && [line], { pane: "focus", color: "#7c3aed", weight: 5 });
    if (line && zoom) {
      const bounds = this.overlays.focus.getBounds();
      this.map.fitBounds(bounds.pad(0.6), { maxZoom: 18, animate: false });
    }
  }

  // Places are clicked instead of edges while a callback is set.
  placing(callback) {
    this.onplace = callback;
    document.body.classList.toggle("drawing", Boolean(callback));
  }

  _controls() {
    const coords = L.control({ position: "bottomright" });
    coords.onAdd = () => (this.coords = h("div", { class: "coords" }, "–"));
    coords.addTo(this.map);
    const legend = L.control({ position: "bottomleft" });
    legend.onAdd = () => (this.legend = h("div", { class: "legend", hidden: true }));
    legend.addTo(this.map);
    this.tip = h("div", { class: "tip", hidden: true });
    this.map.getContainer().append(this.tip);
  }

  _legend() {
    const parts = [];
    if (this.layers.roads && this.opacity.roads > 0) {
      const about = COLOURINGS[this.mode];
      parts.push(h("p", { class: "title" }, about.title));
      if (about.ramp) parts.push(...ramp(about.ramp, about.format(about.from), about.format(about.to)));
      for (const [text, paint] of about.kinds ?? []) {
        const swatch = h("span", { class: "swatch" });
        swatch.style.background = paint;
        parts.push(h("div", { class: "row" }, swatch, text));
      }
    }
    if (this.layers.probability && this.opacity.probability > 0) {
      parts.push(h("p", { class: "title" }, "Probability"), ...ramp(RAMP, "0 %", "100 %"));
    }
    this.legend.hidden = !parts.length;
    this.legend.replaceChildren(...parts);
  }

  _pointer() {
    let waiting = false;
    this.map.on("mousemove", (event) => {
      this.coords.textContent = `${event.latlng.lat.toFixed(6)}, ${event.latlng.lng.toFixed(6)}`;
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        this._hover(event);
      });
    });
    this.map.on("mouseout", () => this._hover(null));
    this.map.on("move", () => {
      const { lat, lng } = this.map.getCenter();
      this.coords.textContent = `${lat.toFixed(6)}, ${lng.toFixed(6)}`;
    });
    const choose = (latlng) => {
      if (this.onplace) this.onplace([latlng.lng, latlng.lat]);
      else this.onpick(this.layers.roads?.at(latlng, 12)?.id ?? null);
    };
    this.map.on("click", (event) => choose(event.latlng));
    const container = this.map.getContainer();
    container.addEventListener("keydown", (event) => event.key === "Enter" && event.target === container && choose(this.map.getCenter()));
  }

  _hover(event) {
    const edge = event && !this.onplace && this.opacity.roads > 0 ? this.layers.roads?.at(event.latlng) : null;
    this.tip.hidden = !edge;
    this.overlays.hover?.remove();
    delete this.overlays.hover;
    this.map.getContainer().style.cursor = edge ? "pointer" : "";
    if (!edge) return;
    const known = [];
    if (edge.confidence !== null) known.push(`confidence ${edge.confidence} %`);
    if (edge.width !== null) known.push(`${(edge.width / 10).toFixed(1)} m wide`);
    if (edge.bridged) known.push("bridged gap");
    this.tip.textContent = `Road ${edge.id}: ${known.join(", ")}`;
    const { x, y } = event.containerPoint;
    const size = this.map.getSize();
    this.tip.style.left = `${Math.min(x + 14, size.x - 230)}px`;
    this.tip.style.top = `${Math.max(y - 38, 4)}px`;
    this.overlays.hover = L.polyline(this.layers.roads.parts(edge.id), { renderer: this.canvas.focus, pane: "focus", color: "#fff", weight: 6, opacity: 0.85, interactive: false }).addTo(this.map);
  }

  _swipe() {
    this.swipeBox = document.getElementById("swipe");
    this.range = document.getElementById("swipe-range");
    const clip = () => this._clip();
    this.range.addEventListener("input", clip);
    this.map.on("move zoomend resize", clip);
  }

  swipe(on) {
    this.swipeBox.hidden = !on;
    this._clip();
  }

  get swiping() {
    return !this.swipeBox.hidden;
  }

  _clip() {
    const share = this.range.value / 100;
    document.getElementById("swipe-line").style.left = `${share * 100}%`;
    const size = this.map.getSize();
    const corner = this.map.containerPointToLayerPoint([share * size.x, 0]);
    const end = this.map.containerPointToLayerPoint(size);
    const rect = this.swiping ? `rect(${corner.y}px, ${end.x}px, ${end.y}px, ${corner.x}px)` : "";
    for (const name of ["probability", "roads", "difference", "edits"]) this.map.getPane(name).style.clip = rect;
  }
}

function ramp(colours, from, to) {
  return [gradient(colours, 150, 10), h("div", { class: "ends" }, h("span", {}, from), h("span", {}, to))];
}
