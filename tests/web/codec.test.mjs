import assert from "node:assert/strict";
import { test } from "node:test";

import { Codec } from "../../export/web/codec.js";
import { KEYS, parseKey, pitchBias } from "../../export/web/controls.js";

const TABLES = {
  ticks_per_second: 100,
  step_edges: [0, 1, 2, 3, 6, 11],
  duration_edges: [1, 2, 3, 8],
  velocity_edges: [0, 4, 64, 128],
};

test("bins stand for their middle tick", () => {
  const codec = new Codec(TABLES);
  assert.deepEqual(codec.stepTicks, [0, 1, 2, 4, 8]);
  assert.deepEqual(codec.durationTicks, [1, 2, 5]);
  assert.deepEqual(codec.velocities, [1, 33, 95]);
  assert.equal(codec.size, 5 + 128 + 3 + 3);
});

test("notes are encoded by onset and pitch, their steps between rounded onsets", () => {
  const codec = new Codec(TABLES);
  const notes = [
    { start: 0.0201, pitch: 64, duration: 0.02, velocity: 100 },
    { start: 0.0199, pitch: 60, duration: 9, velocity: 3 },
    { start: 0.125, pitch: 50, duration: 0, velocity: 64 },
  ];
  // 12.5 ticks are rounded to 12, as in NumPy.
  assert.deepEqual(codec.encode(notes), [
    [2, 60, 2, 0],
    [0, 64, 1, 2],
    [4, 50, 0, 2],
  ]);
  assert.deepEqual(codec.encode(notes, 2)[0], [0, 60, 2, 0]);
});

test("tables that do not ascend are refused in a sentence", () => {
  assert.throws(() => new Codec({ ...TABLES, step_edges: [0, 2, 1] }), /export it again/);
  assert.throws(() => new Codec(undefined), /export it again/);
});

test("a key rules out other pitches", () => {
  assert.equal(KEYS.length, 24);
  assert.deepEqual(
    [...parseKey("G major")].sort((a, b) => a - b),
    [0, 2, 4, 6, 7, 9, 11],
  );
  assert.deepEqual(pitchBias({ key: "C major" }).slice(60, 63), [0, -10_000, 0]);
  assert.ok(pitchBias().every((value) => value === 0));
});
