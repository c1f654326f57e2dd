/** Chords: a progression whose notes the model prefers, one chord after another. See `kerasmusic.edge.chords`. */

import { roundToEven, TICKS_PER_SECOND } from "./codec.js";
import { ACCIDENTALS, NATURALS } from "./controls.js";
import { Problem } from "./problem.js";

// Semitones above the root by the part of a chord's name that follows the root.
export const QUALITIES = {
  "": [0, 4, 7],
  maj: [0, 4, 7],
  m: [0, 3, 7],
  min: [0, 3, 7],
  dim: [0, 3, 6],
  aug: [0, 4, 8],
  sus2: [0, 2, 7],
  sus4: [0, 5, 7],
  5: [0, 7],
  6: [0, 4, 7, 9],
  m6: [0, 3, 7, 9],
  7: [0, 4, 7, 10],
  maj7: [0, 4, 7, 11],
  m7: [0, 3, 7, 10],
  m7b5: [0, 3, 6, 10],
  dim7: [0, 3, 6, 9],
  9: [0, 2, 4, 7, 10],
  add9: [0, 2, 4, 7],
  m9: [0, 2, 3, 7, 10],
};
// How much less likely a pitch outside the chord is, in nats.
export const OUTSIDE = 3;
export const CHORD_SECONDS = 2;
const SHORTEST = 0.1;
const LONGEST = 3600;

function parseChord(text) {
  const [, name, accidental, quality, bass, lowered] =
    /^([A-G])([#b]?)([a-z0-9]*)(?:\/([A-G])([#b]?))?$/.exec(text) ?? [];
  if (!name || !Object.hasOwn(QUALITIES, quality)) throw new Problem(`“${text}” is not a chord, such as Am or F#m7.`);
  const root = NATURALS[name] + ACCIDENTALS[accidental] + 12;
  const classes = QUALITIES[quality].map((semitones) => (root + semitones) % 12);
  return new Set(bass ? [...classes, (NATURALS[bass] + ACCIDENTALS[lowered] + 12) % 12] : classes);
}

/** The chords of a progression such as "Am F C G", by time. */
export class ChordTrack {
  /**
   * @param {string} text the progression, with spaces or commas between its chords
   * @param {number} seconds how long each chord lasts
   * @throws {Problem} a chord is invalid, or `seconds` is out of range
   */
  constructor(text, seconds = CHORD_SECONDS) {
    if (!(seconds >= SHORTEST && seconds <= LONGEST)) throw new Problem(`A chord cannot last ${seconds} seconds.`);
    this.chords = text.split(/[\s,]+/).filter(Boolean).map(parseChord);
    if (!this.chords.length) throw new Problem("There are no chords; write some, such as Am F C G.");
    this.ticks = roundToEven(seconds * TICKS_PER_SECOND);
  }

  /** The index of the chord at a time in ticks. */
  indexAt(tick) {
    return Math.floor(tick / this.ticks) % this.chords.length;
  }

  /** Adds the preference for a chord to biases over pitches, and writes the sums to `target`. */
  prefer(index, biases, target) {
    const chord = this.chords[index];
    biases.forEach((bias, pitch) => {
      target[pitch] = bias - (chord.has(pitch % 12) ? 0 : OUTSIDE);
    });
  }
}
