// Pictures of the centre as they come, and the way back when they do not.

const QUIET_MS = 15_000; // no picture for so long: the connection is dead, whatever the browser thinks
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 30_000;
const PROBE_MS = 5_000;

export const LIVE = "live";
export const CONNECTING = "connecting";
export const LOST = "lost";
export const STALE = "stale";
export const LOGIN = "login_again";
export const FULL = "full";

// A clock that is set moves only one of the two, and one stands still while a laptop sleeps: the later one is believed,
// for figures that are called old wrongly are new again with the next picture.
const moment = () => ({ running: performance.now(), wall: Date.now() });
const passedMs = (since) => Math.max(performance.now() - since.running, Date.now() - since.wall);

export class Feed {
  constructor(address, onPicture, onState) {
    this.address = address;
    this.onPicture = onPicture;
    this.onState = onState;
    this.cameAt = null; // when the last picture came
    this.delay = FIRST_DELAY_MS;
    this.source = null;
    this.waiting = null;
    setInterval(() => this.watch(), 1_000);
    addEventListener("online", () => this.again(0));
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && this.waiting !== null) this.again(0);
    });
    this.onState(CONNECTING);
    this.open();
  }

  // Seconds since the last picture; null before the first.
  get age() {
    return this.cameAt === null ? null : passedMs(this.cameAt) / 1_000;
  }

  open() {
    this.close();
    this.openedAt = moment();
    const source = (this.source = new EventSource(this.address));
    source.onmessage = (event) => {
      if (source !== this.source) return;
      this.onPicture(JSON.parse(event.data));
      this.cameAt = moment();
      this.delay = FIRST_DELAY_MS;
      this.onState(LIVE);
    };
    source.onerror = () => {
      if (source === this.source) this.lost(LOST);
    };
  }

  close() {
    clearTimeout(this.waiting);
    this.waiting = null;
    this.source?.close();
    this.source = null;
  }

  lost(state) {
    this.close();
    this.onState(state);
    this.again(this.delay * (0.5 + Math.random()));
    this.delay = Math.min(this.delay * 2, LONGEST_DELAY_MS);
  }

  again(delay) {
    this.close();
    this.waiting = setTimeout(() => this.probe(), delay);
  }

  // An event source does not tell why it was refused.
  async probe() {
    let status = 0;
    try {
      const answer = await fetch(this.address, {
        method: "HEAD",
        cache: "no-store",
        signal: AbortSignal.timeout(PROBE_MS),
      });
      status = answer.status;
    } catch {
      // Nobody is there.
    }
    if (status === 200) this.open();
    else this.lost(status === 401 ? LOGIN : status === 503 ? FULL : LOST);
  }

  watch() {
    if (this.source === null) return;
    const quiet = Math.min(passedMs(this.openedAt), this.cameAt === null ? Infinity : passedMs(this.cameAt));
    if (quiet > QUIET_MS) this.lost(STALE);
  }
}
