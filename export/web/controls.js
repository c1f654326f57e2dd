/** Controls of the pitches, as biases on the model's logits: a key and a range of pitches. */

import { Problem } from "./problem.js";

const RULED_OUT = -1e4;
const TONICS = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];
const SCALES = {
  major: [0, 2, 4, 5, 7, 9, 11],
  // Natural minor, with the raised seventh added.
  minor: [0, 2, 3, 5, 7, 8, 10, 11],
};

/** All keys, such as "C minor". */
export const KEYS = TONICS.flatMap((tonic) => Object.keys(SCALES).map((mode) => `${tonic} ${mode}`));

export const NATURALS = { C: 0, D: 2, E: 4, F: 5, G: 7, A: 9, B: 11 };
export const ACCIDENTALS = { "": 0, "#": 1, b: -1 };
const HIGHEST_PITCH = 127;

/** The pitch classes of a key such as "C major", "F#minor", "Bb" or "am". */
export function parseKey(text) {
  const [, name, accidental, mode] = /^\s*([A-Ga-g])([#b]?)\s*(major|maj|minor|min|m|)\s*$/.exec(text) ?? [];
  if (!name) throw new Problem(`“${text}” is not a key, such as C major.`);
  const tonic = NATURALS[name.toUpperCase()] + ACCIDENTALS[accidental] + 12;
  return new Set(SCALES[["minor", "min", "m"].includes(mode) ? "minor" : "major"].map((degree) => (tonic + degree) % 12));
}

function parsePitch(text) {
  const [, name, accidental, octave] = /^([A-Ga-g])([#b]?)(-?\d)$/.exec(text) ?? [];
  const pitch = name ? NATURALS[name.toUpperCase()] + ACCIDENTALS[accidental] + 12 * (Number(octave) + 1) : Number(text);
  if (pitch >= 0 && pitch <= HIGHEST_PITCH) return pitch;
  throw new Problem(`“${text}” is no pitch of MIDI, such as C4 or 60.`);
}

/** The lowest and highest pitch of a range such as "C2-C6" or "36-84". */
export function parseRange(text) {
  const [, from, to] = /^\s*([A-Ga-g][#b]?-?\d|\d+)\s*-\s*([A-Ga-g][#b]?-?\d|\d+)\s*$/.exec(text) ?? [];
  const [low, high] = from ? [parsePitch(from), parsePitch(to)] : [1, 0];
  if (low > high) throw new Problem(`“${text}” is not a range of pitches, such as C2-C6 or 36-84.`);
  return [low, high];
}

/**
 * The part of the step's input `bias` that is over pitches.
 *
 * @param key a key such as "C minor", or "" for any
 * @param range a range of pitches such as "C2-C6", or "" for all
 * @returns {number[]} a bias for each of the 128 pitches
 */
export function pitchBias({ key = "", range = "" } = {}) {
  const allowed = key ? parseKey(key) : null;
  const [low, high] = range ? parseRange(range) : [0, HIGHEST_PITCH];
  const ruledOut = (pitch) => allowed?.has(pitch % 12) === false || pitch < low || pitch > high;
  return Array.from({ length: HIGHEST_PITCH + 1 }, (_, pitch) => (ruledOut(pitch) ? RULED_OUT : 0));
}
