// The page: which job is open, and the panel of its state.

import { get, post, call, put, watch } from "./api.js";
import { h, count, icon, toast, number, length, duration, withoutOptions } from "./dom.js";
import { JobMap } from "./map.js";
import { ResultPanel } from "./result.js";
import { videoPanel } from "./video.js";

const panel = document.getElementById("panel");
const stage = document.getElementById("stage");
const hint = document.getElementById("hint");
const player = document.getElementById("player");

const state = { tab: "roads", job: null, watching: null, about: null, shown: null, version: null, result: null };
const map = new JobMap(document.getElementById("map"));

const STATES = {
  uploading: "Uploading", checking: "Checking", ready: "Ready to run", queued: "Waiting",
  running: "Running", done: "Done", failed: "Failed", cancelled: "Cancelled",
};

function fail(error) {
  toast(error.message, { bad: true, seconds: 12 });
}

function setHint(text) {
  hint.textContent = text || "";
  hint.hidden = !text;
}

// --- where we are: #job=ID, #roads or #video

function route() {
  const id = location.hash.match(/^#job=([\w-]+)$/)?.[1];
  state.watching?.stop();
  state.watching = null;
  state.result?.close();
  state.result = null;
  player.hidden = true;
  player.replaceChildren();
  map.clear();
  setHint("");
  Object.assign(state, { job: null, shown: null, version: null });
  if (id) openJob(id);
  else {
    state.tab = location.hash === "#video" ? "video" : "roads";
    start();
  }
  showTab();
}

function showTab() {
  for (const link of document.querySelectorAll("#tabs a")) {
    if (link.dataset.tab === state.tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function openJob(id) {
  setHint("");
  try {
    const job = await get(`/jobs/${id}`);
    state.tab = job.processID;
    showTab();
    show(job);
    if (!["done", "failed", "cancelled"].includes(job.state)) follow(id);
  } catch (error) {
    if (error.status === 404) location.hash = "";
    fail(error);
  }
}

function follow(id) {
  state.watching?.stop();
  state.watching = watch(id, (job) => {
    if (location.hash === `#job=${id}`) show(job);
  });
}

// --- the start page

async function start() {
  const video = state.tab === "video";
  const list = h("ul", { class: "jobs" });
  const missing = video && state.about && !state.about.video
    ? [h("p", { class: "note" }, "Videos need OpenCV: install roadgis with its extra video on the server.")]
    : video && state.about && !state.about.video_model
      ? [h("p", { class: "note", id: "aerial-model" }, "This server's model is for aerial imagery: it suits videos from above, not from a street. For street-level videos, start the server with a model for them: roadgis serve --video-model.")] : [];
  panel.replaceChildren(dropCard(video), ...missing, ...serverCard(video), h("section", { class: "stack" }, h("h2", {}, "Recent"), list));
  if (!video) setHint("Your scene will appear here.");
  try {
    const { jobs } = await get("/jobs");
    const own = jobs.filter((job) => job.processID === state.tab).slice(0, 30);
    list.replaceChildren(...own.map(jobLine));
    if (!own.length) list.append(h("li", { class: "muted" }, video ? "No videos yet." : "No scenes yet. The example takes a few seconds."));
  } catch (error) {
    fail(error);
  }
}

function dropCard(video) {
  const input = h("input", { type: "file", multiple: !video, accept: state.about?.uploads[state.tab].join(), hidden: true, onchange: () => upload([...input.files]) });
  const example = state.about?.examples.includes(state.tab) && (!video || state.about.video)
    ? h("button", { type: "button", id: "example", onclick: startExample }, "Try the example")
    : null;
  return h("section", { class: "stack" },
    h("h1", {}, video ? "Street-level videos" : "Roads from aerial imagery"),
    h("p", { class: "muted" }, video
      ? "Draw a model's classes over a video or picture."
      : "Drop a georeferenced scene to get a clean, connected road network that you can check, correct and download."),
    h("div", { class: "drop" }, icon(video ? "film" : "upload"),
      h("p", {}, h("b", {}, video ? "Drop a video or picture here" : "Drop GeoTIFF or JPEG 2000 files here")),
      h("p", { class: "muted small" }, video ? "MP4, WebM, PNG, JPEG" : "Several sheets make one scene. PNG and JPEG need world files."),
      h("div", { class: "row wrap" }, h("button", { class: "primary", type: "button", id: "choose", onclick: () => input.click() }, "Choose files"), example), input));
}

function serverCard(video) {
  const { data_dir: paths, allow_url: urls } = state.about ?? {};
  if (!paths && !urls) return [];
  const text = paths && urls ? "Or enter a path on the server or a URL" : paths ? "Or enter a path on the server" : "Or enter a URL";
  const input = h("input", { type: "text", id: "server-path", placeholder: paths ? "folder/scene.tif" : "https://example.org/scene.tif", autocomplete: "off", required: true });
  const form = h("form", { class: "stack tight", onsubmit: async (event) => {
    event.preventDefault();
    try {
      // Several URLs are sheets of one scene; paths may have spaces.
      const given = input.value.trim().split(/\s+(?=https?:)/);
      const job = await post("/jobs", { kind: video ? "video" : "roads", paths: given });
      location.hash = `#job=${job.jobID}`;
    } catch (error) {
      fail(error);
    }
  } }, h("label", { for: "server-path" }, text),
  h("div", { class: "row" }, input, h("button", { type: "submit" }, "Open")));
  return [form];
}

function jobLine(job) {
  const detail = job.state === "done" && job.result.networks
    ? length(job.result.networks.at(-1).length_m)
    : job.state === "running" ? `${Math.round(job.progress)} %` : STATES[job.state];
  return h("li", {}, h("a", { href: `#job=${job.jobID}` },
    h("span", { class: `dot ${job.state}` }),
    h("span", { class: "ellipsis" }, job.name),
    h("span", { class: "muted small num" }, detail)));
}

async function startExample(event) {
  event.target.disabled = true;
  try {
    const job = await post("/jobs", { kind: state.tab, example: true });
    location.hash = `#job=${job.jobID}`;
  } catch (error) {
    event.target.disabled = false;
    fail(error);
  }
}

// --- uploads

async function upload(files) {
  if (!files.length) return;
  setHint("");
  const kind = state.tab;
  const limit = state.about?.limits.max_mb ?? Infinity;
  const large = files.find((file) => file.size > limit * 1e6);
  if (large) return toast(`${large.name} has ${number(large.size / 1e6)} MB. The largest file allowed is ${number(limit)} MB.`, { bad: true });
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Upload" });
  const text = h("p", { class: "muted num" });
  const stopper = new AbortController();
  panel.replaceChildren(h("section", { class: "card" }, h("h1", {}, files.length > 1 ? `Uploading ${files.length} files` : `Uploading ${files[0].name}`),
    bar, text, h("button", { type: "button", onclick: () => stopper.abort() }, "Cancel")));
  let job = null;
  try {
    job = await post("/jobs", { kind, name: files.length > 1 ? `${files[0].name} and ${files.length - 1} more`.slice(0, 120) : files[0].name.slice(0, 120) });
    let before = 0;
    for (const file of files) {
      await put(`/jobs/${job.jobID}/files/${encodeURIComponent(file.name)}`, file, (loaded) => {
        bar.value = (before + loaded) / total;
        text.textContent = `${number((before + loaded) / 1e6, 1)} of ${number(total / 1e6, 1)} MB`;
      }, stopper.signal);
      before += file.size;
    }
    await post(`/jobs/${job.jobID}/check`);
    location.hash = `#job=${job.jobID}`;
  } catch (error) {
    fail(error);
    if (job) await call("DELETE", `/jobs/${job.jobID}`).catch(() => {});
    start();
  }
}

function dropping() {
  let depth = 0;
  const area = document.getElementById("droparea");
  addEventListener("dragenter", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    depth++;
    area.hidden = false;
  });
  addEventListener("dragleave", () => (depth = Math.max(0, depth - 1)) === 0 && (area.hidden = true));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    area.hidden = true;
    if (event.dataTransfer.files.length) {
      if (location.hash.startsWith("#job=")) history.replaceState(null, "", `#${state.tab}`);
      upload([...event.dataTransfer.files]);
    }
  });
}

// --- one job

function show(job) {
  const before = state.job;
  state.job = job;
  document.title = `${job.name} – roadgis`;
  if (job.processID === "video") return videoPanel(job, { panel, player, head: head(job), actions: actions(job), stateText: STATES[job.state] });
  showOnMap(job);
  if (job.state === "done") {
    if (before?.state !== "done" || !state.result) {
      panel.replaceChildren();
      state.result = new ResultPanel(job, map, panel, head(job), { fail, setHint, about: state.about });
    }
    return;
  }
  state.result?.close();
  state.result = null;
  // The same elements while it runs: a focused button must not vanish twice a second.
  if (job.state === "running" && before?.state === "running" && before.jobID === job.jobID && state.live) return state.live(job);
  state.live = null;
  const body = {
    uploading: () => [busy("Receiving the files", job.message || "Files are being uploaded."), ...actions(job)],
    checking: () => [busy("Reading the imagery", "Checking location and pixel size, and estimating how long a run takes."), ...actions(job)],
    ready: () => ready(job),
    queued: () => [busy("Waiting", "Another job is running. This one starts when it is done."), ...actions(job)],
    running: () => running(job),
    failed: () => failed(job),
    cancelled: () => failed(job),
  }[job.state]();
  panel.replaceChildren(head(job), ...body);
}

function showOnMap(job) {
  const facts = job.facts;
  if (facts.bounds_lonlat && state.shown !== job.jobID) {
    state.shown = job.jobID;
    map.fit(facts.bounds_lonlat);
    map.footprint(facts.inputs);
  }
  if (facts.shown && !map.layers.imagery) map.imagery(job.jobID);
  if (job.state === "running" && job.live.version && job.live.version !== state.version) {
    state.version = job.live.version;
    if (map.opacity.probability === 0) map.setOpacity("probability", 0.55);
    map.probability(job.jobID, `live${job.live.version}`);
    map.roads(job.jobID, "live", job.live.version);
  }
}

function head(job) {
  return h("div", { class: "row" },
    h("a", { class: "button", href: `#${job.processID}`, "aria-label": "Back to all jobs", title: "All jobs" }, "←"),
    h("div", { class: "grow" }, h("h1", { class: "ellipsis", title: job.name }, job.name), h("p", { class: "muted small" }, STATES[job.state])),
    h("button", { type: "button", class: "plain danger", onclick: () => remove(job) }, "Delete"));
}

async function remove(job) {
  if (!confirm(`Delete ${job.name} with all its results and corrections?`)) return;
  try {
    await call("DELETE", `/jobs/${job.jobID}`);
    location.hash = `#${job.processID}`;
  } catch (error) {
    fail(error);
  }
}

function busy(title, text) {
  return h("section", { class: "card" }, h("h2", {}, title), h("progress", { "aria-label": title }), h("p", { class: "muted" }, text));
}

function act(text, path, { primary = false, settings = () => ({}) } = {}) {
  const button = h("button", { type: "button", class: primary ? "primary wide" : "wide", onclick: async () => {
    button.disabled = true;
    try {
      await post(path, settings());
      openJob(state.job.jobID);
    } catch (error) {
      button.disabled = false;
      fail(error);
    }
  } }, text);
  return button;
}

function actions(job) {
  const id = job.jobID;
  if (["uploading", "checking", "queued", "running"].includes(job.state)) return [act("Cancel", `/jobs/${id}/cancel`)];
  if (job.state === "ready" && job.processID === "video") {
    const every = h("input", { type: "text", inputMode: "numeric", id: "every", value: "1" });
    const alpha = h("input", { type: "range", id: "alpha", min: 0.1, max: 1, step: 0.05, value: 0.5 });
    const settings = () => ({ every: Math.max(1, Math.round(Number(every.value)) || 1), alpha: Number(alpha.value) });
    return [h("div", { class: "stack tight" }, h("label", { for: "alpha" }, "Opacity of the classes"), alpha,
      ...(job.facts.kind === "picture" ? [] : [h("label", { for: "every" }, "Segment every Nth frame"), every])), act("Run", `/jobs/${id}/execution`, { primary: true, settings })];
  }
  if (job.state === "ready") return [act("Run", `/jobs/${id}/execution`, { primary: true })];
  if (job.state === "done" || !job.files.length) return [];
  // It failed or was cancelled. Imagery is checked before its run, a video is not.
  if (job.processID === "video" || job.facts.usable) {
    const resumes = job.state === "cancelled" && job.started !== null && job.processID === "roads";
    const text = resumes ? "Resume" : job.state === "cancelled" ? "Run" : "Try again";
    return [act(text, `/jobs/${id}/execution`, { primary: true })];
  }
  return job.state === "cancelled" ? [act("Check the files again", `/jobs/${id}/check`, { primary: true })] : [];
}

function verdict(job) {
  const facts = job.facts;
  if (!facts.inputs) return [];
  const first = facts.inputs[0];
  const size = facts.size;
  const rows = [
    ["Size", `${number(size.source_mpx ?? size.mpx, 1)} Mpx, ${count(facts.inputs.length, "sheet")}`],
    ["Pixel size", `${first.pixel_m.map((v) => number(v, 2)).join(" × ")} m (${first.gsd_verdict.replace(/^fits .*/, "suits the model")})`],
    ["CRS", first.crs],
    ["Bands", `${first.bands_used.join(", ")} of ${first.bands}, ${first.dtype}`],
  ];
  if (facts.unlike_training === null) rows.push(["Look", "like the model's training imagery"]);
  if (facts.estimated_seconds) rows.push(["Time", `about ${duration(facts.estimated_seconds)} on this server`]);
  return [
    h("div", { class: facts.usable ? "verdict" : "verdict no" }, h("i", { "aria-hidden": "true" }, facts.usable ? "✓" : "!"),
      h("span", { id: "verdict" }, facts.usable ? "This imagery can be used." : withoutOptions(facts.reason || job.message))),
    h("dl", { class: "facts" }, rows.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])),
    facts.unlike_training ? h("p", { class: "note" }, withoutOptions(facts.unlike_training)) : null,
  ];
}

