/**
 * The codec of a model: converts fields, which are bin indices, to seconds and velocities and back, as
 * `kerasmusic.codec` does.
 */

import { Problem } from "./problem.js";

export const FIELDS = ["step", "pitch", "duration", "velocity"];
export const TICKS_PER_SECOND = 100;
const PITCHES = 128;

const middles = (edges) => edges.slice(1).map((end, index) => Math.floor((edges[index] + end - 1) / 2));

function bin(edges, value) {
  let index = 0;
  while (index < edges.length - 2 && edges[index + 1] <= value) index += 1;
  return index;
}

/** Rounds halves to the even neighbour, as NumPy does. */
export function roundToEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

export class Codec {
  /** @param tables the `codec` of a model's metadata */
  constructor(tables) {
    const ascends = (edges) =>
      Array.isArray(edges) && edges.length > 1 && edges.every((edge, index) => !index || edge > edges[index - 1]);
    const { step_edges: steps, duration_edges: durations, velocity_edges: velocities } = tables ?? {};
    // Format 1 has the older name.
    const ticksPerSecond = tables?.ticks_per_second ?? tables?.ticks_a_second;
    if (![steps, durations, velocities].every(ascends) || ticksPerSecond !== TICKS_PER_SECOND) {
      throw new Problem("The model's tables of times cannot be read; export it again.");
    }
    this.edges = { steps, durations, velocities };
    this.stepTicks = middles(steps);
    this.durationTicks = middles(durations);
    this.velocities = middles(velocities).map((velocity) => Math.max(1, velocity));
    this.sizes = [this.stepTicks.length, PITCHES, this.durationTicks.length, this.velocities.length];
    this.offsets = this.sizes.map((_, index) => this.sizes.slice(0, index).reduce((sum, size) => sum + size, 0));
    this.size = this.sizes.reduce((sum, size) => sum + size, 0);
  }

  /**
   * The fields of notes `{start, pitch, duration, velocity}`: an array of four numbers per note, sorted by onset and
   * pitch. The first step counts from the tick `previous`.
   */
  encode(notes, previous = 0) {
    const rows = notes
      .map((note) => ({
        tick: roundToEven(note.start * TICKS_PER_SECOND),
        end: roundToEven((note.start + note.duration) * TICKS_PER_SECOND),
        pitch: note.pitch,
        velocity: note.velocity,
      }))
      .sort((one, other) => one.tick - other.tick || one.pitch - other.pitch);
    return rows.map((row) => {
      const step = row.tick - previous;
      previous = row.tick;
      return [
        bin(this.edges.steps, step),
        row.pitch,
        bin(this.edges.durations, row.end - row.tick),
        bin(this.edges.velocities, row.velocity),
      ];
    });
  }

  /** The note with the given fields and its onset at a tick. */
  noteAt(tick, fields) {
    return {
      start: tick / TICKS_PER_SECOND,
      pitch: fields[1],
      duration: this.durationTicks[fields[2]] / TICKS_PER_SECOND,
      velocity: this.velocities[fields[3]],
    };
  }
}
