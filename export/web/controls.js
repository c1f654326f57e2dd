/** Controls of the music, as biases on the model's logits: a key, and the density of notes. */

const RULED_OUT = -1e4;
const TONICS = { C: 0, "C#": 1, D: 2, Eb: 3, E: 4, F: 5, "F#": 6, G: 7, Ab: 8, A: 9, Bb: 10, B: 11 };
const SCALES = {
  major: [0, 2, 4, 5, 7, 9, 11],
  // Natural minor, with the raised seventh added.
  minor: [0, 2, 3, 5, 7, 8, 10, 11],
};
// Shorter steps are chords and ornaments: density changes how often they occur, but not their relative frequency.
const SHORTEST_TICKS = 6;
const MIDDLE_TICKS = 20;
// Logarithms are rounded to this share of a nat, so that those of Python and JavaScript are the same.
const LOG_UNITS = 8192;

/** All keys, such as "C minor". */
export const KEYS = Object.keys(TONICS).flatMap((tonic) => Object.keys(SCALES).map((mode) => `${tonic} ${mode}`));

/** The pitch classes of a key. */
export function pitchClasses(key) {
  const [tonic, mode] = key.split(" ");
  return new Set(SCALES[mode].map((degree) => (TONICS[tonic] + degree) % 12));
}

/**
 * The step's input `bias`.
 *
 * @param codec the model's codec
 * @param key one of `KEYS`, or "" for any
 * @param density 0 for no change; at 1, a step twice as long becomes half as likely, at -1 twice as likely
 * @returns {Float32Array} the concatenated biases of all four fields
 */
export function biasOf(codec, { key = "", density = 0 } = {}) {
  const bias = new Float32Array(codec.size);
  if (density) {
    codec.stepTicks.forEach((ticks, index) => {
      const log = Math.log(Math.max(ticks, SHORTEST_TICKS) / MIDDLE_TICKS);
      bias[codec.offsets[0] + index] = (-density * Math.round(LOG_UNITS * log)) / LOG_UNITS;
    });
  }
  if (key) {
    const allowed = pitchClasses(key);
    for (let pitch = 0; pitch < codec.sizes[1]; pitch += 1) {
      if (!allowed.has(pitch % 12)) bias[codec.offsets[1] + pitch] = RULED_OUT;
    }
  }
  return bias;
}
