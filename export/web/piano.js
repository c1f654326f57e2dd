/** A piano of built-in Web Audio nodes, which need no secure context, and which the page's other work cannot delay. */

import { HIGHEST, LOWEST } from "./piano_range.js";

const MAX_VOICES = 56;
const ROOM_SECONDS = 1.8;
const ROOM_SHARE = 0.16;
const STEAL_SECONDS = 0.02;
const VOLUME_SECONDS = 0.02;

export class Piano {
  #context;
  #keys;
  #buffers = new Map();
  #voices = new Set();
  #volume;

  constructor(context) {
    this.#context = context;
    this.#keys = new GainNode(context, { gain: 0.5 });
    const limits = { threshold: -9, knee: 6, ratio: 14, attack: 0.003, release: 0.2 };
    const limiter = new DynamicsCompressorNode(context, limits);
    const room = new ConvolverNode(context, { buffer: roomResponse(context) });
    const share = new GainNode(context, { gain: ROOM_SHARE });
    this.#keys.connect(limiter);
    this.#keys.connect(room).connect(share).connect(limiter);
    this.#volume = new GainNode(context);
    limiter.connect(this.#volume).connect(context.destination);
  }

  /** Sets the volume, from 0 to 1, without a click. */
  set volume(share) {
    // A slider's half is heard as half as loud.
    this.#volume.gain.setTargetAtTime(share ** 2, this.#context.currentTime, VOLUME_SECONDS);
  }

  /** Renders the keys' sounds in a worker; resolves when the first is ready. */
  tune() {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL("./strings_worker.js", import.meta.url), { type: "module" });
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

  /**
   * Strikes a key at a time of the audio clock.
   *
   * @param until the time of the release, if it is known
   * @returns a function that releases the key at a given time
   */
  strike(pitch, velocity, when, until = null) {
    const nearest = [...this.#buffers.keys()].reduce((best, key) =>
      Math.abs(key - pitch) < Math.abs(best - pitch) ? key : best,
    );
    const context = this.#context;
    const loudness = velocity / 127;
    const playbackRate = 2 ** ((pitch - nearest) / 12);
    const source = new AudioBufferSourceNode(context, { buffer: this.#buffers.get(nearest), playbackRate });
    // A soft strike is not only quieter, but also duller.
    const frequency = Math.min(18_000, 500 + 9_000 * loudness ** 1.8 + 2.5 * 440 * 2 ** ((pitch - 69) / 12));
    const tone = new BiquadFilterNode(context, { type: "lowpass", frequency, Q: 0.4 });
    const gain = new GainNode(context, { gain: 0.05 + 0.75 * loudness ** 1.7 });
    const pan = new StereoPannerNode(context, { pan: (0.7 * (pitch - (LOWEST + HIGHEST) / 2)) / (HIGHEST - LOWEST) });
    source.connect(tone).connect(gain).connect(pan).connect(this.#keys);
    source.start(when);
    const voice = { source, gain, when };
    // The lowest strings take longest to damp, and the highest have no dampers.
    const damping = pitch > 88 ? 0.5 : 0.05 + 0.0012 * (HIGHEST - pitch);
    const release = (time) => {
      gain.gain.setTargetAtTime(0, time, damping);
      source.stop(time + 6 * damping);
    };
    this.#voices.add(voice);
    source.onended = () => {
      this.#voices.delete(voice);
      pan.disconnect();
    };
    if (until !== null) release(until);
    this.#stealOldest();
    return release;
  }

  /** Silences all notes, and cancels scheduled ones. */
  silence() {
    const now = this.#context.currentTime;
    for (const { gain, source, when } of this.#voices) {
      gain.gain.cancelScheduledValues(now);
      gain.gain.setTargetAtTime(0, now, when > now ? 0.001 : 0.06);
      source.stop(when > now ? now : now + 0.4);
    }
    this.#voices.clear();
  }

  #stealOldest() {
    if (this.#voices.size <= MAX_VOICES) return;
    const [oldest] = this.#voices;
    const now = this.#context.currentTime;
    oldest.gain.gain.cancelScheduledValues(now);
    oldest.gain.gain.setTargetAtTime(0, now, STEAL_SECONDS);
    oldest.source.stop(now + 6 * STEAL_SECONDS);
    this.#voices.delete(oldest);
  }
}

/** The impulse response of a small room. */
function roomResponse(context) {
  const length = Math.round(ROOM_SECONDS * context.sampleRate);
  const buffer = new AudioBuffer({ length, numberOfChannels: 2, sampleRate: context.sampleRate });
  for (const channel of [0, 1]) {
    const samples = buffer.getChannelData(channel);
    let smooth = 0;
    for (let index = 0; index < length; index += 1) {
      const falling = Math.exp((-5.5 * index) / length);
      // High frequencies decay first.
      smooth += (0.2 + 0.6 * falling) * (2 * Math.random() - 1 - smooth);
      samples[index] = smooth * falling;
    }
  }
  return buffer;
}
