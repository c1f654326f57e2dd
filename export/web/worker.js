/**
 * The worker that makes notes ahead of time, so that neither drawing nor sound ever waits.
 *
 * It is told, by messages with a `kind`:
 *   load {model}: fetch and open a model; answers ready {record, bytes}
 *   begin {piece, seed, settings, primer}: begin a piece, after the primer's notes
 *   change {piece, from, settings}: forget the notes from index `from` on and make others
 *   carryOn {piece, from, notes, settings}: likewise, after hearing notes, their onsets from the piece's beginning
 *   playhead {index, seconds}: what has been played; notes are made up to `AHEAD_SECONDS` after it
 *   verify: play and score the golden passage; answers verdict
 * It answers notes {piece, first, notes, microseconds, memory}, and problem {text} when it cannot go on. `piece`
 * numbers what the page asked for last: notes of an older one are to be thrown away.
 */

import { Codec, TICKS_PER_SECOND } from "./codec.js";
import { Generator } from "./generator.js";
import { verify } from "./golden.js";
import { openStep, startRuntime } from "./litert_step.js";
import { readRecord } from "./model_record.js";
import { Problem } from "./problem.js";

const AHEAD_SECONDS = 20;
const REST_SECONDS = 2;
// A model whose time stands still must not make notes for ever.
const AHEAD_NOTES = 2_000;
const NOTES_PER_TURN = 16;

let record;
let generator;
let working = false;
let filling = false;

// The piece being made: how many notes it has, and a snapshot after each that may yet be gone back to.
let piece = null;

const send = (kind, more = {}) => postMessage({ kind, ...more });

async function load(url) {
  startRuntime().catch(() => {});
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new Problem("The model could not be fetched; look whether the network or the server is there, then reload.");
  }
  if (!response.ok)
    throw new Problem(`The model is missing: ${url} answered ${response.status}; write the page again.`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  record = await readRecord(bytes);
  const codec = new Codec(record.codec);
  let step;
  try {
    step = await openStep(bytes, record, codec);
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem("The runtime could not be started; reload, or write the page again if that does not help.");
  }
  generator = new Generator(step, codec);
  const { golden, operators, codec: _, ...about } = record;
  send("ready", { record: about, bytes: bytes.length });
}

/** Begins a piece: hears the primer, whose notes are the piece's first. */
async function begin({ piece: name, seed, settings, primer = [] }) {
  generator.begin(seed, settings);
  piece = { name, count: 0, snapshots: new Map([[0, generator.snapshot()]]), played: 0, seconds: 0, end: 0 };
  await hear(primer);
}

async function change({ piece: name, from, settings }) {
  goBack(name, from);
  generator.change(settings);
}

async function carryOn({ piece: name, from, notes, settings }) {
  goBack(name, from);
  generator.change(settings);
  await hear(notes);
}

function goBack(name, from) {
  const snapshot = piece.snapshots.get(from);
  generator.restore(snapshot);
  piece.end = snapshot.tick / TICKS_PER_SECOND;
  for (const index of piece.snapshots.keys()) if (index > from) piece.snapshots.delete(index);
  piece.name = name;
  piece.count = from;
}

async function hear(notes) {
  const first = piece.count;
  const heard = [];
  for (const fields of generator.codec.encode(notes, generator.snapshot().tick)) {
    heard.push(await generator.hear(fields));
  }
  counted(heard);
  playhead({ index: piece.count, seconds: piece.end });
  if (heard.length) send("notes", { piece: piece.name, first, notes: heard, heard: true });
}

/** Counts notes that the piece now has, and keeps a snapshot after them. */
function counted(notes) {
  piece.count += notes.length;
  piece.end = notes.at(-1)?.start ?? piece.end;
  piece.snapshots.set(piece.count, generator.snapshot());
}

function playhead({ index, seconds }) {
  if (!piece) return;
  for (const old of piece.snapshots.keys()) if (old < index) piece.snapshots.delete(old);
  piece.played = index;
  piece.seconds = seconds;
}

/** Whether notes are to be made: from when some are wanted until there are enough, so that it can rest in between. */
function isBehind() {
  if (!piece) return false;
  const ahead = piece.end - piece.seconds;
  filling =
    piece.count - piece.played < AHEAD_NOTES && ahead < (filling ? AHEAD_SECONDS : AHEAD_SECONDS - REST_SECONDS);
  return filling;
}

/** Makes a few notes and tells of them. */
async function turn() {
  const first = piece.count;
  const notes = [];
  const times = [];
  while (notes.length < NOTES_PER_TURN && isBehind()) {
    const began = performance.now();
    const note = await generator.next();
    times.push((performance.now() - began) * 1000);
    notes.push(note);
    counted([note]);
  }
  send("notes", { piece: piece.name, first, notes, microseconds: times, memory: generator.step.memory });
}

const tasks = { begin, change, carryOn, playhead };
const queue = [];

/** Does what was asked, in its order, and makes notes while there is nothing to do. */
async function work() {
  if (working) return;
  working = true;
  try {
    while (queue.length || isBehind()) {
      if (queue.length) {
        const { kind, ...more } = queue.shift();
        if (kind === "load") await load(more.model);
        else if (kind === "verify") await verifyFile();
        else await tasks[kind](more);
      } else {
        await turn();
        // Messages are heard between turns.
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
  } catch (error) {
    send("problem", { text: error instanceof Problem ? error.message : `Something went wrong: ${error.message}.` });
  } finally {
    working = false;
  }
}

/** Verifies between two notes: the step is handed on as it was found. */
async function verifyFile() {
  const { step, codec } = generator;
  const names = ["state", "previous", "temperature", "minP", "bias"];
  const kept = names.map((name) => step[name].slice());
  send("verdict", { precision: record.precision, ...(await verify(new Generator(step, codec), record)) });
  names.forEach((name, index) => step[name].set(kept[index]));
}

addEventListener("message", ({ data }) => {
  queue.push(data);
  work();
});
