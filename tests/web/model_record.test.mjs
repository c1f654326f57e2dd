import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";

import { readRecord } from "../../export/web/model_record.js";

/** Bytes that begin as a TFLite file does, followed by a zip archive of one file. */
function packed(record, { name = "kerasmusic.json", deflated = true, offset = 0 } = {}) {
  const flatbuffer = Buffer.from("....TFL3 and so on");
  const text = Buffer.from(JSON.stringify(record));
  const data = deflated ? deflateRawSync(text) : text;
  const start = flatbuffer.length + offset;
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(deflated ? 8 : 0, 4);
  fields.writeUInt32LE(data.length, 14);
  fields.writeUInt32LE(text.length, 18);
  fields.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04"), fields, Buffer.from(name), data]);
  const entry = Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), fields, Buffer.alloc(14), Buffer.from(name)]);
  entry.writeUInt32LE(start, 42);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(entry.length, 12);
  end.writeUInt32LE(start + local.length, 16);
  return new Uint8Array(Buffer.concat([flatbuffer, local, entry, end]));
}

test("the metadata is found behind the flatbuffer, compressed or not, wherever its offsets count from", async () => {
  const record = { format: 2, preset: "small" };
  assert.deepEqual(await readRecord(packed(record)), record);
  assert.deepEqual(await readRecord(packed(record, { deflated: false })), record);
  assert.deepEqual(await readRecord(packed(record, { offset: -18 })), record);
});

test("what is not a model of kerasmusic is refused in a sentence", async () => {
  const file = packed({ format: 1 });
  await assert.rejects(readRecord(new TextEncoder().encode("a text")), /not a TFLite file/);
  await assert.rejects(readRecord(file.subarray(0, file.length - 30)), /cut short/);
  await assert.rejects(readRecord(packed({ format: 1 }, { name: "other.json" })), /not from kerasmusic/);
  await assert.rejects(readRecord(packed({ format: 3 })), /format 3, this page reads up to 2/);
});
