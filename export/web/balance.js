/** Balance: keeps the speed, the polyphony and the loudness of a piece near their targets. See `kerasmusic.edge.balance`. */

import { TICKS_PER_SECOND } from "./codec.js";

// As in Python; a test compares them.
export const SPEED = 9;
export const POLYPHONY = 4.5;
export const LOUDNESS = 64;
export const SPEEDS = [0.5, 30];
export const POLYPHONIES = [0.5, 20];
export const LOUDNESSES = [1, 127];
const SHORTEST_TICKS = 12;
const LOG_UNITS = 8192;
const MIDDLE_VELOCITY = 64;
const VELOCITY_UNITS = 32;
const MOST_TIMES = 64;
const LEAST_RATIO = 1 / 16;
const LARGEST_INTEGRAND = 2;
const LARGEST_INTEGRAL = 4;
// Window, tolerance, proportional and integral.
const STEP_GAINS = [64, 1, 3, 0.01];
const DURATION_GAINS = [64, 1.2, 1.5, 0.006];
const VELOCITY_GAINS = [64, 1.02, 3, 0.02];
const FIRST_WINDOW = 8;
// The number of last notes from which the targets of a file or a player are taken.
const TOLD_BY = 64;

// The speed, the polyphony and the loudness of performances, of which the seed chooses.
// prettier-ignore
export const PERFORMANCES = [
  [5.3, 7.3, 59], [10.8, 5, 62], [8.5, 4.8, 67], [4.1, 5.2, 57], [9.6, 7, 60], [8.6, 2.3, 61],
  [11.3, 1.9, 68], [13.2, 7.9, 72], [10.8, 7.7, 68], [9.4, 6, 65], [6.6, 3, 71], [7.2, 5.3, 67],
  [9.8, 4.4, 57], [10.5, 4, 53], [7, 4.1, 65], [7.3, 2.9, 73], [10.5, 3.2, 66], [7.8, 1.8, 61],
  [18.2, 10, 75], [6.8, 2.5, 68], [9.9, 3.2, 57], [8.5, 6.6, 52], [8.4, 6.2, 58], [7.9, 4.5, 56],
  [13, 11.6, 74], [12.7, 5.2, 71], [7.5, 6.6, 67], [14.2, 3.4, 66], [11.6, 4.4, 75], [11.9, 2.8, 67],
  [4, 4.5, 53], [9.7, 3.7, 63], [10.1, 1.3, 64], [10.1, 6.3, 69], [11.2, 1.6, 68], [12.3, 9.4, 60],
  [16, 7.3, 71], [18.2, 2.1, 66], [12, 6.6, 69], [9.7, 4.1, 64], [6.7, 9.5, 58], [9.4, 6.7, 70],
  [4.5, 4, 53], [10.5, 3.8, 60], [14.1, 1.4, 73], [11.1, 5.8, 61], [12.1, 3.4, 57], [8.9, 2.8, 67],
  [7, 4.5, 57], [9.4, 5.5, 64], [13.7, 3.8, 65], [8.9, 3.6, 61], [5.4, 6.1, 61], [6.1, 4.2, 61],
  [5.3, 3.4, 62], [14.3, 6.7, 67], [13.6, 6.9, 64], [9.2, 2.1, 62], [13.2, 2.7, 69], [18.8, 5.2, 59],
  [20.2, 3.8, 67], [8.4, 5.6, 70], [14.6, 8, 70], [17.6, 4.6, 63],
];

const clipped = (value, [low, high]) => Math.min(Math.max(value, low), high);
const logs = (ticks) => Float32Array.from(ticks, (each) => -Math.round(LOG_UNITS * Math.log(each)) / LOG_UNITS);

/** The targets `{speed, polyphony, loudness}` of the piece of a seed, a BigInt. */
export function targetsOfSeed(seed) {
  const [speed, polyphony, loudness] = PERFORMANCES[Number(seed % BigInt(PERFORMANCES.length))];
  return { speed, polyphony, loudness };
}

/** The targets that notes keep to: `{speed, polyphony, loudness}`, or fewer where the notes are too few or too short. */
export function targetsOf(notes) {
  const told = notes.slice(-TOLD_BY);
  if (!told.length) return {};
  const mean = (field) => told.reduce((sum, note) => sum + note[field], 0) / told.length;
  const within = (value, limits) => Math.round(100 * clipped(value, limits)) / 100;
  const loudness = within(mean("velocity"), LOUDNESSES);
  const seconds = told.at(-1).start - told[0].start;
  if (seconds <= 0) return { loudness };
  const speed = within((told.length - 1) / seconds, SPEEDS);
  return { speed, polyphony: within(speed * mean("duration"), POLYPHONIES), loudness };
}

