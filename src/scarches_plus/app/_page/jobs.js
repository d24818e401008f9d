// The list of jobs: progress, Cancel, and which results are shown.

import { follow, get, remove } from "./api.js";
import { $, duration, el, fill, tried } from "./dom.js";

//: A browser keeps six connections to a server: a few jobs are followed, the others asked about now and then.
const MOST_FOLLOWED = 2;
const ASK_AGAIN = 2000;

export class Jobs {
  /** `show(ids)` is called when the choice of shown jobs changes, the first of them in detail. */
  constructor(show) {
    this.show = show;
    this.states = new Map();
    this.sources = new Map();
    this.shown = [];
    this.waited = null; // the job that is shown when it is done
    this.items = new Map();
  }

  async start() {
    const { jobs } = await get("/jobs");
    for (const job of jobs) this.take(job);
    const last = jobs.filter(({ status }) => status === "done").pop();
    const active = jobs.find(({ status }) => status === "running" || status === "queued");
    if (active) this.waited = active.id;
    else if (last) this.choose([last.id]);
  }

  add(job) {
    this.waited = job.id;
    this.take(job);
    this.items.get(job.id).scrollIntoView({ block: "nearest" });
  }

  take(state) {
    const before = this.states.get(state.id);
    this.states.set(state.id, state);
    this.draw(state);
    const ended = ["done", "failed", "cancelled"].includes(state.status);
    const awaited = state.status === "running" || this.waited === state.id;
    if (!ended && awaited && !this.sources.has(state.id) && this.sources.size < MOST_FOLLOWED) {
      this.sources.set(state.id, follow(state.id, (next) => this.take(next)));
    }
    if (ended) this.sources.delete(state.id);
    if (!ended) this.askLater();
    if (state.status === "done" && before?.status !== "done" && this.waited === state.id) {
      this.waited = null;
      this.choose([state.id]);
    }
  }

  /** Ask about the jobs that are not followed, as long as there are any. */
  askLater() {
    const unknown = () => [...this.states.values()].some(({ id, status }) => ["queued", "running"].includes(status) && !this.sources.has(id));
    if (this.asking || !unknown()) return;
    this.asking = setTimeout(async () => {
      this.asking = null;
      try {
        const { jobs } = await get("/jobs");
        for (const job of jobs) if (this.states.has(job.id) && !this.sources.has(job.id)) this.take(job);
      } catch { /* the server is asked again */ }
      this.askLater();
    }, ASK_AGAIN);
  }

  choose(ids) {
    this.shown = ids;
    for (const state of this.states.values()) this.draw(state);
    tried(() => this.show(ids.map((id) => this.states.get(id))))();
  }

  draw(state) {
    let item = this.items.get(state.id);
    if (!item) {
      item = el("li");
      this.items.set(state.id, item);
      $("jobs").prepend(item);
    }
    $("no-jobs").hidden = true;
    const shown = this.shown.includes(state.id);
    item.classList.toggle("shown", shown);
    const parts = [el("span", { class: "name" }, state.name), el("div", { class: "small quiet" }, `onto ${state.reference}, ${new Date(1000 * state.created).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`)];
    if (state.status === "queued") {
      parts.push(el("p", { class: "small", role: "status" }, state.position ? `waits for ${state.position} other ${state.position > 1 ? "jobs" : "job"}` : "waits"));
    } else if (state.status === "running") {
      const left = state.seconds_left ? `, about ${duration(state.seconds_left)} left` : "";
      parts.push(el("progress", { max: 1, value: state.progress, "aria-label": `Progress of ${state.name}` }), el("div", { class: "small", role: "status" }, `${state.step}${left}`));
    } else if (state.status === "failed") {
      parts.push(el("p", { class: "small bad", role: "status" }, state.message));
    } else if (state.status === "cancelled") {
      parts.push(el("p", { class: "small quiet", role: "status" }, "cancelled"));
    }
    parts.push(el("div", { class: "row" }, this.buttons(state, shown)));
    const focused = item.contains(document.activeElement) && document.activeElement.textContent;
    fill(item, parts);
    if (focused) [...item.querySelectorAll("button")].find((button) => button.textContent === focused)?.focus();
  }

  buttons(state, shown) {
    const end = tried(async () => {
      await remove(`/jobs/${state.id}`);
      if (!["queued", "running"].includes(state.status)) this.forget(state.id);
    });
    if (state.status === "queued" || state.status === "running") return [el("button", { type: "button", onclick: end, "aria-label": `Cancel ${state.name}` }, "Cancel")];
    const buttons = [];
    if (state.status === "done") {
      buttons.push(el("button", { type: "button", "aria-pressed": String(shown), onclick: () => this.choose([state.id]), "aria-label": `Show ${state.name}` }, "Show"));
      const other = this.shown.length > 0 && !(this.shown.length === 1 && shown);
      if (other) {
        const next = shown ? this.shown.filter((id) => id !== state.id) : [...this.shown, state.id];
        buttons.push(el("label", { class: "small" }, el("input", { type: "checkbox", checked: shown, onchange: () => this.choose(next) }), " side by side"));
      }
    }
    buttons.push(el("button", { type: "button", onclick: end, "aria-label": `Remove ${state.name} and its results` }, "Remove"));
    return buttons;
  }

  forget(id) {
    this.states.delete(id);
    this.items.get(id).remove();
    this.items.delete(id);
    $("no-jobs").hidden = this.states.size > 0;
    if (this.shown.includes(id)) this.choose(this.shown.filter((one) => one !== id));
  }
}
