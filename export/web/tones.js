/** The tones of the piano's keys: synthesised strings until the recorded piano is loaded. Neither needs a user's action. */

import { SampledSound, loadSamples } from "./sampled_sound.js";
import { StringSound } from "./string_sound.js";

export class Tones {
  /** Resolves when there is a tone. */
  ready;
  #strings = new StringSound();
  #recorded = null;
  #becomeReady;

  constructor() {
    this.ready = new Promise((resolve, reject) => {
      this.#becomeReady = resolve;
      this.#strings.ready.then(resolve, reject);
    });
    // Whoever waits for them handles this.
    this.ready.catch(() => {});
  }

  /** Loads the recorded piano, which plays from then on; rejects if that cannot be, and the strings play on. */
  async load() {
    if (this.#recorded) return;
    this.#recorded = new SampledSound(await loadSamples());
    this.#strings.stop();
    this.#becomeReady();
  }

  /** The source of a strike, started at a time of a context's clock, and the node at which it sounds. */
  start(context, pitch, velocity, when) {
    return (this.#recorded ?? this.#strings).start(context, pitch, velocity, when);
  }
}
