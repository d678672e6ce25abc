// A layer of roads drawn on canvas tiles. Each tile fetches its edges, simplified for its zoom.

const L = window.L;
export const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
// Red to blue: distinct with any colour vision.
const UNSURE = [[215, 25, 28], [253, 141, 60], [254, 217, 118], [110, 205, 215], [43, 131, 255]];
const KINDS = ["#4f9dff", "#ff9f43", "#2ecc71", "#e056fd", "#ff6b6b", "#1dd1a1", "#f6e58d", "#a29bfe", "#fd79a8", "#00cec9"];

export const COLOURINGS = {
  confidence: { title: "Confidence", ramp: UNSURE, from: 0.3, to: 1, format: (v) => `${Math.round(v * 100)} %` },
  width: { title: "Width", ramp: RAMP, from: 3, to: 18, format: (v) => `${v} m` },
  bridged: { title: "Bridged gaps", kinds: [["Detected in the imagery", "#38bdf8"], ["Bridged gap", "#f43f5e"]] },
  component: { title: "Connected component", kinds: [["Ten colours in turn", KINDS[0]]] },
  plain: { title: "One colour", kinds: [["Road", "#ffd23f"]] },
};

function mixed(ramp, share) {
  const at = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const low = Math.min(Math.floor(at), ramp.length - 2);
  const rgb = ramp[low].map((v, band) => Math.round(v + (ramp[low + 1][band] - v) * (at - low)));
  return `rgb(${rgb.join(",")})`;
}

// Whole percents and half metres, so that edges of one colour are drawn in one stroke.
function colour(mode, edge) {
  if (mode === "confidence") return edge.confidence === null ? "#9aa5ad" : mixed(UNSURE, (edge.confidence / 100 - 0.3) / 0.7);
  if (mode === "width") return edge.width === null ? "#9aa5ad" : mixed(RAMP, (Math.round(edge.width / 5) / 2 - 3) / 15);
  if (mode === "bridged") return edge.bridged ? "#f43f5e" : "#38bdf8";
  if (mode === "component") return KINDS[edge.component % KINDS.length];
  return "#ffd23f";
}

export function gradient(ramp, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  for (let x = 0; x < width; x++) {
    context.fillStyle = mixed(ramp, x / (width - 1));
    context.fillRect(x, 0, 1, height);
  }
  return canvas;
}

// A request may fail while the server is busy or restarts: three more tries, after 1, 2 and 4 seconds.
async function loaded(url) {
  for (let pause = 1000; ; pause *= 2) {
    try {
      const answer = await fetch(url);
      if (answer.ok) return await answer.json();
      throw Object.assign(new Error(`status ${answer.status}`), { final: answer.status < 500 });
    } catch (error) {
      if (error.final || pause > 4000) throw error;
      await new Promise((next) => setTimeout(next, pause));
    }
  }
}

