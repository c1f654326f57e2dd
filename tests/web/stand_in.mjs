// A model that needs no runtime, for the tests of what plays it.
import { Codec } from "../../export/web/codec.js";

export const codec = new Codec({
  ticks_per_second: 100,
  step_edges: Array.from({ length: 101 }, (_, tick) => tick),
  duration_edges: Array.from({ length: 101 }, (_, tick) => tick + 1),
  velocity_edges: Array.from({ length: 33 }, (_, index) => 4 * index),
});

/** A step whose notes depend on the random numbers and on the number of notes before. */
export class StandIn {
  runs = 0;
  previous = new Int32Array(4);
  given = new Int32Array(4);
  state = new Float32Array(1);
  uniform = new Float32Array(4);
  temperature = new Float32Array(4);
  minP = new Float32Array(4);
  bias = new Float32Array(codec.size);
  note = new Int32Array(4);
  logProb = new Float32Array(4);

  async run() {
    this.runs += 1;
    this.state[0] += 1;
    for (let field = 0; field < 4; field += 1) {
      const drawn = Math.floor(this.uniform[field] * 16) + (this.state[0] % 16);
      this.note[field] = this.given[field] < 0 ? drawn : this.given[field];
      this.logProb[field] = -this.note[field] / 100;
    }
  }
}

/** The next notes of a generator. */
export async function take(generator, notes) {
  const taken = [];
  while (taken.length < notes) taken.push(await generator.next());
  return taken;
}
