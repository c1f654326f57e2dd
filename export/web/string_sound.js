/** The sound of synthesised strings, which needs no files. */

import { HIGHEST, LOWEST } from "./piano_range.js";
import { Problem } from "./problem.js";

const PAN = 0.7;
// Audio contexts of other rates resample.
const RATE = 48_000;

export class StringSound {
  /** Resolves when the first key's sound is rendered, by a worker, or the rendering is stopped. */
  ready;
  #buffers = new Map();
  #worker = new Worker(new URL("./strings_worker.js", import.meta.url), { type: "module" });
  #settle;

  constructor() {
    this.ready = new Promise((resolve, reject) => {
      this.#settle = resolve;
      this.#worker.onmessage = ({ data: { pitch, samples } }) => {
        const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
        buffer.copyToChannel(samples, 0);
        this.#buffers.set(pitch, buffer);
        resolve();
      };
      this.#worker.onerror = () => reject(new Problem("The piano's sounds could not be made; reload the page."));
      this.#worker.postMessage({ rate: RATE });
    });
    // Whoever waits for them handles this.
    this.ready.catch(() => {});
  }

  /** Leaves the keys that are not rendered yet, since other sounds play. */
  stop() {
    this.#worker.terminate();
    this.#settle();
  }

  /** The source of a strike, started at a time of the audio clock, and the node at which it sounds. */
  start(context, pitch, velocity, when) {
    const nearest = this.#nearest(pitch);
    const playbackRate = 2 ** ((pitch - nearest.pitch) / 12);
    const source = new AudioBufferSourceNode(context, { buffer: nearest.buffer, playbackRate });
    // A soft strike is not only quieter, but also duller.
    const frequency = Math.min(18_000, 500 + 9_000 * (velocity / 127) ** 1.8 + 2.5 * 440 * 2 ** ((pitch - 69) / 12));
    const tone = new BiquadFilterNode(context, { type: "lowpass", frequency, Q: 0.4 });
    const pan = new StereoPannerNode(context, { pan: (PAN * (pitch - (LOWEST + HIGHEST) / 2)) / (HIGHEST - LOWEST) });
    source.connect(tone).connect(pan);
    source.start(when);
    return { source, output: pan };
  }

  /** The rendered key nearest to a pitch; its buffer is null, which is silent, as long as there is none. */
  #nearest(pitch) {
    const distance = (key) => Math.abs(key - pitch);
    let nearest = { pitch, buffer: null };
    for (const [key, buffer] of this.#buffers) {
      if (!nearest.buffer || distance(key) < distance(nearest.pitch)) nearest = { pitch: key, buffer };
    }
    return nearest;
  }
}