export const RoadTiles = L.GridLayer.extend({
  options: { pane: "roads", mode: "confidence", maxZoom: 22, updateWhenZooming: false, keepBuffer: 1 },

  initialize(url, options) {
    L.setOptions(this, options);
    this._url = url;
    this._data = new Map(); // tile element -> { coords, edges }
    this.hidden = new Set();
    this.on("tileunload", (event) => this._data.delete(event.tile));
  },

  createTile(coords, done) {
    const tile = L.DomUtil.create("canvas", "leaflet-tile");
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    tile.width = tile.height = 256 * ratio;
    const url = this._url.replace("{z}", coords.z).replace("{x}", coords.x).replace("{y}", coords.y);
    loaded(url)
      .then((content) => {
        const edges = content.edges.map((raw) => unpacked(raw, content.units));
        this._data.set(tile, { coords, edges });
        this._draw(tile);
        done(null, tile);
      })
      .catch((error) => done(error, tile));
    return tile;
  },

  redrawTiles(mode) {
    if (mode) this.options.mode = mode;
    for (const tile of this._data.keys()) this._draw(tile);
  },

  _draw(tile) {
    const { coords, edges } = this._data.get(tile);
    const context = tile.getContext("2d");
    const scale = tile.width / 256;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, 256, 256);
    context.lineJoin = context.lineCap = "round";
    const width = coords.z < 12 ? 1.1 : coords.z < 15 ? 2 : coords.z < 17 ? 3 : 4;
    const paths = new Map();
    const all = new Path2D();
    for (const edge of edges) {
      if (this.hidden.has(edge.id)) continue;
      const key = colour(this.options.mode, edge);
      let path = paths.get(key);
      if (!path) paths.set(key, (path = new Path2D()));
      for (const target of coords.z < 13 ? [path] : [path, all]) {
        target.moveTo(edge.xy[0], edge.xy[1]);
        for (let i = 2; i < edge.xy.length; i += 2) target.lineTo(edge.xy[i], edge.xy[i + 1]);
      }
    }
    context.strokeStyle = "rgba(10, 18, 24, 0.65)";
    context.lineWidth = width + 2;
    context.stroke(all);
    context.lineWidth = width;
    for (const [key, path] of paths) {
      context.strokeStyle = key;
      context.stroke(path);
    }
  },

  // The nearest edge to a place, within some pixels; null when there is none.
  at(latlng, reach = 9) {
    const map = this._map;
    if (!map) return null;
    const zoom = map.getZoom();
    let best = null;
    let least = reach * reach;
    for (const { coords, edges } of this._data.values()) {
      if (coords.z !== zoom) continue;
      const point = map.project(latlng, zoom).subtract([coords.x * 256, coords.y * 256]);
      if (point.x < -reach || point.y < -reach || point.x > 256 + reach || point.y > 256 + reach) continue;
      for (const edge of edges) {
        if (point.x < edge.box[0] - reach || point.x > edge.box[2] + reach) continue;
        if (point.y < edge.box[1] - reach || point.y > edge.box[3] + reach) continue;
        if (this.hidden.has(edge.id)) continue;
        const away = squaredDistance(edge.xy, point.x, point.y);
        if (away < least) [best, least] = [edge, away];
      }
    }
    return best;
  },

  // The visible parts of an edge as lines of places.
  parts(id) {
    const map = this._map;
    const zoom = map.getZoom();
    const lines = [];
    for (const { coords, edges } of this._data.values()) {
      if (coords.z !== zoom) continue;
      for (const edge of edges) {
        if (edge.id !== id) continue;
        const line = [];
        for (let i = 0; i < edge.xy.length; i += 2) {
          line.push(map.unproject([coords.x * 256 + edge.xy[i], coords.y * 256 + edge.xy[i + 1]], zoom));
        }
        lines.push(line);
      }
    }
    return lines;
  },

  // Numbers of the edges that are drawn; for tests and for people who write scripts.
  drawn() {
    const ids = new Set();
    for (const { edges } of this._data.values()) {
      for (const edge of edges) if (!this.hidden.has(edge.id)) ids.add(edge.id);
    }
    return ids;
  },
});

function unpacked([id, confidence, width, bridged, component, steps], units) {
  const xy = new Float32Array(steps.length);
  const scale = 256 / units;
  let x = 0;
  let y = 0;
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < steps.length; i += 2) {
    xy[i] = (x += steps[i]) * scale;
    xy[i + 1] = (y += steps[i + 1]) * scale;
    box[0] = Math.min(box[0], xy[i]);
    box[1] = Math.min(box[1], xy[i + 1]);
    box[2] = Math.max(box[2], xy[i]);
    box[3] = Math.max(box[3], xy[i + 1]);
  }
  return { id, confidence, width, bridged, component, xy, box };
}

function squaredDistance(xy, px, py) {
  let least = Infinity;
  for (let i = 0; i + 3 < xy.length; i += 2) {
    const dx = xy[i + 2] - xy[i];
    const dy = xy[i + 3] - xy[i + 1];
    const square = dx * dx + dy * dy;
    const t = square ? Math.min(Math.max(((px - xy[i]) * dx + (py - xy[i + 1]) * dy) / square, 0), 1) : 0;
    const ax = px - xy[i] - t * dx;
    const ay = py - xy[i + 1] - t * dy;
    least = Math.min(least, ax * ax + ay * ay);
  }
  return least;
}
