/**
 * The page's sound. The tones of the keys are made when the page is loaded; the audio context is made and started when
 * something is pressed, since browsers allow that only on a user's action.
 */

import { Piano } from "./piano.js";
import { Problem } from "./problem.js";
import { Tones } from "./tones.js";

const START_MILLISECONDS = 1_500;

export class Sound {
  #tones = new Tones();
  #context = null;
  #piano = null;
  #volume = 1;
  #onMade;
  #onStop;

  /**
   * @param onMade called once with the audio context and the piano
   * @param onStop called when the audio stops by itself, as for a telephone call
   */
  constructor(onMade, onStop) {
    this.#onMade = onMade;
    this.#onStop = onStop;
  }

  /** The audio context, or null before the first press. */
  get context() {
    return this.#context;
  }

  /** The volume from 0 to 1. */
  set volume(share) {
    this.#volume = share;
    if (this.#piano) this.#piano.volume = share;
  }

  /** Loads the piano's recordings; until then, synthesised strings play. */
  load() {
    this.#tones.load();
  }

  /** Starts the audio as soon as an element is pressed, which is before the click that ends the press. */
  wakeOn(...elements) {
    // A mouse's pointerdown counts as a user's action, but only the end of a touch does.
    for (const kind of ["pointerdown", "pointerup"]) {
      for (const element of elements) element.addEventListener(kind, () => this.#wake());
    }
  }

  /**
   * Starts the audio; resolves when it runs.
   *
   * @throws Problem if the browser does not allow it
   */
  async start() {
    const late = new Promise((resolve) => setTimeout(resolve, START_MILLISECONDS));
    await Promise.race([this.#wake(), late]);
    if (this.#context.state !== "running") {
      // Otherwise all keys struck so far would sound at once later.
      this.#piano.silence();
      throw new Problem("The browser keeps the sound from starting; allow sound for this page, then press Play again.");
    }
    await this.#tones.ready;
  }

  /**
   * Strikes a key now or, if the audio is only starting, when it runs.
   *
   * @param instrument what is played instead of the piano, or null
   * @returns a function that releases the key
   */
  strike(pitch, velocity, instrument = null) {
    this.#wake();
    const when = this.#context.currentTime;
    const began = performance.now();
    const release = (instrument ?? this.#piano).strike(pitch, velocity, when);
    // A key that was released before the audio ran sounds for as long as it was held.
    return () => release(Math.max(this.#context.currentTime, when + (performance.now() - began) / 1000));
  }

  /** Resolves when the audio runs, or cannot. */
  async #wake() {
    if (!this.#context) this.#make();
    if (this.#context.state !== "running") await this.#context.resume().catch(() => {});
  }

  #make() {
    // Otherwise an iPhone in silent mode plays nothing.
    if (navigator.audioSession) navigator.audioSession.type = "playback";
    this.#context = new AudioContext({ latencyHint: "interactive" });
    this.#piano = new Piano(this.#context, this.#tones);
    this.#piano.volume = this.#volume;
    this.#context.onstatechange = () => {
      if (this.#context.state !== "running") this.#onStop();
    };
    this.#onMade(this.#context, this.#piano);
  }
}
