// The panel of a street-level video or picture, and the original next to the result.

import { h, number, duration, withoutOptions } from "./dom.js";

export function videoPanel(job, { panel, player, head, actions, stateText }) {
  const parts = [head];
  if (job.settings.example) parts.push(h("p", { class: "note", id: "about-example" }, "A street drawn by a program, and a small model trained on such drawings. It shows how this tab works; the model is not for real streets."));
  if (job.state === "running") {
    parts.push(h("section", { class: "card" },
      h("div", { class: "row spread" }, h("span", { class: "big num", id: "percent" }, `${Math.floor(job.progress)} %`),
        h("span", { class: "muted" }, job.seconds_left === null ? "" : `about ${duration(job.seconds_left)} left`)),
      h("progress", { max: 100, value: job.progress, "aria-label": "Progress" }), h("p", { class: "muted" }, job.message)));
  } else if (job.state === "failed") {
    parts.push(h("p", { class: "note bad", role: "alert" }, withoutOptions(job.message)));
  } else if (job.state !== "done") {
    parts.push(h("section", { class: "card" }, h("h2", {}, stateText),
      h("p", { class: "muted" }, job.state === "ready" ? `The model's classes will be drawn over ${job.facts.kind === "picture" ? "the picture" : "each frame"}.` : job.message)));
  } else {
    const shares = Object.entries(job.result.shares ?? {});
    parts.push(h("table", { id: "shares" }, h("tbody", {}, shares.map(([name, share]) => h("tr", {}, h("td", {}, name), h("td", {}, `${number(share * 100, 1)} %`))))),
      h("a", { class: "button", id: "download-video", href: `/api/jobs/${job.jobID}/result`, download: "" }, "Download"));
  }
  panel.replaceChildren(...parts, ...actions);
  show(job, player);
}

// What is shown stays: a video must not start again with each message from the server.
function show(job, player) {
  const wanted = job.state === "done" ? "done" : "original";
  const key = `${job.jobID} ${wanted}`;
  if (player.dataset.shown === key && player.firstChild) return;
  player.dataset.shown = key;
  player.hidden = false;
  const path = `/api/jobs/${job.jobID}`;
  const original = job.state === "uploading" ? null : media(job, `${path}/original`, "original", "Original");
  const result = wanted === "done" ? media(job, `${path}/result`, "result", "Classes") : null;
  player.replaceChildren(...[original, result].filter(Boolean));
  const [first, second] = player.querySelectorAll("video");
  if (first && second) follow(second, first);
}

function media(job, url, id, title) {
  const figure = h("figure", {}, h("figcaption", {}, title));
  const element = job.facts.kind === "picture"
    ? h("img", { src: url, id, alt: `${job.name}: ${title.toLowerCase()}` })
    : h("video", { src: url, id, controls: id === "result", loop: true, muted: true, autoplay: true, playsInline: true, "aria-label": `${job.name}: ${title.toLowerCase()}` });
  // Browsers do not play all kinds of video that the server reads.
  if (id === "original") element.addEventListener("error", () => figure.replaceChildren(h("p", { class: "muted", id: "unplayable" }, "This browser cannot play the original.")));
  figure.prepend(element);
  return figure;
}

// The original follows the result, at the same share of its length.
function follow(leader, other) {
  const place = () => {
    if (!other.duration || !leader.duration) return;
    const at = (leader.currentTime / leader.duration) * other.duration;
    if (Math.abs(other.currentTime - at) > 0.15) other.currentTime = at;
  };
  leader.addEventListener("play", () => other.play().catch(() => {}));
  leader.addEventListener("pause", () => {
    other.pause();
    place();
  });
  leader.addEventListener("ratechange", () => (other.playbackRate = leader.playbackRate));
  for (const name of ["seeking", "timeupdate", "loadedmetadata"]) leader.addEventListener(name, place);
  // The original may load after the result was paused or moved.
  other.addEventListener("loadedmetadata", () => {
    if (leader.paused) other.pause();
    place();
  });
}
