// Words and numbers in the language of whoever looks: ?lang=, else what they chose here before, else their browser's.

const WORDS = JSON.parse(document.getElementById("words").textContent);
const KEPT = "elder-router-language";

let language = "en";
let zone = "UTC";
let formats = {};

export function speak(wanted) {
  language = Object.hasOwn(WORDS, wanted) ? wanted : "en";
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  inZone(zone, true);
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = word(element.dataset.words);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", word(element.dataset.label));
  }
  document.title = word("title");
}

export function spoken() {
  return language;
}

export function wanted() {
  const asked = new URLSearchParams(location.search).get("lang");
  if (Object.hasOwn(WORDS, asked)) return asked;
  const kept = remembered();
  if (Object.hasOwn(WORDS, kept)) return kept;
  for (const name of navigator.languages ?? []) {
    const plain = name.toLowerCase().split("-")[0];
    if (Object.hasOwn(WORDS, plain)) return plain;
  }
  return "en";
}

export function remember(chosen) {
  try {
    localStorage.setItem(KEPT, chosen);
  } catch {
    // A browser that keeps nothing speaks it until the page is loaded anew.
  }
  const address = new URL(location.href);
  address.searchParams.delete("lang");
  history.replaceState(null, "", address);
}

function remembered() {
  try {
    return localStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

export function word(name, values = {}) {
  const text = WORDS[language][name] ?? "";
  return text.replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

// What has no word of its own, as a reason from a dialplan, stands as it came.
export function wordOr(name, otherwise) {
  return Object.hasOwn(WORDS[language], name) ? WORDS[language][name] : otherwise;
}

export function inZone(name, anew = false) {
  if (name === zone && !anew) return;
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: name };
  const local = language === "zh" ? "zh-CN" : "en-GB";
  formats = {
    time: new Intl.DateTimeFormat(local, time),
    date: new Intl.DateTimeFormat(local, { weekday: "long", day: "numeric", month: "long", timeZone: name }),
    count: new Intl.NumberFormat(local),
    share: new Intl.NumberFormat(local, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }),
    goal: new Intl.NumberFormat(local, { style: "percent", maximumFractionDigits: 1 }),
  };
  zone = name;
}

export const time = (s) => formats.time.format(new Date(s * 1000));
export const date = (s) => formats.date.format(new Date(s * 1000));
export const count = (n) => formats.count.format(n);
export const goal = (percent) => formats.goal.format(percent / 100);

// A share of nothing is not told, and only all of something is 100 %.
export function share(n, of) {
  if (!of) return "–";
  const value = n === of ? 1 : Math.min(n / of, 0.999);
  return formats.share.format(value);
}

export function lasting(s) {
  if (s === null || s === undefined) return "–";
  const whole = Math.floor(s);
  if (whole < 60) return word("seconds", { s: whole });
  if (whole < 3600) return word("minutes", { m: Math.floor(whole / 60), s: String(whole % 60).padStart(2, "0") });
  return word("hours", { h: Math.floor(whole / 3600), m: Math.floor((whole % 3600) / 60) });
}
