/**
 * Synthesises the sound of a key: two slightly detuned strings and the hammer's knock. Each string is a sum of
 * inharmonic partials, which decay at different rates.
 */

const MAX_PARTIALS = 26;
const MAX_SECONDS = 6;
const STRIKE_POINT = 1 / 8;
const DETUNING_CENTS = 0.7;

/** The frequency of a MIDI pitch in hertz. */
export const hertz = (pitch) => 440 * 2 ** ((pitch - 69) / 12);

/** The decay time of the lowest partial in seconds. */
const decayTime = (pitch) => Math.min(4.5, 3 * 2 ** (-(pitch - 48) / 20));

/** The samples of a key struck hard and held, with peak 1. */
export function renderString(pitch, rate) {
  const decay = decayTime(pitch);
  const samples = new Float32Array(Math.round(rate * Math.min(MAX_SECONDS, 4.5 * decay)));
  const stiffness = 0.00012 * Math.exp((pitch - 45) / 18);
  for (const [cents, share, pace] of [
    [-DETUNING_CENTS, 0.62, 0.6],
    [DETUNING_CENTS, 0.38, 1.25],
  ]) {
    const fundamental = hertz(pitch) * 2 ** (cents / 1200);
    for (let partial = 1; partial <= MAX_PARTIALS; partial += 1) {
      const frequency = fundamental * partial * Math.sqrt(1 + stiffness * partial ** 2);
      if (frequency > 0.42 * rate) break;
      const struck = 0.3 + 0.7 * Math.abs(Math.sin(Math.PI * partial * STRIKE_POINT));
      const loudness = (share * struck * Math.exp(-frequency / 2_600)) / partial ** 0.75;
      addPartial(
        samples,
        (2 * Math.PI * frequency) / rate,
        loudness,
        (rate * decay * pace) / (1 + 0.28 * (partial - 1)),
      );
    }
  }
  addKnock(samples, pitch, rate);
  return withEnvelope(samples, rate);
}

/** Adds a sine that decays to 1/e in `decay` samples; `turn` is its angle per sample. */
function addPartial(samples, turn, loudness, decay) {
  const damping = Math.exp(-1 / decay);
  const next = 2 * damping * Math.cos(turn);
  const last = -damping * damping;
  let before = 0;
  let value = loudness * damping * Math.sin(turn);
  // After seven decay times it is inaudible.
  const end = Math.min(samples.length, Math.ceil(7 * decay));
  for (let index = 1; index < end; index += 1) {
    samples[index] += value;
    [before, value] = [value, next * value + last * before];
  }
}

/** Adds the hammer's knock, from a deterministic noise. */
function addKnock(samples, pitch, rate) {
  let random = 12_345 + pitch;
  let smooth = 0;
  const end = Math.min(samples.length, Math.round(0.06 * rate));
  for (let index = 0; index < end; index += 1) {
    random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fffffff;
    smooth += 0.12 * (random / 0x40000000 - 1 - smooth);
    samples[index] += 0.35 * smooth * Math.exp((-6 * index) / end);
  }
}

function withEnvelope(samples, rate) {
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  const attack = 0.0015 * rate;
  const release = 0.08 * rate;
  for (let index = 0; index < samples.length; index += 1) {
    samples[index] *= Math.min(1, index / attack, (samples.length - index) / release) / peak;
  }
  return samples;
}