function ready(job) {
  return [h("section", { class: "card" }, verdict(job)), ...actions(job)];
}

function running(job) {
  const percent = h("span", { class: "big num", id: "percent" });
  const left = h("span", { class: "muted num" });
  const bar = h("progress", { max: 100, value: job.progress, "aria-label": "Progress" });
  const text = h("p", { class: "muted" });
  const sofar = h("div", { class: "stats", hidden: true });
  const notes = h("div", { class: "stack" });
  state.live = (now) => {
    percent.textContent = `${Math.floor(now.progress)} %`;
    left.textContent = now.seconds_left === null ? "" : `about ${duration(now.seconds_left)} left`;
    bar.value = now.progress;
    text.textContent = now.message;
    sofar.hidden = !now.live.version;
    if (now.live.version) {
      sofar.replaceChildren(h("div", {}, h("b", { id: "live-length" }, length(now.live.length_m)), h("span", {}, "roads so far")),
        h("div", {}, h("b", {}, number(now.live.edges)), h("span", {}, "edges so far")));
    }
    notes.hidden = !now.warnings.length;
    notes.replaceChildren(...now.warnings.map((line) => h("p", { class: "note small" }, withoutOptions(line))));
  };
  state.live(job);
  return [h("section", { class: "card" }, h("div", { class: "row spread" }, percent, left), bar, text, sofar), notes, ...actions(job)];
}

