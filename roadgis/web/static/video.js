// The panel of a street-level video or picture.

import { h, number, duration } from "./dom.js";

export function videoPanel(job, { panel, player, head, actions, stateText }) {
  const parts = [head];
  if (job.state === "running") {
    parts.push(h("section", { class: "card" },
      h("div", { class: "row spread" }, h("span", { class: "big num", id: "percent" }, `${Math.floor(job.progress)} %`),
        h("span", { class: "muted" }, job.seconds_left === null ? "" : `about ${duration(job.seconds_left)} left`)),
      h("progress", { max: 100, value: job.progress, "aria-label": "Progress" }), h("p", { class: "muted" }, job.message)));
  } else if (job.state === "failed") {
    parts.push(h("p", { class: "note bad", role: "alert" }, job.message));
  } else if (job.state !== "done") {
    parts.push(h("section", { class: "card" }, h("h2", {}, stateText),
      h("p", { class: "muted" }, job.state === "ready" ? "The model's classes will be drawn over each frame." : job.message)));
  }
  const url = `/api/jobs/${job.jobID}/result`;
  player.hidden = false;
  if (job.state === "done") {
    const shares = Object.entries(job.result.shares ?? {});
    parts.push(h("table", { id: "shares" }, h("tbody", {}, shares.map(([name, share]) => h("tr", {}, h("td", {}, name), h("td", {}, `${number(share * 100, 1)} %`))))),
      h("a", { class: "button", id: "download-video", href: url, download: "" }, "Download"));
    if (!player.firstChild) {
      player.append(job.facts.kind === "picture"
        ? h("img", { src: url, alt: `${job.name} with the model's classes` })
        : h("video", { src: url, controls: true, loop: true, muted: true, autoplay: true, playsInline: true }));
    }
  } else if (!player.firstChild) {
    player.append(h("p", { class: "muted" }, "The result is played here."));
  } 
  if (job.state === "done" && player.firstChild?.tagName === "P") {
    player.replaceChildren();
    return videoPanel(job, { panel, player, head, actions, stateText });
  }
  panel.replaceChildren(...parts, ...actions);
}
