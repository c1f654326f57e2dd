import assert from "node:assert/strict";
import { test } from "node:test";

import { Generator, HEARD_NOTES } from "../../export/web/generator.js";
import { MadePiece } from "../../export/web/made_piece.js";
import { codec, StandIn } from "./stand_in.mjs";

const SETTINGS = { style: "" };

function begin(rows = []) {
  const step = new StandIn();
  return { step, piece: new MadePiece(new Generator(step, codec), 7n, SETTINGS, rows) };
}

async function listen(piece) {
  while (piece.isListening) await piece.hear();
}

async function make(piece, notes) {
  const made = [];
  while (made.length < notes) made.push(await piece.make());
  return made;
}

const primer = (count) => Array.from({ length: count }, (_, index) => [1 + (index % 7), 40 + (index % 30), 9, 16]);

test("of a long primer, the model hears the last notes, and all of them stand in the piece", async () => {
  const rows = primer(HEARD_NOTES + 700);
  const { step, piece } = begin(rows);
  await listen(piece);
  assert.equal(step.runs, HEARD_NOTES);
  const expected = new Generator(new StandIn(), codec);
  expected.begin(7n, SETTINGS);
  const notes = [];
  for (const fields of rows) notes.push(await expected.feed(fields));
  assert.deepEqual(piece.notes(0), notes);
  assert.equal(piece.end, notes.at(-1).start);
});

test("where nothing is changed, the same notes are made again, from every note on", async () => {
  const { piece } = begin(primer(30));
  await listen(piece);
  await make(piece, 300);
  const notes = piece.notes(0);
  piece.playedTo(330);
  for (const from of [329, 200, 191, 64, 30]) {
    piece.change(from, SETTINGS);
    assert.equal(piece.count, from);
    await listen(piece);
    await make(piece, 330 - from);
    assert.deepEqual(piece.notes(0), notes);
    piece.playedTo(330);
  }
});

test("the way back is short in a long piece too", async () => {
  const { step, piece } = begin();
  await make(piece, 20_000);
  const notes = piece.notes(10_000, 10_100);
  piece.playedTo(20_000);
  step.runs = 0;
  piece.change(10_000, SETTINGS);
  await listen(piece);
  assert.ok(step.runs <= 256, `${step.runs} steps`);
  assert.deepEqual(await make(piece, 100), notes);
});

test("notes of the user may come at any place, also among those that the model has not heard", async () => {
  const { piece } = begin(primer(HEARD_NOTES + 700));
  const before = piece.notes(0, 100);
  const { start } = before.at(-1);
  piece.carryOn(100, [{ start: start + 0.5, pitch: 60, duration: 0.25, velocity: 80 }], SETTINGS);
  await listen(piece);
  assert.deepEqual(piece.notes(0, 100), before);
  const [own] = piece.notes(100);
  assert.deepEqual([own.start, own.pitch], [start + 0.5, 60]);
  assert.equal(piece.count, 101);
  assert.ok((await piece.make()).start >= own.start);
});

test("in another style, the model hears the notes that it was given again", async () => {
  const { step, piece } = begin(primer(20));
  await listen(piece);
  step.runs = 0;
  piece.change(20, SETTINGS);
  assert.ok(!piece.isListening);
  piece.change(20, { style: "Bach" });
  assert.deepEqual(piece.progress, { heard: 0, of: 20 });
});
