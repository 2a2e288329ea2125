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

export class Feed {
  constructor(address, onPicture, onState) {
    this.address = address;
    this.onPicture = onPicture;
    this.onState = onState;
    this.cameAt = null; // when the last picture came, by performance.now()
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
    return this.cameAt === null ? null : (performance.now() - this.cameAt) / 1_000;
  }

  open() {
    this.close();
    this.openedAt = performance.now();
    const source = (this.source = new EventSource(this.address));
    source.onmessage = (event) => {
      if (source !== this.source) return;
      this.cameAt = performance.now();
      this.delay = FIRST_DELAY_MS;
      this.onState(LIVE);
      this.onPicture(JSON.parse(event.data));
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
    const since = Math.max(this.cameAt ?? 0, this.openedAt);
    if (performance.now() - since > QUIET_MS) this.lost(STALE);
  }
}
