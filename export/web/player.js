/**
 * Plays the notes of a piece by the audio clock: what is due within a moment is handed to the piano, which strikes it
 * on the sample; the rest can still change.
 */

const TURN_MILLISECONDS = 40;
const LOOKAHEAD_SECONDS = 0.3;
// Browsers call a hidden page once a second.
const HIDDEN_LOOKAHEAD_SECONDS = 1.6;
const START_SECONDS = 0.08;

export class Player {
  /** The notes so far, sorted by onset. */
  notes = [];
  isPlaying = false;
  #context;
  #piano;
  #position = 0;
  #began = 0;
  #scheduled = 0;
  #timer = null;
  #onTurn;

  /** @param onTurn called many times a second while it plays */
  constructor(onTurn) {
    this.#onTurn = onTurn;
  }

  /** Gives it a clock and a piano, once there are any. */
  connect(context, piano) {
    this.#context = context;
    this.#piano = piano;
  }

  /** Seconds of the piece that have been played. */
  get position() {
    return this.isPlaying ? Math.max(this.#position, this.#context.currentTime - this.#began) : this.#position;
  }

  /** The notes begun by now. */
  get played() {
    return this.#after(this.position);
  }

  /** The first note that can still change. */
  get changeable() {
    return Math.max(this.#scheduled, this.played);
  }

  /** Begins a piece without notes yet. */
  reset() {
    this.moveTo(0);
    this.notes = [];
    this.#scheduled = 0;
  }

  /** Goes to a moment of the piece; what was sounding ends. */
  moveTo(seconds) {
    this.#piano?.silence();
    this.#position = seconds;
    if (this.isPlaying) this.#began = this.#context.currentTime + START_SECONDS - seconds;
    this.#scheduled = this.#after(seconds);
  }

  /** Forgets the notes from an index on. */
  cut(index) {
    this.notes.length = index;
    this.#scheduled = Math.min(this.#scheduled, index);
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
      // Where the notes came too late, the music waits for them, rather than rush.
      if (late > 0) {
        this.#began += late;
        this.#position = note.start;
      }
      const when = Math.max(now, this.#began + note.start);
      this.#piano.strike(note.pitch, note.velocity, when, when + note.duration);
      this.#scheduled += 1;
    }
    this.#onTurn();
  }

  /** The first note that begins after a moment. */
  #after(seconds) {
    let [low, high] = [0, this.notes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.notes[middle].start > seconds) high = middle;
      else low = middle + 1;
    }
    // At the very beginning nothing has been played.
    return seconds > 0 ? low : 0;
  }
}
