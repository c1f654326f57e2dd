/**
 * The worker that makes notes ahead of time, so that neither drawing nor sound has to wait.
 *
 * It receives messages with a `kind`:
 *   load {model}: fetch and open a model; replies ready {record, bytes}
 *   begin {piece, seed, settings, primer}: begin a piece with the primer's notes
 *   change {piece, from, settings}: replace the notes from index `from` on
 *   carryOn {piece, from, notes, settings}: likewise, but feed the given notes first; their onsets are absolute
 *   playhead {index, seconds}: the position of playing; notes are made up to `AHEAD_SECONDS` beyond it
 *   verify: play and score the golden passage; replies verdict
 * It sends notes {piece, first, notes, microseconds, memory}, for notes that it was given with fed and, where they are a
 * primer, its name as `primer`, and problem {text} when it cannot continue. `piece` is
 * the number of the page's last request: the page discards notes of an older one.
 */

import { Codec, TICKS_PER_SECOND } from "./codec.js";
import { Generator } from "./generator.js";
import { verify } from "./golden.js";
import { openStep, startRuntime } from "./litert_step.js";
import { readRecord } from "./model_record.js";
import { primerId } from "./piece.js";
import { Problem } from "./problem.js";

const AHEAD_SECONDS = 20;
const REST_SECONDS = 2;
// Bounds the number of notes if a model's steps are all zero.
const AHEAD_NOTES = 2_000;
const NOTES_PER_TURN = 16;

let record;
let generator;
let working = false;
let filling = false;

// The current piece, with its number of notes, and snapshots after those notes that may still be replaced.
let piece = null;

const send = (kind, more = {}) => postMessage({ kind, ...more });

async function load(url) {
  startRuntime().catch(() => {});
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new Problem("The model could not be fetched; check the network and the server, then reload.");
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
  generator = new Generator(step, codec, record);
  const { golden, operators, codec: _, ...about } = record;
  send("ready", { record: about, bytes: bytes.length });
}

/** Begins a piece with the notes of the primer. */
async function begin({ piece: name, seed, settings, primer = [] }) {
  generator.begin(seed, settings);
  piece = { name, count: 0, snapshots: new Map([[0, generator.snapshot()]]), played: 0, seconds: 0, end: 0 };
  await feed(primer, { isPrimer: true });
}

async function change({ piece: name, from, settings }) {
  goBack(name, from);
  generator.change(settings);
}

async function carryOn({ piece: name, from, notes, settings }) {
  goBack(name, from);
  generator.change(settings);
  await feed(notes);
}

function goBack(name, from) {
  const snapshot = piece.snapshots.get(from);
  generator.restore(snapshot);
  piece.end = snapshot.tick / TICKS_PER_SECOND;
  for (const index of piece.snapshots.keys()) if (index > from) piece.snapshots.delete(index);
  piece.name = name;
  piece.count = from;
}

async function feed(notes, { isPrimer = false } = {}) {
  const first = piece.count;
  const fed = [];
  const rows = generator.codec.encode(notes, generator.snapshot().tick);
  for (const fields of rows) fed.push(await generator.feed(fields));
  addToPiece(fed);
  playhead({ index: piece.count, seconds: piece.end });
  if (fed.length) send("notes", { piece: piece.name, first, notes: fed, fed: true, primer: isPrimer ? primerId(rows) : "" });
}

/** Adds notes to the piece's count, and keeps a snapshot after them. */
function addToPiece(notes) {
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

/** Whether more notes are needed. Hysteresis lets the worker rest between bursts. */
function isBehind() {
  if (!piece) return false;
  const ahead = piece.end - piece.seconds;
  filling =
    piece.count - piece.played < AHEAD_NOTES && ahead < (filling ? AHEAD_SECONDS : AHEAD_SECONDS - REST_SECONDS);
  return filling;
}

/** Makes a few notes and sends them. */
async function turn() {
  const first = piece.count;
  const notes = [];
  const times = [];
  while (notes.length < NOTES_PER_TURN && isBehind()) {
    const began = performance.now();
    const note = await generator.next();
    times.push((performance.now() - began) * 1000);
    notes.push(note);
    addToPiece([note]);
  }
  send("notes", { piece: piece.name, first, notes, microseconds: times, memory: generator.step.memory });
}

const tasks = { begin, change, carryOn, playhead };
const queue = [];

/** Handles messages in order, and makes notes in between. */
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
        // Lets messages arrive between turns.
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
  } catch (error) {
    send("problem", { text: error instanceof Problem ? error.message : `Something went wrong: ${error.message}.` });
  } finally {
    working = false;
  }
}

/** Verifies the file between two notes, and restores the step afterwards. */
async function verifyFile() {
  const { step, codec } = generator;
  const names = ["state", "previous", "temperature", "minP", "bias", ...(step.style ? ["style"] : [])];
  const kept = names.map((name) => step[name].slice());
  send("verdict", { precision: record.precision, ...(await verify(new Generator(step, codec, record), record)) });
  names.forEach((name, index) => step[name].set(kept[index]));
}

addEventListener("message", ({ data }) => {
  queue.push(data);
  work();
});
