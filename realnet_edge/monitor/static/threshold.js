"use strict";

// Answers of the server come back in any order: only the one to the last question counts.
let asked = null;
let asking = null;
let seen = null;
let force = null;
let ranged = "";
const WAIT_MS = 120;

const share = (part, whole) => (whole ? `${part} (${((100 * part) / whole).toFixed(1)}%)` : `${part}`);

function inForce(control) {
  const own = control.own === null ? "the bundle has none of its own" : `the bundle's own is ${number(control.own, 4)}`;
  const who = control.who === null ? "" : `, set by ${control.who} on ${new Date(control.at).toLocaleString()}`;
  by("in-force").textContent = `In force: ${number(control.value, 4)}${who}; ${own}.`;
  by("own").disabled = control.own === null || control.own === control.value;
}

// The slider spans the scores that there are: between 0 and 1 a hair would move it past all of them.
function range(found) {
  const low = Math.min(found.lowest ?? 0, force.value, force.own ?? force.value);
  const high = Math.max(found.highest ?? 1, force.value, force.own ?? force.value);
  const margin = 0.1 * (high - low) + 0.001;
  const span = [Math.max(0, low - margin), Math.min(1, high + margin)].map((one) => one.toFixed(4));
  if (ranged === span.join()) return;
  ranged = span.join();
  [by("slider").min, by("slider").max] = span;
  by("slider").step = Math.max(0.0001, (span[1] - span[0]) / 1000).toFixed(4);
  by("slider").value = by("value").value;
}

function previewed(found) {
  const parts = `Of the last ${found.parts} parts that this engine has scored`;
  return `${parts}, ${share(found.failed, found.parts)} would have failed at ${number(found.value, 4)}; ` +
    `at the threshold in force ${share(found.failed_now, found.parts)}.`;
}

async function preview(value) {
  asked = value;
  const answer = await fetch(`/threshold/preview?value=${value}`);
  const found = await answer.json();
  if (asked !== value) return;
  seen = answer.ok ? found : null;
  by("preview").textContent = answer.ok ? previewed(found) : found.error;
  if (answer.ok) range(found);
}

function moved(value) {
  tried = value;
  by("changed").textContent = "";
  clearTimeout(asking);
  asking = setTimeout(() => preview(value).catch(() => { by("preview").textContent = "The line does not answer."; }), WAIT_MS);
}

async function change(value, bundle) {
  const answer = await fetch("/threshold", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ value, bundle }),
  });
  const found = await answer.json().catch(() => ({ error: `The line refused (${answer.status}).` }));
  by("changed").textContent = answer.ok
    ? `The threshold is ${number(found.new, 4)} now; it was ${number(found.old, 4)}.`
    : found.error;
  if (answer.ok) tried = null;
}

// Asks, and changes the threshold if the answer is yes. What is confirmed is what is sent, bundle and all.
function confirmed(value, text) {
  const bundle = force.bundle;
  const dialog = by("confirm");
  by("confirm-text").textContent = text;
  dialog.returnValue = "no";
  dialog.onclose = () => {
    if (dialog.returnValue !== "yes") return;
    change(value, bundle).catch(() => { by("changed").textContent = "The line does not answer: nothing was changed."; });
  };
  dialog.showModal();
}

by("slider").oninput = () => {
  by("value").value = by("slider").value;
  moved(Number(by("slider").value));
};
by("value").oninput = () => {
  if (!by("value").checkValidity()) {
    by("preview").textContent = "The threshold has to be a number from 0 to 1.";
    return;
  }
  by("slider").value = by("value").value;
  moved(Number(by("value").value));
};
by("try").onsubmit = async (event) => {
  event.preventDefault();
  const value = Number(by("value").value);
  clearTimeout(asking);
  await preview(value).catch(() => { seen = null; });
  if (seen === null) return;
  confirmed(value, `From ${number(force.value, 4)} to ${number(value, 4)}. ${previewed(seen)}`);
};
by("own").onclick = async () => {
  await preview(force.own).catch(() => { seen = null; });
  if (seen === null) return;
  confirmed(null, `Back to the bundle's own, from ${number(force.value, 4)} to ${number(force.own, 4)}. ${previewed(seen)}`);
};

listeners.push((found) => {
  by("threshold").hidden = found.control === null;
  if (found.control === null) return;
  const first = force === null;
  force = found.control;
  inForce(force);
  if (!first) return;
  by("value").value = by("slider").value = force.value.toFixed(4);
  preview(force.value).catch(() => {});
});
