"use strict";

const by = (id) => document.getElementById(id);
const number = (value, digits) => (value === null ? "-" : value.toFixed(digits));
const words = { good: "good", defect: "defect", not_inspected: "not inspected" };
let shown = null;
let listed = "";

function showLast(found) {
  if (found.index === null || found.index === shown) return;
  shown = found.index;
  by("frame").src = `/frame.jpg?${found.index}`;
  by("frame").alt = `Part ${found.index} with its anomaly map: ${words[found.verdict]}`;
  by("verdict").textContent = `${words[found.verdict]}, score ${number(found.score, 3)}`;
  by("verdict").className = `verdict ${found.verdict}`;
}

function showTrend(found) {
  const scores = found.trend.filter((one) => one[1] !== null).map((one) => one[1]);
  if (scores.length < 2) return;
  const top = Math.max(1e-6, found.threshold, ...scores) * 1.1;
  const height = (score) => 120 - (120 * score) / top;
  const points = scores.map((score, place) => `${(300 * place) / (scores.length - 1)},${height(score)}`);
  const make = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const limit = height(found.threshold);
  by("trend").replaceChildren(
    make("line", { x1: 0, x2: 300, y1: limit, y2: limit }),
    make("polyline", { points: points.join(" ") }),
  );
  const above = scores.filter((score) => score > found.threshold).length;
  by("trend-text").textContent =
    `Last ${scores.length} scores, ${above} above the threshold of ${number(found.threshold, 4)} (dashed)`;
}

function showDefects(found) {
  const names = found.defects.map((one) => one.index).join();
  if (names === listed) return;
  listed = names;
  const items = found.defects.map((one) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const image = document.createElement("img");
    link.href = `/defects/${one.index}.jpg`;
    image.src = link.href;
    image.alt = `Defect on part ${one.id}`;
    image.loading = "lazy";
    link.append(image, `${one.id}, score ${number(one.score, 3)}`);
    item.append(link);
    return item;
  });
  by("defects").replaceChildren(...items);
}

function show(found) {
  by("category").textContent = found.category;
  document.title = `${found.category} - realnet-edge`;
  for (const [name, count] of Object.entries(found.counts)) by(name).textContent = count;
  by("dropped").textContent = found.dropped;
  by("fps").textContent = number(found.fps, 1);
  by("engine").textContent = found.bundle === null ? "-" : `${found.bundle}, ${number(found.latency_ms.engine, 1)} ms`;
  const cameras = found.cameras.map(
    (one) => (one.name ? `${one.name} ` : "") + one.phase + (one.reason ? `: ${one.reason}` : ""),
  );
  by("camera").textContent = cameras.join(", ");
  const waiting = Object.entries(found.waiting).map(([name, count]) => `${count} for ${name}`);
  by("waiting").textContent = waiting.join(", ") || "none";
  by("alarm").hidden = found.alarm === null;
  by("alarm").textContent = found.alarm;
  showLast(found);
  showTrend(found);
  showDefects(found);
}

const events = new EventSource("/events");
events.onopen = () => { by("link").textContent = "connected to the line"; };
events.onerror = () => { by("link").textContent = "the line does not answer; trying again"; };
events.onmessage = (event) => show(JSON.parse(event.data));
