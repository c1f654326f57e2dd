/** A piano of built-in Web Audio nodes, which need no secure context, and which the page's other work cannot delay. */

import { HIGHEST } from "./piano_range.js";

// The velocities 10 and 127 are 29 decibels apart, and somewhat more by their timbre.
const LOUDNESS_EXPONENT = 1.3;
const MAX_VOICES = 56;
const ROOM_SECONDS = 1.8;
const ROOM_SHARE = 0.16;
const STEAL_SECONDS = 0.02;
const VOLUME_SECONDS = 0.02;

export class Piano {
  #context;
  #keys;
  #tones;
  #voices = new Set();
  #volume;

  constructor(context, tones) {
    this.#context = context;
    this.#tones = tones;
    this.#keys = new GainNode(context, { gain: 0.375 });
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

  /**
   * Strikes a key at a time of the audio clock.
   *
   * @param until the time of the release, if it is known
   * @returns a function that releases the key at a given time
   */
  strike(pitch, velocity, when, until = null) {
    const { source, output } = this.#tones.start(this.#context, pitch, velocity, when);
    const gain = new GainNode(this.#context, { gain: (velocity / 127) ** LOUDNESS_EXPONENT });
    output.connect(gain).connect(this.#keys);
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
      gain.disconnect();
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
