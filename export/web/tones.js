/** What a piano sounds by: recordings, and synthesised strings until they are loaded. It needs no audio context. */

import { SampledSound, loadSamples } from "./sampled_sound.js";
import { StringSound } from "./string_sound.js";

export class Tones {
  #strings = new StringSound();
  #recordings = null;
  #loading = null;

  /** Resolves when the recordings or, if they take longer, the first strings can sound. */
  get ready() {
    return this.#strings.ready;
  }

  /** Loads the recordings, once; resolves when they sound, or could not be loaded. */
  load() {
    this.#loading ??= loadSamples().then(
      (samples) => {
        this.#recordings = new SampledSound(samples);
        this.#strings.stop();
      },
      (error) => console.warn(`The piano's recordings could not be loaded (${error.message}); synthesised strings play.`),
    );
    return this.#loading;
  }

  /** The source of a strike, started at a time of the audio clock, and the node at which it sounds. */
  start(context, pitch, velocity, when) {
    return (this.#recordings ?? this.#strings).start(context, pitch, velocity, when);
  }
}