/** A proportional-integral controller of a running mean. */
class Controller {
  target = null;

  constructor([window, tolerance, proportional, integral], usual) {
    this.gains = { window, tolerance, proportional, integral };
    this.usual = usual;
    this.reset();
  }

  reset() {
    this.begin();
    this.integral = 0;
  }

  begin() {
    this.mean = this.target ?? this.usual;
    this.window = FIRST_WINDOW;
  }

  measure(value) {
    const most = MOST_TIMES * (this.target ?? this.usual);
    this.mean += (Math.min(value, most) - this.mean) / this.window;
    this.window = Math.min(this.window + 1, this.gains.window);
    if (this.target === null) return;
    const error = Math.min(this.#ratio() - 1, LARGEST_INTEGRAND);
    const limits = [-LARGEST_INTEGRAL, LARGEST_INTEGRAL];
    this.integral = clipped(this.integral + this.gains.integral * error, limits);
  }

  correction() {
    if (this.target === null) return 0;
    const ratio = Math.max(this.#ratio(), LEAST_RATIO);
    const error = (ratio - 1 / ratio) / 2;
    return this.gains.proportional * clipped(error, [-1, 1]) + this.integral;
  }

  #ratio() {
    const ratio = this.mean / this.target;
    return ratio / clipped(ratio, [1 / this.gains.tolerance, this.gains.tolerance]);
  }
}

export class Balance {
  /**
   * @param codec the model's codec
   * @param {Float32Array} bias the step's input, into which all but the pitches' biases are written
   */
  constructor(codec, bias) {
    const [steps, , durations, velocities] = codec.sizes.map((size, field) =>
      bias.subarray(codec.offsets[field], codec.offsets[field] + size),
    );
    const ticks = TICKS_PER_SECOND / SPEED;
    this.step = new Controller(STEP_GAINS, ticks);
    this.duration = new Controller(DURATION_GAINS, POLYPHONY * ticks);
    this.velocity = new Controller(VELOCITY_GAINS, LOUDNESS);
    this.parts = [
      [this.step, steps, logs(codec.stepTicks.map((each) => Math.max(each, SHORTEST_TICKS)))],
      [this.duration, durations, logs(codec.durationTicks.map((each) => Math.max(each, 1)))],
      [this.velocity, velocities, Float32Array.from(codec.velocities, (each) => (MIDDLE_VELOCITY - each) / VELOCITY_UNITS)],
    ];
  }

  /**
   * Sets the targets from the next note on; null leaves the model its own. Before the first note, it is as if they had been
   * there from the beginning.
   */
  aim({ speed, polyphony, loudness }) {
    const ticks = TICKS_PER_SECOND / (speed ?? SPEED);
    this.step.target = speed === null ? null : ticks;
    this.duration.target = polyphony === null ? null : polyphony * ticks;
    this.velocity.target = loudness;
    // Before the first note.
    if (this.velocity.window === FIRST_WINDOW) this.begin();
    this.#apply();
  }

  /** Begins as for a new piece. */
  reset() {
    for (const [controller] of this.parts) controller.reset();
    this.#apply();
  }

  /** Begins to measure anew: the notes that were given have set the balance of what follows. */
  begin() {
    for (const [controller] of this.parts) controller.begin();
    this.#apply();
  }

  /** Measures a note that the model drew: its step and its duration in ticks, and its velocity. */
  measure(step, duration, velocity) {
    this.step.measure(step);
    this.duration.measure(duration);
    this.velocity.measure(velocity);
    this.#apply();
  }

  get state() {
    return this.parts.flatMap(([{ mean, integral, window }]) => [mean, integral, window]);
  }

  set state(numbers) {
    for (const [index, [controller]] of this.parts.entries()) {
      [controller.mean, controller.integral, controller.window] = numbers.slice(3 * index);
    }
    this.#apply();
  }

  #apply() {
    for (const [controller, row, table] of this.parts) {
      const correction = Math.fround(controller.correction());
      for (let index = 0; index < row.length; index += 1) row[index] = table[index] * correction;
    }
  }
}
