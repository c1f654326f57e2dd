import assert from "node:assert/strict";
import { test } from "node:test";

import { Generator } from "../../export/web/generator.js";
import { verify } from "../../export/web/golden.js";
import { codec, StandIn, take } from "./stand_in.mjs";

test("a seed names a piece, and another seed another", async () => {
  const generator = new Generator(new StandIn(), codec);
  const pieces = [];
  for (const seed of [7n, 7n, 8n]) {
    generator.begin(seed);
    pieces.push(await take(generator, 50));
  }
  assert.deepEqual(pieces[0], pieces[1]);
  assert.notDeepEqual(pieces[0], pieces[2]);
});

test("restoring a snapshot makes the same notes again", async () => {
  const generator = new Generator(new StandIn(), codec);
  generator.begin(7n);
  await take(generator, 11);
  const snapshot = generator.snapshot();
  const first = await take(generator, 20);
  generator.restore(snapshot);
  assert.deepEqual(await take(generator, 20), first);
});

test("a note that is fed uses no random numbers, and advances the time", async () => {
  const generator = new Generator(new StandIn(), codec);
  generator.begin(7n);
  assert.deepEqual(await generator.feed([50, 60, 9, 16]), { start: 0.5, pitch: 60, duration: 0.1, velocity: 65 });
  assert.equal(generator.snapshot().drawn, 0);
  assert.ok((await generator.next()).start >= 0.5);
});

test("a passage is verified, and the first note that differs is named", async () => {
  const step = new StandIn();
  const generator = new Generator(step, codec);
  const record = { precision: "float32", golden: { notes: [[0, 0, 0, 0]], log_prob: [[0, 0, 0, 0]] } };
  // Builds the passage that the stand-in plays, by correcting the first note that differs until none does.
  const differs = async () => (await verify(generator, record)).differsFrom;
  for (let first = await differs(); first; first = await differs()) {
    record.golden.notes[first - 1] = [...step.note];
    record.golden.log_prob = record.golden.notes.map((fields) => fields.map((value) => Math.fround(-value / 100)));
    if (record.golden.notes.length < 20)
      (record.golden.notes.push([0, 0, 0, 0]), record.golden.log_prob.push([0, 0, 0, 0]));
  }
  assert.deepEqual(await verify(generator, record), {
    holds: true,
    exact: false,
    notes: 20,
    differsFrom: null,
    group: 1,
    difference: 0,
    tolerance: 1e-3,
  });
  record.golden.notes[12] = [15, 1, 1, 1];
  record.golden.log_prob[12] = [-0.15, -0.01, -0.01, -0.01];
  const { holds, differsFrom } = await verify(generator, record);
  assert.deepEqual([holds, differsFrom], [false, 13]);
  assert.ok((await verify(generator, { ...record, precision: "int8" })).holds);
  const settings = { seed: 7, temperature: 1, min_p: 0.1, density: 0, key: null };
  assert.equal((await verify(generator, { ...record, golden: { ...record.golden, settings } })).differsFrom, 1);
  assert.deepEqual([...step.minP], [...new Float32Array(4).fill(0.1)]);
  record.golden.log_prob[3][1] -= 0.01;
  assert.ok((await verify(generator, record)).difference > 1e-3);
  await assert.rejects(verify(generator, {}), /no golden passage/);
});
