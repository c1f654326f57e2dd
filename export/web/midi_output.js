/** An instrument at a MIDI output, which the player plays as it does `Piano`. */

const NOTE_ON = 0x90;
const NOTE_OFF = 0x80;
const CONTROL = 0xb0;
const VOLUME = 7;
const ALL_NOTES_OFF = 123;
const TURN_MILLISECONDS = 20;
// Browsers cannot take back what they were sent, so a message is sent only shortly before its time.
const AHEAD_MILLISECONDS = 60;
// Browsers limit the timers of a hidden page to once per second.
const HIDDEN_AHEAD_MILLISECONDS = 1_600;
const SHORTEST_MILLISECONDS = 1;
const SMOOTHING = 0.02;
// By so much, the clocks part only where the audio clock was stopped.
const JUMP_MILLISECONDS = 100;

export class MidiOutput {
  #port;
  #context;
  // The notes that have not ended, `{pitch, velocity, on, off, isOn}`, with times in milliseconds of the page's clock.
  #notes = new Set();
  #timer = null;
  // The page's clock less the audio clock, in milliseconds.
  #offset = NaN;

  /**
   * @param {MIDIOutput} port
   * @param context returns the audio context, whose clock the player plays by
   */
  constructor(port, context) {
    this.#port = port;
    this.#context = context;
  }

  get name() {
    return this.#port.name;
  }

  /** Sets the volume, from 0 to 1. */
  set volume(share) {
    this.#port.send([CONTROL, VOLUME, Math.round(127 * share)]);
  }

  /** As `Piano.strike`. */
  strike(pitch, velocity, when, until = null) {
    const note = { pitch, velocity, on: this.#milliseconds(when), off: Infinity, isOn: false };
    for (const other of this.#notes) if (other.pitch === pitch) this.#giveWay(other, note);
    this.#notes.add(note);
    const release = (time) => {
      note.off = Math.min(note.off, Math.max(note.on + SHORTEST_MILLISECONDS, this.#milliseconds(time)));
      this.#turn();
    };
    if (until === null) this.#turn();
    else release(until);
    return release;
  }

  /** Ends a note where its key is struck again. */
  #giveWay(note, next) {
    if (note.isOn) next.on = Math.max(next.on, note.on + SHORTEST_MILLISECONDS);
    if (next.on < note.on + SHORTEST_MILLISECONDS) this.#notes.delete(note);
    note.off = Math.min(note.off, next.on);
  }

  /** Silences all notes, and cancels scheduled ones. */
  silence() {
    const now = performance.now();
    for (const { isOn, on, pitch } of this.#notes) if (isOn) this.#port.send([NOTE_OFF, pitch, 0], Math.max(now, on + SHORTEST_MILLISECONDS));
    this.#notes.clear();
    this.#port.send([CONTROL, ALL_NOTES_OFF, 0]);
  }

  /** Sends what is due soon. */
  #turn() {
    clearTimeout(this.#timer);
    const until = performance.now() + (document.hidden ? HIDDEN_AHEAD_MILLISECONDS : AHEAD_MILLISECONDS);
    const due = [];
    for (const note of this.#notes) {
      if (!note.isOn && note.on <= until) {
        due.push({ time: note.on, order: 1, message: [NOTE_ON, note.pitch, note.velocity] });
        note.isOn = true;
      }
      if (note.off <= until) {
        due.push({ time: note.off, order: 0, message: [NOTE_OFF, note.pitch, 0] });
        this.#notes.delete(note);
      }
    }
    // A key is released before it is struck again.
    due.sort((one, other) => one.time - other.time || one.order - other.order);
    for (const { time, message } of due) this.#port.send(message, time);
    if (this.#notes.size) this.#timer = setTimeout(() => this.#turn(), TURN_MILLISECONDS);
  }

  /** A time of the audio clock on the page's clock. */
  #milliseconds(seconds) {
    const offset = performance.now() - 1000 * this.#context().currentTime;
    // The audio clock moves in blocks, so one look at both clocks says less than many.
    if (Math.abs(offset - this.#offset) < JUMP_MILLISECONDS) this.#offset += SMOOTHING * (offset - this.#offset);
    else this.#offset = offset;
    return this.#offset + 1000 * seconds;
  }
}
