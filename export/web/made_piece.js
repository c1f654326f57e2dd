/** A piece on the worker's side: the notes that it was given and those that were made, and the way back to any of them. */

import { TICKS_PER_SECOND } from "./codec.js";
import { HEARD_NOTES } from "./generator.js";

// Of the notes that were played, the state is kept after each this many, or more in a long piece.
const SPACING = 64;
const MOST_KEPT = 128;

export class MadePiece {
  #generator;
  #settings;
  // Of each note its fields, its time in ticks, and whether it was made rather than given.
  #rows = [];
  // The number of notes that the model has heard, and that from which it began.
  #heard = 0;
  #from = 0;
  #played = 0;
  #snapshots = new Map();
  #spacing = SPACING;

  /** @param {number[][]} given the fields of the notes that the piece begins with */
  constructor(generator, seed, settings, given = []) {
    this.#generator = generator;
    this.#settings = settings;
    generator.begin(seed, settings);
    this.#give(given);
    this.#enter();
  }

  /** The number of its notes. */
  get count() {
    return this.#rows.length;
  }

  /** The onset of the last note in seconds. */
  get end() {
    return this.#tickBefore(this.#rows.length) / TICKS_PER_SECOND;
  }

  /** The notes from one index to another, as `{start, pitch, duration, velocity}`. */
  notes(from, to = this.#rows.length) {
    return this.#rows.slice(from, to).map(({ fields, tick }) => this.#generator.codec.noteAt(tick, fields));
  }

  /** Whether the model must hear more of the notes before it can make the next one. */
  get isListening() {
    return this.#heard < this.#rows.length;
  }

  /** How many notes the model has heard since it last began to listen, and of how many. */
  get progress() {
    return { heard: this.#heard - this.#from, of: this.#rows.length - this.#from };
  }

  /** Lets the model hear the next one of the notes. */
  async hear() {
    const { fields, isMade } = this.#rows[this.#heard];
    await (isMade ? this.#generator.repeat(fields) : this.#generator.feed(fields));
    this.#heard += 1;
    if (!this.isListening || this.#heard % this.#spacing === 0) this.#keep();
  }

  /** Makes the next note. */
  async make() {
    const note = await this.#generator.next();
    this.#rows.push({ fields: [...this.#generator.step.note], tick: this.#generator.tick, isMade: true });
    this.#heard += 1;
    this.#keep();
    return note;
  }

  /** Replaces the notes from an index on, by notes in other settings. */
  change(from, settings) {
    const hasOtherStyle = settings.style !== this.#settings.style;
    this.#goBack(from);
    this.#settings = settings;
    this.#generator.change(settings);
    // A style is part of what the model hears. The notes that it made are in the one that they were made in.
    if (hasOtherStyle && this.#rows.every(({ isMade }) => !isMade)) this.#enter();
  }

  /** Replaces the notes from an index on, by notes `{start, pitch, duration, velocity}` and what follows them. */
  carryOn(from, notes, settings) {
    this.change(from, settings);
    this.#give(this.#generator.codec.encode(notes, this.#tickBefore(from)));
    if (this.#rows.length - this.#heard > HEARD_NOTES) this.#enter();
  }

  /** Forgets the states that no change needs any more, since the notes to an index were played. */
  playedTo(index) {
    this.#played = index;
    for (const each of this.#snapshots.keys()) if (!this.#needs(each)) this.#snapshots.delete(each);
  }

  #give(rows) {
    const { stepTicks } = this.#generator.codec;
    let tick = this.#tickBefore(this.#rows.length);
    for (const fields of rows) {
      tick += stepTicks[fields[0]];
      this.#rows.push({ fields, tick, isMade: false });
    }
  }

  #goBack(from) {
    this.#rows.length = from;
    for (const index of this.#snapshots.keys()) if (index > from) this.#snapshots.delete(index);
    if (this.#heard <= from) return;
    const nearest = Math.max(-Infinity, ...this.#snapshots.keys());
    if (from - nearest > HEARD_NOTES) return this.#enter();
    this.#generator.restore(this.#snapshots.get(nearest));
    [this.#from, this.#heard] = [nearest, nearest];
  }

  /** Begins to listen to the last notes. */
  #enter() {
    const from = Math.max(0, this.#rows.length - HEARD_NOTES);
    const before = this.#rows[from - 1];
    const drawn = this.#rows.slice(0, from).filter(({ isMade }) => isMade).length;
    this.#generator.enter({ previous: before?.fields, tick: before?.tick, drawn });
    this.#snapshots.clear();
    [this.#from, this.#heard] = [from, from];
    if (!this.isListening) this.#keep();
  }

  #keep() {
    this.#snapshots.set(this.#heard, this.#generator.snapshot());
    while (this.#heard / this.#spacing > MOST_KEPT) this.#spacing *= 2;
  }

  #needs(index) {
    return index >= this.#played || index % this.#spacing === 0;
  }

  #tickBefore(index) {
    return this.#rows[index - 1]?.tick ?? 0;
  }
}
