// The wallboard: pictures come by `feed`, are drawn by `view`, in the words of `words`.

import { CONNECTING, Feed, FULL, LIVE, LOGIN, LOST, STALE } from "./feed.js";
import { draw } from "./view.js";
import { lasting, remember, speak, spoken, wanted, word } from "./words.js";

const OLD_S = 5; // figures older than this are greyed
const VERSION = document.querySelector('meta[name="version"]').content;
const RELOADED = "elder-router-reloaded";

const lost = document.getElementById("lost");
const live = document.getElementById("live");
const languages = document.querySelectorAll("[data-language]");
let newest = null;
let state = CONNECTING;
let toldState = "";

function show() {
  try {
    if (newest !== null) draw(newest);
  } catch (error) {
    console.error("not drawn", error);
  }
}

function telling() {
  const age = feed?.age ?? null;
  const isOld = age !== null && age > OLD_S;
  document.body.classList.toggle("old", isOld || (state !== LIVE && age === null));
  const trouble = [LOST, STALE, LOGIN, FULL].includes(state);
  lost.hidden = !trouble;
  live.dataset.kind = state === LIVE && !isOld ? "good" : "bad";
  const said = word(state === LIVE && !isOld ? "live" : "connecting");
  if (live.textContent !== said) live.textContent = said;
  if (!trouble) {
    toldState = "";
    return;
  }
  const isFirst = age === null && [LOST, FULL].includes(state);
  const told = word(isFirst ? `${state}_first` : state, { age: lasting(age) });
  // Read out once, when it happens; the seconds that follow are for the eye.
  if (toldState !== state) {
    lost.setAttribute("role", "alert");
    toldState = state;
  } else if (lost.getAttribute("role") === "alert" && lost.textContent !== told) {
    lost.setAttribute("role", "none");
  }
  if (lost.textContent !== told) lost.textContent = told;
}

// The router was updated. A proxy that keeps the old page shall not make this one load itself for ever.
function loadAnew(version) {
  try {
    if (sessionStorage.getItem(RELOADED) === version) return;
    sessionStorage.setItem(RELOADED, version);
  } catch {
    return;
  }
  location.reload();
}

function choose(language) {
  speak(language);
  for (const button of languages) {
    button.setAttribute("aria-pressed", String(button.dataset.language === spoken()));
  }
  show();
  telling();
}

for (const button of languages) {
  button.addEventListener("click", () => {
    remember(button.dataset.language);
    choose(button.dataset.language);
  });
}

let feed = null;
choose(wanted());
feed = new Feed(
  "events",
  (picture) => {
    if (picture.page !== VERSION) loadAnew(picture.page);
    newest = picture;
    draw(picture); // one that cannot be drawn has not come: what is seen grows old
  },
  (now) => {
    state = now;
    telling();
  },
);
setInterval(telling, 1_000);
