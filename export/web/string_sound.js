/** The sound of synthesised strings, which needs no files. */

import { HIGHEST, LOWEST } from "./piano_range.js";

const PAN = 0.7;

export class StringSound {
  #context;
  #buffers = new Map();
  #worker = null;

  constructor(context) {
    this.#context = context;
  }

  /** Renders the keys' sounds in a worker; resolves when the first is ready. */
  tune() {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL("./strings_worker.js", import.meta.url), { type: "module" });
      this.#worker = worker;
      worker.onmessage = ({ data: { pitch, samples } }) => {
        const buffer = new AudioBuffer({ length: samples.length, sampleRate: this.#context.sampleRate });
        buffer.copyToChannel(samples, 0);
        this.#buffers.set(pitch, buffer);
        resolve();
      };
      worker.onerror = reject;
      worker.postMessage({ rate: this.#context.sampleRate });
    });
  }

  /** Leaves the keys that are not rendered yet. */
  stopTuning() {
    this.#worker?.terminate();
  }

  /** The source of a strike, started at a time of the audio clock, and the node at which it sounds. */
  start(pitch, velocity, when) {
    const context = this.#context;
    const nearest = [...this.#buffers.keys()].reduce((best, key) =>
      Math.abs(key - pitch) < Math.abs(best - pitch) ? key : best,
    );
    const playbackRate = 2 ** ((pitch - nearest) / 12);
    const source = new AudioBufferSourceNode(context, { buffer: this.#buffers.get(nearest), playbackRate });
    // A soft strike is not only quieter, but also duller.
    const frequency = Math.min(18_000, 500 + 9_000 * (velocity / 127) ** 1.8 + 2.5 * 440 * 2 ** ((pitch - 69) / 12));
    const tone = new BiquadFilterNode(context, { type: "lowpass", frequency, Q: 0.4 });
    const pan = new StereoPannerNode(context, { pan: (PAN * (pitch - (LOWEST + HIGHEST) / 2)) / (HIGHEST - LOWEST) });
    source.connect(tone).connect(pan);
    source.start(when);
    return { source, output: pan };
  }
}
