/**
 * Plays the notes of a piece by the audio clock. Notes due soon are scheduled with the piano, to the exact sample;
 * later notes can still change.
 */

const TURN_MILLISECONDS = 40;
const LOOKAHEAD_SECONDS = 0.3;
// Browsers limit the timers of a hidden page to once per second.
const HIDDEN_LOOKAHEAD_SECONDS = 1.6;
const START_SECONDS = 0.08;

export class Player {
  /** All notes made so far, sorted by onset. */
  notes = [];
  isPlaying = false;
  #context;
  #piano;
  #output = null;
  #position = 0;
  #began = 0;
  #scheduled = 0;
  #timer = null;
  #onTurn;

  /** @param onTurn called at each turn of the timer while it plays */
  constructor(onTurn) {
    this.#onTurn = onTurn;
  }

  /** Sets the audio context and the piano. */
  connect(context, piano) {
    this.#context = context;
    this.#piano = piano;
  }

  /** Plays on another instrument than the piano, or on the piano again for null. */
  playOn(output) {
    const { position } = this;
    this.#instrument?.silence();
    this.#output = output;
    this.moveTo(position);
  }

  get #instrument() {
    return this.#output ?? this.#piano;
  }

  /** The position in the piece in seconds. */
  get position() {
    return this.isPlaying ? Math.max(this.#position, this.#context.currentTime - this.#began) : this.#position;
  }

  /** The number of notes that have begun. */
  get played() {
    return this.#after(this.position);
  }

  /** The index of the first note that can still change. */
  get changeable() {
    return Math.max(this.#scheduled, this.played);
  }

  /** Removes all notes, and returns to the beginning. */
  reset() {
    this.moveTo(0);
    this.notes = [];
    this.#scheduled = 0;
  }

  /** Moves to a position in the piece, and silences sounding notes. */
  moveTo(seconds) {
    this.#instrument?.silence();
    this.#position = seconds;
    if (this.isPlaying) this.#began = this.#context.currentTime + START_SECONDS - seconds;
    this.#scheduled = this.#after(seconds);
  }

  /** Removes the notes from an index on. */
  cut(index) {
    this.notes.length = Math.min(this.notes.length, index);
    this.#scheduled = Math.min(this.#scheduled, index);
  }

  /** Replaces the notes from an index on by others. */
  replace(index, notes) {
    this.cut(index);
    if (!this.notes.length) this.notes = notes;
    else for (const note of notes) this.notes.push(note);
  }

  play() {
    if (this.isPlaying) return;
    this.isPlaying = true;
    this.moveTo(this.#position);
    this.#timer = setInterval(() => this.#turn(), TURN_MILLISECONDS);
    this.#turn();
  }

  pause() {
    if (!this.isPlaying) return;
    this.#position = this.position;
    this.isPlaying = false;
    clearInterval(this.#timer);
    this.moveTo(this.#position);
  }

  #turn() {
    const lookahead = document.hidden ? HIDDEN_LOOKAHEAD_SECONDS : LOOKAHEAD_SECONDS;
    const now = this.#context.currentTime;
    while (this.#scheduled < this.notes.length) {
      const note = this.notes[this.#scheduled];
      const late = now - this.#began - note.start;
      if (late < -lookahead) break;
      // If notes were made too late, the music pauses rather than rushes.
      if (late > 0) {
        this.#began += late;
        this.#position = note.start;
      }
      const when = Math.max(now, this.#began + note.start);
      this.#instrument.strike(note.pitch, note.velocity, when, when + note.duration);
      this.#scheduled += 1;
    }
    this.#onTurn();
  }

  /** The index of the first note that begins after a position. */
  #after(seconds) {
    let [low, high] = [0, this.notes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.notes[middle].start > seconds) high = middle;
      else low = middle + 1;
    }
    // At position 0, no note has been played, even one with its onset at 0.
    return seconds > 0 ? low : 0;
  }
}
