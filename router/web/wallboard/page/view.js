// Draws a picture. Whatever comes from calls, rules and agents is put in as text, never as markup.

import { count, date, goal, inZone, lasting, share, time, word, wordOr } from "./words.js";

const at = (id) => document.getElementById(id);

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function mark(element, kind) {
  if (element.dataset.kind !== kind) element.dataset.kind = kind;
}

// As many children as are needed, each filled; those that are there are kept, so that nothing flickers.
function list(parent, items, make, fill) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(make());
  items.forEach((item, n) => fill(parent.children[n], item));
}

function row(kinds) {
  return () => {
    const line = document.createElement("tr");
    kinds.forEach((kind, n) => {
      const cell = document.createElement(n === 0 ? "th" : "td");
      if (n === 0) cell.scope = "row";
      if (kind) cell.className = kind;
      line.append(cell);
    });
    return line;
  };
}

function cells(line, texts) {
  texts.forEach((text, n) => say(line.children[n], text));
}

function pair() {
  const both = document.createElement("div");
  both.append(document.createElement("dt"), document.createElement("dd"));
  return both;
}

function pairs(parent, told) {
  list(parent, told, pair, (both, [name, value, kind]) => {
    say(both.children[0], name);
    say(both.children[1], value);
    mark(both, kind ?? "");
  });
}

export function draw(picture) {
  inZone(picture.zone);
  const { today, waiting } = picture;
  say(at("clock"), time(picture.at_s));
  say(at("date"), date(picture.at_s));
  faults(picture);
  tiles(waiting, today);
  sums(today);
  bands(waiting, today);
  queues(inOrder(picture.queues, today.within_s), picture.agents);
  last(picture.last);
  links(picture.links);
  say(at("rules"), picture.rules);
}

let faultsTold = "";

function faults({ conditions, today }) {
  // The list is read out when it changes, so it is touched only then.
  const texts = conditions.map(({ node, what, why, since_s }) => [
    [node, wordOr(`what.${what}`, what)].filter(Boolean).join(": "),
    [word("since", { time: since_s < today.start_s ? `${date(since_s)}, ${time(since_s)}` : time(since_s) }), why],
  ]);
  const told = JSON.stringify(texts);
  if (told === faultsTold) return;
  faultsTold = told;
  at("faults").hidden = texts.length === 0;
  list(at("fault-list"), texts, fault, (item, [what, why]) => {
    say(item.children[0], what);
    say(item.children[1], why.filter(Boolean).join(" · "));
  });
}

function fault() {
  const item = document.createElement("li");
  item.append(document.createElement("strong"), document.createElement("span"));
  return item;
}

function tiles(waiting, today) {
  const within = lasting(today.within_s);
  const promised = { within, goal: goal(today.percent) };
  const older = waiting.protected;
  const names = waiting.bands.filter((one) => one.protected).map((one) => one.band);
  say(at("protected-bands"), names.length ? word("protected_bands", { bands: names.join(", ") }) : "");
  say(at("waiting-count"), count(older.waiting));
  say(at("waiting-longest"), older.waiting ? lasting(older.longest_s) : "–");
  const isLate = older.longest_s > today.within_s;
  const verdict = older.waiting ? word(isLate ? "too_long" : "in_time", { within }) : word("nobody");
  say(at("waiting-verdict"), verdict);
  mark(at("waiting"), isLate ? "bad" : "good");

  const counts = today.protected;
  if (!counts) {
    for (const id of ["within-15-share", "by-person-share"]) say(at(id), "–");
    for (const id of ["within-15-of", "by-person-of"]) say(at(id), "");
    say(at("level"), word("level_none", promised));
    mark(at("within-15"), "");
  } else {
    say(at("within-15-share"), share(counts.within_15, counts.offered));
    say(at("within-15-of"), word("of_offered", { n: count(counts.within_15), of: count(counts.offered) }));
    say(at("by-person-share"), share(counts.by_person, counts.seen));
    say(at("by-person-of"), word("of_ended", { n: count(counts.by_person), of: count(counts.seen) }));
    const isMet = counts.within * 100 >= today.percent * counts.offered;
    const level = counts.offered ? (isMet ? "level_met" : "level_missed") : "level_none";
    say(at("level"), word(level, { ...promised, share: share(counts.within, counts.offered) }));
    mark(at("within-15"), counts.offered ? (isMet ? "good" : "bad") : "");
  }
  const notes = [];
  if (today.state === "counting") notes.push(word("counting"));
  if (today.state === "partly") notes.push(word("partly", { time: time(today.since_s) }));
  if (today.not_counted) notes.push(word("not_counted", { n: count(today.not_counted) }));
  say(at("day-state"), notes.join(" "));
}

