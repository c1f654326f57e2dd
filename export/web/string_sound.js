/** The sound of synthesised strings, which needs no files. */

import { HIGHEST, LOWEST } from "./piano_range.js";
import { Problem } from "./problem.js";

const PAN = 0.7;
// A context of another rate resamples them as it plays.
const RATE = 48_000;

export class StringSound {
  /** Resolves when the first string is there. */
  ready;
  #buffers = new Map();
  #worker = new Worker(new URL("./strings_worker.js", import.meta.url), { type: "module" });

  constructor() {
    this.ready = new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data: { pitch, samples } }) => {
        const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
        buffer.copyToChannel(samples, 0);
        this.#buffers.set(pitch, buffer);
        resolve();
      };
      this.#worker.onerror = () => reject(new Problem("The piano's sounds could not be made; reload the page."));
      this.#worker.postMessage({ rate: RATE });
    });
  }

  /** Leaves the keys that are not rendered yet. */
  stop() {
    this.#worker.terminate();
  }

  /** See `Tones.start`; silence as long as there is no string. */
  start(context, pitch, velocity, when) {
    const distance = (key) => Math.abs(key - pitch);
    const nearest = [...this.#buffers.keys()].reduce((best, key) => (distance(key) < distance(best) ? key : best), Infinity);
    const buffer = this.#buffers.get(nearest) ?? null;
    const playbackRate = buffer ? 2 ** ((pitch - nearest) / 12) : 1;
    const source = new AudioBufferSourceNode(context, { buffer, playbackRate });
    // A soft strike is not only quieter, but also duller.
    const frequency = Math.min(18_000, 500 + 9_000 * (velocity / 127) ** 1.8 + 2.5 * 440 * 2 ** ((pitch - 69) / 12));
    const tone = new BiquadFilterNode(context, { type: "lowpass", frequency, Q: 0.4 });
    const pan = new StereoPannerNode(context, { pan: (PAN * (pitch - (LOWEST + HIGHEST) / 2)) / (HIGHEST - LOWEST) });
    source.connect(tone).connect(pan);
    source.start(when);
    return { source, output: pan };
  }
}