function failed(job) {
  const cancelled = job.state === "cancelled";
  const said = job.facts.inputs && job.message === job.facts.reason; // by the verdict
  return [h("section", { class: "card" }, verdict(job),
    said ? null : h("p", { class: cancelled ? "muted" : "note bad", role: cancelled ? null : "alert" }, withoutOptions(job.message))), ...crsForm(job), ...actions(job)];
}

// Imagery without a CRS can be given one.
function crsForm(job) {
  if (job.state !== "failed" || !job.message.includes("--assume-crs")) return [];
  const crs = h("input", { type: "text", id: "crs", placeholder: "EPSG:25832", required: true, pattern: "[A-Za-z]+:[0-9]+" });
  return [h("form", { class: "stack tight", onsubmit: async (event) => {
    event.preventDefault();
    try {
      await post(`/jobs/${job.jobID}/check`, { assume_crs: crs.value.trim() });
      openJob(job.jobID);
    } catch (error) {
      fail(error);
    }
  } }, h("label", { for: "crs" }, "Coordinate reference system of the imagery"), h("div", { class: "row" }, crs, h("button", { type: "submit" }, "Use")))];
}

// --- theme

function theme() {
  const dark = () => localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const apply = () => (document.documentElement.dataset.theme = dark());
  document.getElementById("theme").addEventListener("click", () => {
    localStorage.setItem("theme", dark() === "dark" ? "light" : "dark");
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  apply();
}

theme();
dropping();
addEventListener("hashchange", route);
document.getElementById("brand").addEventListener("click", (event) => {
  event.preventDefault();
  location.hash = "#roads";
});
// For tests and for people who try things in the console.
window.roadgis = { map, state };
try {
  state.about = await get("/");
  map.base(state.about.base_map);
} catch (error) {
  fail(error);
}
route();
