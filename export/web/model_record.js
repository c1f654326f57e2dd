/**
 * Reads the metadata inside a `.tflite` file: `kerasmusic.json` in a zip archive that follows the flatbuffer.
 */

import { Problem } from "./problem.js";

const FORMAT = 2;
const NAME = "kerasmusic.json";
const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const END_BYTES = 22;
const LONGEST_COMMENT = 0xffff;

/**
 * The metadata inside a file's bytes, as JSON values.
 *
 * @param {Uint8Array} bytes
 * @throws {Problem} the file has none, or of a newer format
 */
export async function readRecord(bytes) {
  if (new TextDecoder().decode(bytes.subarray(4, 8)) !== "TFL3") {
    throw new Problem("The model is not a TFLite file; export it again.");
  }
  let record;
  try {
    record = JSON.parse(new TextDecoder().decode(await member(bytes, NAME)));
  } catch {
    throw new Problem("The model file is cut short or is not from kerasmusic; export it again.");
  }
  if (!Number.isInteger(record.format) || record.format > FORMAT) {
    throw new Problem(`The model has format ${record.format}, this page reads up to ${FORMAT}; write the page again.`);
  }
  return record;
}

/** The contents of a file in a zip archive that may follow other bytes. */
async function member(bytes, name) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const last = bytes.length - END_BYTES;
  let end = last;
  while (view.getUint32(end, true) !== END_SIGNATURE) {
    end -= 1;
    if (end < last - LONGEST_COMMENT) throw new Error("no zip archive");
  }
  const entries = view.getUint16(end + 10, true);
  const directory = end - view.getUint32(end + 12, true);
  // The archive's offsets may or may not count the bytes before it.
  const before = directory - view.getUint32(end + 16, true);
  for (let entry = directory, index = 0; index < entries; index += 1) {
    if (view.getUint32(entry, true) !== ENTRY_SIGNATURE) throw new Error("not an entry");
    const nameBytes = view.getUint16(entry + 28, true);
    if (new TextDecoder().decode(bytes.subarray(entry + 46, entry + 46 + nameBytes)) === name) {
      const local = view.getUint32(entry + 42, true) + before;
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      const compressed = bytes.subarray(start, start + view.getUint32(entry + 20, true));
      if (view.getUint16(entry + 10, true) === 0) return compressed;
      return new Uint8Array(await inflated(compressed).arrayBuffer());
    }
    entry += 46 + nameBytes + view.getUint16(entry + 30, true) + view.getUint16(entry + 32, true);
  }
  throw new Error("no such file");
}

function inflated(compressed) {
  return new Response(new Blob([compressed]).stream().pipeThrough(new DecompressionStream("deflate-raw")));
}
