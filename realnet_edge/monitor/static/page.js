"use strict";

const by = (id) => document.getElementById(id);
const number = (value, digits) => (value === null || value === undefined ? "-" : value.toFixed(digits));
// The time alone would take an alarm of yesterday for one of today.
const clock = (utc) => {
  const at = new Date(utc);
  const today = at.toDateString() === new Date().toDateString();
  return today ? at.toLocaleTimeString() : at.toLocaleString();
};
const words = { good: "good", defect: "defect", not_inspected: "not inspected" };
const svg = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};
const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const calm = matchMedia("(prefers-reduced-motion: reduce)");
// Where motion is unwelcome pictures change as seldom as this; speech is never told more often either.
const SELDOM_MS = 5000;
// What other parts of the page want to hear of each state.
const listeners = [];
let paused = false;
let arranged = "";
let listed = "";
let told = -1;
let toldAt = 0;
// A threshold that is being tried; drawn into the trend.
let tried = null;
let dismissed = "";

function arrange(cameras) {
  const names = cameras.map((one) => one.name).join("\n");
  if (arranged === `${cameras.length}:${names}`) return;
  arranged = `${cameras.length}:${names}`;
  const items = cameras.map((one, place) => {
    const item = element("li");
    const image = element("img");
    image.alt = "No part has been inspected yet";
    image.width = image.height = 480;
    image.dataset.at = 0;
    const parts = [image, element("p", "nothing inspected yet", "verdict"), element("p", "", "quiet")];
    if (one.name) parts.unshift(element("h3", one.name));
    item.id = `camera-${place}`;
    item.append(...parts);
    return item;
  });
  by("cameras").replaceChildren(...items);
}

function showCamera(camera, place) {
  const item = by(`camera-${place}`);
  const state = camera.phase + (camera.reason ? `: ${camera.reason}` : "");
  item.querySelector(".quiet").textContent =
    `camera ${state}; ${camera.dropped} dropped, ${camera.reconnects} reconnects`;
  const verdict = item.querySelector(".verdict");
  if (camera.missed !== null) {
    // A picture of a part before these must not stand for them.
    const [count, reason] = camera.missed;
    verdict.textContent = `not inspected: the last ${count === 1 ? "part" : `${count} parts`} (${reason})`;
    verdict.className = "verdict not_inspected";
    item.querySelector("img").dataset.index = "";
    item.querySelector("img").onload = null;
    return;
  }
  const last = camera.last;
  const image = item.querySelector("img");
  if (last === null || image.dataset.index === String(last.index)) return;
  if (calm.matches && Date.now() - image.dataset.at < SELDOM_MS) return;
  image.dataset.index = last.index;
  image.dataset.at = Date.now();
  image.src = `/cameras/${place}/${last.index}.jpg`;
  // Words and picture are of one part at any moment.
  image.onload = () => {
    image.alt = `Part ${last.id} with its anomaly map: ${words[last.verdict]}`;
    verdict.textContent = `${words[last.verdict]}, score ${number(last.score, 3)}`;
    verdict.className = `verdict ${last.verdict}`;
  };
}

function showTrend(found) {
  const scores = found.trend.filter((one) => one[1] !== null).map((one) => one[1]);
  const threshold = found.control ? found.control.value : found.threshold;
  if (scores.length < 2 || threshold === null) return;
  const top = Math.max(1e-6, threshold, tried ?? 0, ...scores) * 1.1;
  const height = (score) => 120 - (120 * score) / top;
  const across = (score, kind) => svg("line", { class: kind, x1: 0, x2: 300, y1: height(score), y2: height(score) });
  const points = scores.map((score, place) => `${(300 * place) / (scores.length - 1)},${height(score)}`);
  by("trend").replaceChildren(
    across(threshold, "limit"),
    ...(tried === null ? [] : [across(tried, "tried")]),
    svg("polyline", { points: points.join(" ") }),
  );
  const above = scores.filter((score) => score > threshold).length;
  by("trend-text").textContent =
    `Last ${scores.length} scores, ${above} above the threshold of ${number(threshold, 4)} (dashed)` +
    (tried === null ? "" : `; tried: ${number(tried, 4)} (dotted)`);
}

