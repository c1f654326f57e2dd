/** A model's step on LiteRT.js: write its input arrays, run it, and read its output arrays. */

import { Problem } from "./problem.js";
import { loadAndCompile, loadLiteRt, Tensor } from "./runtime/litert.js";

const SIGNATURE = "step";
const GLUE = new URL("./runtime/litert_wasm.js", import.meta.url).href;
const ARRAYS = {
  previous: Int32Array,
  given: Int32Array,
  state: Float32Array,
  uniform: Float32Array,
  temperature: Float32Array,
  min_p: Float32Array,
  bias: Float32Array,
};
// The further input of a model with a `style_size`.
const STYLE = { style: Float32Array };
const OUTPUTS = ["note", "log_prob", "state"];

let runtime = null;

/** Loads and starts the runtime; later calls return the same one. */
export function startRuntime() {
  runtime ??= loadLiteRt(GLUE);
  return runtime;
}

/** Opens the step of a `.tflite` file's bytes, with its metadata and codec. */
export async function openStep(bytes, record, codec) {
  const { liteRtWasm } = await startRuntime();
  let model;
  try {
    model = await loadAndCompile(bytes, { accelerator: "wasm" });
  } catch {
    throw new Problem("This page's runtime cannot run the model; write the page again with a newer kerasmusic.");
  }
  const signature = model.signatures[SIGNATURE];
  const sizes = { bias: codec.size, state: record.state_size, style: record.style_size ?? 0 };
  const arrays = { ...ARRAYS, ...(sizes.style ? STYLE : {}) };
  const expects = (details, names) =>
    details?.length === names.length &&
    details.every(({ name, shape }) => names.includes(name) && shape[1] === (sizes[name] ?? 4));
  if (!expects(signature?.getInputDetails(), Object.keys(arrays)) || !expects(signature.getOutputDetails(), OUTPUTS)) {
    throw new Problem("The model's inputs and outputs do not match its metadata; export it again.");
  }
  return new LiteRtStep(liteRtWasm, signature, sizes, arrays);
}

class LiteRtStep {
  #wasm;
  #signature;
  #tensors = {};
  #arrays = {};

  constructor(wasm, signature, sizes, arrays) {
    this.#wasm = wasm;
    this.#signature = signature;
    for (const [name, Numbers] of Object.entries(arrays)) {
      this.#arrays[name] = new Numbers(sizes[name] ?? 4);
      this.#tensors[name] = new Tensor(this.#arrays[name], [1, sizes[name] ?? 4]);
    }
    const { min_p: minP, ...others } = this.#arrays;
    Object.assign(this, others, { minP, note: new Int32Array(4), logProb: new Float32Array(4) });
  }

  /** The memory of the runtime in bytes. */
  get memory() {
    return this.#wasm.HEAPU8.byteLength;
  }

  /** Runs the step, which writes the note and the new state. */
  async run() {
    // Input tensors are reused, since creating them takes as long as the model.
    for (const [name, tensor] of Object.entries(this.#tensors)) this.#write(tensor, this.#arrays[name]);
    const outputs = await this.#signature.run(this.#tensors);
    this.note.set(outputs.note.toTypedArray());
    this.logProb.set(outputs.log_prob.toTypedArray());
    this.state.set(outputs.state.toTypedArray());
    for (const tensor of Object.values(outputs)) tensor.delete();
  }

  #write({ liteRtTensorBuffer: buffer }, array) {
    const address = buffer.lock(this.#wasm.LiteRtTensorBufferLockMode.WRITE);
    this.#wasm.HEAPU8.set(new Uint8Array(array.buffer), address);
    buffer.unlock();
  }
}