function sums(today) {
  const counts = today.all;
  if (!counts) {
    pairs(at("sums"), [[word("calls"), "–"]]);
    return;
  }
  const part = (n, of) => (of ? word("count_share", { n: count(n), share: share(n, of) }) : count(n));
  const reasons = Object.entries(today.fallback).map(([why, n]) => `${count(n)} ${wordOr(`fallback.${why}`, why)}`);
  const fallback = reasons.length > 1 ? `${count(counts.fallback)}: ${reasons.join(", ")}` : reasons[0] ?? count(0);
  const unknown = Object.values(today.unknown).reduce((sum, n) => sum + n, 0);
  const isMet = counts.within * 100 >= today.percent * counts.offered;
  pairs(at("sums"), [
    [word("calls"), count(counts.calls)],
    [word("under_way"), count(counts.under_way)],
    [word("offered"), count(counts.offered)],
    [word("answered"), part(counts.answered, counts.offered)],
    [word("abandoned"), part(counts.abandoned, counts.offered)],
    [
      word("level_all", { within: lasting(today.within_s) }),
      share(counts.within, counts.offered),
      counts.offered ? (isMet ? "good" : "bad") : "",
    ],
    [word("longest"), counts.offered ? lasting(counts.longest_wait_s) : "–"],
    [word("self_served"), count(counts.self_served)],
    [word("unknown_callers"), part(unknown, counts.calls)],
    [word("fallback"), fallback, counts.fallback ? "bad" : ""],
  ]);
}

const bandRow = row(["", "number", "number", "number minor", "number", "number", "number minor"]);

function bands(waiting, today) {
  const lines = waiting.bands.map((one) => ({
    name: one.band ?? word("unknown"),
    kind: one.protected ? "protected" : "",
    now: one,
    counts: today.bands?.find((other) => other.band === one.band),
  }));
  for (const other of today.bands ?? []) {
    // Called today, of a band that the rules no longer have.
    if (!waiting.bands.some((one) => one.band === other.band)) {
      lines.push({ name: other.band, kind: "", now: { waiting: 0, longest_s: 0 }, counts: other });
    }
  }
  lines.push({ name: word("all"), kind: "all", now: waiting.all, counts: today.all });
  list(at("bands"), lines, bandRow, (line, { name, kind, now, counts }) => {
    mark(line, kind);
    cells(line, [
      name,
      count(now.waiting),
      now.waiting ? lasting(now.longest_s) : "–",
      counts ? count(counts.calls) : "–",
      counts ? share(counts.within_15, counts.offered) : "–",
      counts ? share(counts.by_person, counts.seen) : "–",
      counts ? share(counts.abandoned, counts.offered) : "–",
    ]);
  });
}

const MANY_QUEUES = 8; // more than a wall has room for

// Of many queues those come first in which somebody waits too long: nobody scrolls on a wall.
function inOrder(queues, withinS) {
  if (queues.length <= MANY_QUEUES) return queues;
  const isLate = (one) => one.waiting > 0 && one.longest_s > withinS;
  return [...queues.filter(isLate), ...queues.filter((one) => !isLate(one))];
}

const queueRow = row(["", ...Array(4).fill("number")]);

function queues(told, agents) {
  const kinds = ["free", "ringing", "talking", "paused", "unavailable"];
  pairs(
    at("agents"),
    agents ? kinds.map((kind) => [word(kind), count(agents[kind])]) : [[word("agents_unknown"), ""]],
  );
  const none = { queue: word("no_queues") };
  list(at("queues"), told.length ? told : [none], queueRow, (line, one) =>
    cells(line, [
      one.queue,
      one.waiting === undefined ? "" : count(one.waiting),
      one.waiting === undefined ? "" : one.waiting ? lasting(one.longest_s) : "–",
      one.free === undefined ? "" : count(one.free),
      one.logged_in === undefined ? "" : one.logged_in === null ? "–" : count(one.logged_in),
    ]),
  );
}

const lastRow = row(["", "minor", "", "minor", "minor", "number minor", "outcome"]);

function last(decisions) {
  const none = { time: word("no_decisions") };
  list(at("last"), decisions.length ? decisions : [none], lastRow, (line, one) => {
    line.firstElementChild.classList.toggle("none", one === none);
    if (one === none) {
      mark(line, "");
      cells(line, [none.time, "", "", "", "", "", ""]);
      return;
    }
    mark(line, one.fallback || one.wrong ? "bad" : one.protected ? "protected" : "");
    cells(line, [
      time(one.at_s),
      one.caller,
      one.band ?? word("unknown"),
      one.rule,
      one.target,
      one.ms === null ? "–" : count(one.ms),
      outcome(one),
    ]);
  });
}

function outcome(one) {
  const told = [];
  if (one.fallback) told.push(word("fell_back", { why: wordOr(`fallback.${one.fallback}`, one.fallback) }));
  else if (one.wrong) told.push(word("not_applied", { why: one.wrong }));
  const wait = lasting(one.wait_s);
  if (one.ended === null) told.push(word("ended.none"));
  else if (one.ended === "answered" && !one.by) told.push(word("ended.answered_short"));
  else told.push(word(`ended.${one.ended}`, { by: one.by, wait }));
  return told.join(" · ");
}

function links(told) {
  const line = told.map(({ name, linked, why }) => {
    const state = !linked ? "not_linked" : why ? "not_ready" : "linked";
    return `${linked && !why ? "●" : "▲"} ${name} ${word(state)}`;
  });
  say(at("links"), `${word("links")}: ${line.join(" · ") || "–"}`);
  mark(at("links"), told.some(({ linked, why }) => !linked || why) ? "bad" : "");
}
