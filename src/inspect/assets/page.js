// What a page can do besides with script: times and money as this browser's locale writes them, and what happens meanwhile.
// Everything else works without.
"use strict";

const locale = navigator.languages;
const clock = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
// The largest unit of which there are two, as the server has it.
function age(seconds) {
  const past = Math.abs(seconds);
  if (past < 60) return seconds < 0 ? "in a moment" : "just now";
  for (const [unit, size, until] of [
    ["min", 60, 7200], ["h", 3600, 172800], ["days", 86400, 5184000], ["months", 2592000, 63072000],
    ["years", 31536000, Infinity],
  ]) if (past < until) {
    const long = `${Math.floor(past / size)} ${unit}`;
    return seconds < 0 ? `in ${long}` : `${long} ago`;
  }
}

function tell_times(within) {
  for (const time of within.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    time.textContent = age((Date.now() - at) / 1000);
    time.title = clock.format(at);
  }
}

// Digit by digit: a text is formatted exactly, where a number would be rounded.
function tell_money(within) {
  for (const money of within.querySelectorAll("data.money:not([data-told])")) {
    const digits = (money.value.split(".")[1] || "").length;
    if (!/^-?\d+(\.\d+)?$/.test(money.value)) continue;
    const written = new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
    money.textContent = written.format(money.value);
    money.dataset.told = "";
  }
}

function tell(within) {
  tell_times(within);
  tell_money(within);
}

// What is said once is not said again when somebody looks anew.
function forget_said() {
  const address = new URL(location.href);
  if (!address.searchParams.has("said")) return;
  for (const word of ["said", "balance"]) address.searchParams.delete(word);
  history.replaceState(null, "", address);
}

const keys = (page) => [...page.querySelectorAll("#list > [data-key]")].map((card) => card.dataset.key).join();

// A list is not changed under the hands of whoever reads it: it is told that it is not as it was.
let asks = 0;
async function look_for_other_list() {
  const list = document.getElementById("list");
  if (!list) return;
  const mine = ++asks;
  await new Promise((done) => setTimeout(done, 700));
  if (mine !== asks) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const other = new DOMParser().parseFromString(await answer.text(), "text/html");
  const stale = document.getElementById("stale");
  stale.hidden = keys(other) === keys(document);
  stale.querySelector("a").href = location.href;
}

// ---- what is typed is not lost: a page may be left, shown anew, or closed behind one's back

const place = location.pathname.slice(0, location.pathname.lastIndexOf("/") + 1);
const page = location.pathname.slice(place.length);
const drafts = `typed ${place}${page} `;

// Only of what has a key, by which it is found again. A password has another name, and is kept nowhere.
function draft_of(control) {
  const key = control.form?.elements.key?.value;
  return key && control.name === "value" ? drafts + key : null;
}

function standing(control) {
  if (control.options) return [...control.options].find((option) => option.defaultSelected)?.value;
  return control.defaultValue;
}

function keep(control) {
  const name = draft_of(control);
  if (!name) return;
  const whose = control.closest("article")?.querySelector("h2")?.innerText;
  const typed = { value: control.value, label: [whose, control.labels[0]?.innerText].filter(Boolean).join(", ") };
  if (control.value === standing(control) && !control.matches("[aria-invalid]")) sessionStorage.removeItem(name);
  else sessionStorage.setItem(name, JSON.stringify(typed));
}

function part(name) {
  return document.getElementById(name).content.firstElementChild.cloneNode(true);
}

function show_kept(name, { value, label }) {
  const note = part("typed-elsewhere");
  const box = note.querySelector("textarea");
  note.querySelector("label").append(label);
  note.querySelector("label").htmlFor = box.id = `kept ${name}`.replaceAll(" ", "-");
  box.value = value;
  note.querySelector("button").addEventListener("click", () => { sessionStorage.removeItem(name); note.remove(); });
  document.getElementById("stale").after(note);
}

