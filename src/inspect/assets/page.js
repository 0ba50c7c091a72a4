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
  address.searchParams.delete("said");
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
  const count = new Intl.NumberFormat(locale).format(customers || 0);
  box.querySelector("p").textContent =
    step === "uploaded" ? `${count} of ${of} customers sent` : step === "pulled" ? `${count} customers came in` : "Asking the store";
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
  live.addEventListener("changed", changed);
  live.addEventListener("sync", (event) => tell_progress(JSON.parse(event.data)));
}

document.addEventListener("visibilitychange", () => {
  listen();
  if (!document.hidden) changed();
});
document.addEventListener("htmx:afterSettle", () => tell(document));
addEventListener("pagehide", () => { live?.close(); live = null; });
addEventListener("pageshow", (event) => { if (event.persisted) { listen(); changed(); } });
tell(document);
forget_said();
listen();
setInterval(() => tell_times(document), 20000);
