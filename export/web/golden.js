/**
 * The golden passage: notes inside a file that verify it on any device. See `kerasmusic.edge.golden`.
 */

import { Problem } from "./problem.js";

// Those of files whose record has no settings.
const SETTINGS = {
  seed: 2026,
  temperature: { pitch: 0.95, step: 1.05 },
  min_p: { pitch: 0.02 },
  key: "C minor",
};
// I - IV - V - I, as chords of half a second.
const CHORDS = [
  [48, 64, 67, 72],
  [53, 65, 69, 72],
  [55, 62, 67, 71],
  [48, 64, 67, 72],
];
// The largest deviation of a log probability that rounding can explain, by precision.
const TOLERANCES = { float32: 1e-3, float16: 2e-3, int8: 1.0, "int8-full": 5.0, exact: 1e-5 };

// An exact file has hashes of its further notes, in groups.
const GROUP = 250;
// Lower log probabilities count as this one.
const LEAST_LOG_PROB = -80;

/**
 * Plays and scores a file's golden passage.
 *
 * @returns `{holds, exact, notes, differsFrom, group, difference, tolerance}`: `notes` were compared; `differsFrom` is
 *   the first note, counted from 1, that was played differently, or null, or the first of the `group` of notes of which
 *   one was; `difference` is the largest deviation of a log probability
 */
export async function verify(generator, record) {
  const { notes, log_prob: expected, settings = SETTINGS, hashes = [] } = record.golden ?? {};
  const tolerance = TOLERANCES[record.precision];
  if (!notes?.length || notes.length !== expected?.length || !tolerance) {
    throw new Problem("The model has no golden passage to verify it with; export it again.");
  }
  const difference = await scoreDifference(generator, notes, expected);
  let differsFrom = await firstDifference(generator, notes, settings);
  let compared = notes.length;
  let group = 1;
  // Browsers hash only in secure contexts.
  for (const hash of differsFrom || !globalThis.crypto?.subtle ? [] : hashes) {
    if (hash !== (await nextHash(generator))) {
      [differsFrom, group] = [compared + 1, GROUP];
      break;
    }
    compared += GROUP;
  }
  const exact = record.precision === "exact";
  const mustMatch = exact || record.precision === "float32";
  const holds = difference <= tolerance && !(mustMatch && differsFrom);
  return { holds, exact, notes: compared, differsFrom, group, difference, tolerance };
}

/** A hash of the next notes' fields. */
async function nextHash(generator) {
  const bytes = new DataView(new ArrayBuffer(GROUP * 16));
  for (let index = 0; index < GROUP; index += 1) {
    await generator.next();
    generator.step.note.forEach((value, field) => bytes.setInt32(16 * index + 4 * field, value, true));
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function scoreDifference(generator, notes, expected) {
  generator.begin(0n);
  let largest = 0;
  for (const [index, fields] of notes.entries()) {
    await generator.feed(fields);
    for (const [field, value] of expected[index].entries()) {
      const scored = generator.step.logProb[field];
      // A field without a distribution has null in the file and NaN here; a mismatch of the two fails.
      const deviation = value === null || Number.isNaN(scored) ? Infinity : Math.abs(Math.max(scored, LEAST_LOG_PROB) - Math.max(value, LEAST_LOG_PROB));
      if (!(value === null && Number.isNaN(scored))) largest = Math.max(largest, deviation);
    }
  }
  return largest;
}

async function firstDifference(generator, notes, settings) {
  const { seed, temperature, min_p: minP, speed = null, polyphony = null, loudness = null, key } = settings;
  generator.begin(BigInt(seed), { temperature, minP, speed, polyphony, loudness, key: key ?? "" });
  for (const fields of generator.codec.encode(primer())) await generator.feed(fields);
  for (const [index, fields] of notes.entries()) {
    await generator.next();
    if (fields.some((value, field) => value !== generator.step.note[field])) return index + 1;
  }
  return null;
}

function primer() {
  return CHORDS.flatMap((chord, index) =>
    chord.map((pitch) => ({ start: index * 0.5, pitch, duration: 0.5, velocity: 72 })),
  );
}