function showDefects(found) {
  const names = found.defects.map((one) => one.index).join();
  if (names === listed) return;
  listed = names;
  const items = found.defects.map((one) => {
    const item = element("li");
    const link = element("a");
    const image = element("img");
    const where = one.camera ? `${one.camera}, ${one.id}` : one.id;
    link.href = `/defects/${one.index}.jpg`;
    image.src = link.href;
    image.alt = "";
    image.loading = "lazy";
    link.append(image, `${where}: ${number(one.score, 3)}, ${clock(one.at)}`);
    item.append(link);
    return item;
  });
  by("defects").replaceChildren(...(items.length ? items : [element("li", "none")]));
}

// Not every part is read out, but defects are, the newest of them every few seconds.
function tell(found) {
  const newest = found.defects[0];
  if (!newest || newest.index <= told || Date.now() - toldAt < SELDOM_MS) return;
  told = newest.index;
  toldAt = Date.now();
  by("told").textContent = `Defect: ${newest.id}, score ${number(newest.score, 3)}`;
}

function deliveries(found) {
  const names = Object.keys(found.waiting);
  const lines = names.map((name) => {
    const problem = found.problems[name];
    return `${name}: ${found.waiting[name]} waiting` +
      (problem ? `, not reached since ${clock(problem.at)} (${problem.reason})` : "");
  });
  return lines.join("; ") || "none: they go to this run's own files alone";
}

function duration(seconds) {
  const hours = Math.floor(seconds / 3600);
  return hours >= 48 ? `${Math.floor(hours / 24)} days` : `${hours} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function showState(found) {
  by("uptime").textContent = duration(found.uptime_s);
  by("latency").textContent = found.latency_ms === null ? "-" :
    `${number(found.latency_ms.total, 1)} ms (engine ${number(found.latency_ms.engine, 1)})`;
  const works = found.control === null || found.control.works;
  const bundle = found.control ? found.control.bundle : found.bundle;
  by("engine").textContent = bundle === null ? "-" : bundle + (works ? ", works" : ", has failed and is being built again");
  by("waiting").textContent = deliveries(found);
  // Said where it matters: a line without one, and one whose trigger is there, need no word of it.
  by("trigger").hidden = found.trigger.phase === "live";
  by("trigger-state").textContent = found.trigger.phase + (found.trigger.reason ? `: ${found.trigger.reason}` : "");
  const alarms = found.alarms.map((one) => element("li", `${clock(one.at)} ${one.text}`));
  by("alarms").replaceChildren(...(alarms.length ? alarms : [element("li", "none")]));
  // The newest alarm stands above everything; the same words again would be read out again.
  const alarm = found.alarms.length ? `${clock(found.alarms[0].at)} ${found.alarms[0].text}` : "";
  by("alarm").hidden = !alarm || alarm === dismissed;
  if (by("alarm-text").textContent !== alarm) by("alarm-text").textContent = alarm;
}

function show(found) {
  if (paused) return;
  by("category").textContent = found.category;
  document.title = `${found.category} - realnet-edge`;
  for (const [name, count] of Object.entries(found.counts)) by(name).textContent = count;
  by("dropped").textContent = found.dropped;
  by("fps").textContent = number(found.fps, 1);
  arrange(found.cameras);
  found.cameras.forEach(showCamera);
  showTrend(found);
  showDefects(found);
  showState(found);
  tell(found);
  for (const hear of listeners) hear(found);
}

async function showVisitor() {
  const answer = await fetch("/me");
  // The session has ended: the server leads to where one signs in.
  if (answer.status === 401) return location.reload();
  const visitor = await answer.json();
  const signedIn = visitor.role === "operator" || !visitor.name.startsWith("anyone");
  by("sign-in").hidden = !visitor.can_sign_in || signedIn;
  by("sign-out").hidden = !signedIn;
  by("visitor").textContent = `${visitor.name} (${visitor.role})`;
  by("operator").hidden = visitor.role !== "operator";
  by("viewer").hidden = visitor.role === "operator";
}

by("pause").onclick = () => {
  paused = !paused;
  by("pause").setAttribute("aria-pressed", paused);
  by("link").textContent = paused ? "paused: the line goes on, this page does not follow it" : "connected to the line";
};

by("dismiss").onclick = () => {
  dismissed = by("alarm-text").textContent;
  by("alarm").hidden = true;
  // Where the focus was is gone.
  by("main").focus();
};

const events = new EventSource("/events");
events.onopen = () => { by("link").textContent = "connected to the line"; };
events.onmessage = (event) => show(JSON.parse(event.data));
events.onerror = () => {
  by("link").textContent = "the line does not answer; trying again";
  // A refusal is final for an event source; whether it was one is asked for.
  showVisitor().catch(() => {});
  if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), SELDOM_MS);
};
showVisitor().catch(() => {});
