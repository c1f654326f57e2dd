/** Generator: makes an endless sequence of notes, one model step each, as `kerasmusic.edge.Generator` does. */

import { Balance, targetsOfSeed } from "./balance.js";
import { CHORD_SECONDS, ChordTrack } from "./chords.js";
import { FIELDS } from "./codec.js";
import { pitchBias } from "./controls.js";
import { Uniforms } from "./philox.js";
import { styleVector } from "./styles.js";

const SAMPLED = [-1, -1, -1, -1];
const START_NOTE = [0, 0, 0, 0];
// The default of Python's `Sampling`; a test compares them.
export const MIN_P = { pitch: 0.02 };

/** Of many given notes, the model is fed only the last ones: see `kerasmusic.edge.generator`, which a test compares. */
export const HEARD_NOTES = 4096;

const byField = (value, fallback) =>
  FIELDS.map((field) => (typeof value === "number" ? value : (value?.[field] ?? fallback)));

export class Generator {
  #uniforms;
  #drawn = 0;
  #tick = 0;
  #chords = null;
  #pitchBias;
  #balance;

  /**
   * @param step a model's step: its inputs and outputs are arrays, and `run()` resolves when the outputs are written
   * @param codec the model's codec
   * @param record the model's metadata, for its styles
   */
  constructor(step, codec, record = {}) {
    this.step = step;
    this.codec = codec;
    this.record = record;
    this.#balance = new Balance(codec, step.bias);
  }

  /** Begins the piece of a seed, a BigInt. */
  begin(seed, settings = {}) {
    this.#uniforms = new Uniforms(seed);
    this.change({ ...targetsOfSeed(seed), ...settings });
    this.enter();
  }

  /** Sets the sampling from the next note on: temperature and min-p, a number or by field, and the other settings. */
  change({
    temperature = 1,
    minP = MIN_P,
    key = "",
    range = "",
    speed = null,
    polyphony = null,
    loudness = null,
    style = "",
    chords = "",
    chordSeconds = CHORD_SECONDS,
  }) {
    const vector = styleVector(this.record, style);
    this.step.temperature.set(byField(temperature, 1));
    this.step.minP.set(byField(minP, 0));
    this.#pitchBias = pitchBias({ key, range });
    this.#pitches().set(this.#pitchBias);
    this.#balance.aim({ speed, polyphony, loudness });
    this.step.style?.set(vector);
    this.#chords = chords ? new ChordTrack(chords, chordSeconds) : null;
  }

  /** Makes the next note. */
  async next() {
    const { step } = this;
    step.given.set(SAMPLED);
    for (let field = 0; field < FIELDS.length; field += 1) {
      step.uniform[field] = this.#uniforms.at(FIELDS.length * this.#drawn + field);
    }
    if (this.#chords) await this.#runInChord(this.#chords);
    else await step.run();
    return this.#drew(step.note);
  }

  /** Makes the next note again, of which the fields are known: the generator comes to where `next` had brought it. */
  async repeat(fields) {
    this.step.given.set(fields);
    await this.step.run();
    return this.#drew(fields);
  }

  #drew(fields) {
    this.#drawn += 1;
    const [gap, , duration, velocity] = fields;
    const { stepTicks, durationTicks, velocities } = this.codec;
    this.#balance.measure(stepTicks[gap], durationTicks[duration], velocities[velocity]);
    return this.#played(fields);
  }

  /** Runs the step with the bias of the chord at the time of the note, which the step itself draws. */
  async #runInChord(chords) {
    const { step } = this;
    const chord = chords.indexAt(this.#tick);
    chords.prefer(chord, this.#pitchBias, this.#pitches());
    const before = step.state.slice();
    await step.run();
    const following = chords.indexAt(this.#tick + this.codec.stepTicks[step.note[0]]);
    if (following === chord) return;
    chords.prefer(following, this.#pitchBias, this.#pitches());
    step.state.set(before);
    step.given[0] = step.note[0];
    await step.run();
  }

  /** The part of the step's bias that is over pitches. */
  #pitches() {
    return this.step.bias.subarray(this.codec.offsets[1], this.codec.offsets[2]);
  }

  /** Feeds a note's fields to the model, as if it had played them; resolves to the note. */
  async feed(fields) {
    this.step.given.set(fields);
    await this.step.run();
    this.#balance.begin();
    return this.#played(fields);
  }

  /**
   * Goes to a place in the piece as a model that has heard nothing: only the notes that are fed from here count.
   *
   * @param previous the fields of the note before, if there is one
   * @param tick the time of that note
   * @param drawn how many notes before were made
   */
  enter({ previous = START_NOTE, tick = 0, drawn = 0 } = {}) {
    this.step.state.fill(0);
    this.step.previous.set(previous);
    this.#tick = tick;
    this.#drawn = drawn;
    this.#balance.reset();
  }

  /** The time of the last note in ticks. */
  get tick() {
    return this.#tick;
  }

  /** The complete state of the generator except its settings. */
  snapshot() {
    const { state, previous } = this.step;
    const balance = this.#balance.state;
    return { state: state.slice(), previous: previous.slice(), tick: this.#tick, drawn: this.#drawn, balance };
  }

  /** Restores a snapshot. */
  restore({ state, previous, tick, drawn, balance }) {
    this.step.state.set(state);
    this.step.previous.set(previous);
    this.#tick = tick;
    this.#drawn = drawn;
    this.#balance.state = balance;
  }

  #played(fields) {
    this.step.previous.set(fields);
    this.#tick += this.codec.stepTicks[fields[0]];
    return this.codec.noteAt(this.#tick, fields);
  }
}