// Where it was typed; or, when that is gone, beside the list.
function show_drafts() {
  const sent = sessionStorage.getItem("sent");
  if (sent && new URL(location.href).searchParams.has("said")) sessionStorage.removeItem(sent);
  sessionStorage.removeItem("sent");
  const there = new Set();
  for (const control of document.querySelectorAll("form.entry [name=value]")) {
    const name = draft_of(control);
    if (!name) continue;
    there.add(name);
    const kept = JSON.parse(sessionStorage.getItem(name));
    if (control.matches("[aria-invalid]")) keep(control);
    if (!kept || control.matches("[aria-invalid]") || kept.value === standing(control)) continue;
    control.value = kept.value;
    control.closest("details")?.setAttribute("open", "");
    control.after(part("typed-before"));
  }
  const elsewhere = Object.keys(sessionStorage).filter((name) => name.startsWith(drafts) && !there.has(name));
  for (const name of elsewhere) show_kept(name, JSON.parse(sessionStorage.getItem(name)));
  // What was refused just now is shown once.
  if (elsewhere.length > 0) document.getElementById("kept")?.closest(".kept").remove();
}

document.addEventListener("input", ({ target }) => keep(target));

async function is_there() {
  try {
    const answer = await fetch("pulse", { method: "HEAD" });
    return answer.status !== 403 && answer.status !== 404;
  } catch {
    return false;
  }
}

function tell_ended(is_over) {
  document.getElementById("ended").hidden = !is_over;
  tell_over();
}

function tell_unreadable(is_so) {
  document.getElementById("unreadable").hidden = !is_so;
  tell_over();
}

// Then it is not said how things stand, for nobody knows.
function tell_over() {
  document.body.classList.toggle("is-over", document.querySelector(".ended:not([hidden])") !== null);
}

async function look_whether_over() {
  tell_ended(!(await is_there()));
}

// A form that nobody would answer is not sent: a browser shows another page for it, and what was typed is gone with this one.
document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (form.method !== "post") return;
  if (form.dataset.goes !== undefined) return;
  event.preventDefault();
  if (form.dataset.asks !== undefined) return;
  form.dataset.asks = "";
  const goes = await is_there();
  delete form.dataset.asks;
  if (!goes) {
    tell_ended(true);
    document.getElementById("ended").scrollIntoView({ block: "nearest" });
    return;
  }
  if (form.elements.key) sessionStorage.setItem("sent", drafts + form.elements.key.value);
  // The head of a page may be another one by now.
  const now = form.isConnected ? form : document.querySelector(`form[action="${form.getAttribute("action")}"]`);
  if (!now) return;
  now.dataset.goes = "";
  now.requestSubmit(form.isConnected ? submitter : undefined);
});

// ---- what happens meanwhile

function changed() {
  for (const part of document.querySelectorAll("[data-live]")) htmx.trigger(part, "changed");
  look_for_other_list().catch(() => {});
}

function tell_progress({ is_running, step, customers, of }) {
  const box = document.getElementById("progress");
  if (!box) return;
  // It ended before this page heard of it.
  if (!is_running && !box.hidden) changed();
  box.hidden = !is_running;
  const bar = box.querySelector("progress");
  if (of) { bar.max = of; bar.value = customers; } else bar.removeAttribute("value");
  const count = (number) => new Intl.NumberFormat(locale).format(number || 0);
  const people = (number) => `${count(number)} ${number === 1 ? "customer" : "customers"}`;
  box.querySelector("p").textContent =
    step === "uploaded" ? `${count(customers)} of ${people(of)} sent` : step === "pulled" ? `${people(customers)} came in` : "Asking the store";
}

// A page that nobody sees needs no line of its own: a browser has few of them.
let live = null;
function listen() {
  if (document.hidden) {
    live?.close();
    live = null;
    return;
  }
  if (live) return;
  live = new EventSource("live");
  live.addEventListener("open", () => tell_ended(false));
  live.addEventListener("error", look_whether_over);
  live.addEventListener("changed", changed);
  live.addEventListener("sync", (event) => tell_progress(JSON.parse(event.data)));
}

document.addEventListener("visibilitychange", () => {
  listen();
  if (!document.hidden) changed();
});
document.addEventListener("htmx:responseError", ({ detail }) => tell_unreadable(detail.xhr.status >= 500));
document.addEventListener("htmx:afterOnLoad", ({ detail }) => {
  if (detail.successful) tell_unreadable(false);
});
document.addEventListener("htmx:afterSettle", ({ detail }) => {
  tell(document);
  // Who comes back finds what was looked for.
  const asked = detail.requestConfig?.elt;
  if (asked?.id === "q") history.replaceState(null, "", `customers?q=${encodeURIComponent(asked.value)}`);
});
addEventListener("pagehide", () => { live?.close(); live = null; });
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.forms) delete form.dataset.goes;
  listen();
  changed();
});
tell(document);
show_drafts();
forget_said();
listen();
setInterval(() => tell_times(document), 20000);
