/**
 * The worker that makes notes ahead of time, so that neither drawing nor sound has to wait.
 *
 * It receives messages with a `kind`:
 *   load {model}: fetch and open a model; replies ready {record, bytes}
 *   read {request, name, bytes}: read a MIDI file and keep it; replies file {request, name, id, count, targets}, or
 *     refused {request, text}
 *   begin {request, seed, settings, primer}: begin a piece, with the notes of the file of which `primer` is the id, if any
 *   change {request, from, settings}: replace the notes from index `from` on
 *   carryOn {request, from, notes, settings}: likewise, but by the given notes first; their onsets are absolute
 *   playhead {index, seconds}: the position of playing; notes are made up to `AHEAD_SECONDS` beyond it
 *   write {name, count}: replies written {name, count, bytes}, a MIDI file of the piece's first notes
 *   verify: play and score the golden passage; replies verdict
 * It sends given {request, notes}, slices of the notes that the request has added, and progress {request, heard, of} while
 * the model hears notes; then notes {request, first, notes, microseconds, memory}, and problem {text} when it cannot
 * continue. `request` is the number that the page gave its last begin, change or carryOn: it discards notes of an older one.
 */

import { targetsOf } from "./balance.js";
import { Codec } from "./codec.js";
import { Generator } from "./generator.js";
import { verify } from "./golden.js";
import { openStep, startRuntime } from "./litert_step.js";
import { MadePiece } from "./made_piece.js";
import { readMidi, writeMidi } from "./midi_file.js";
import { readRecord } from "./model_record.js";
import { primerId } from "./piece.js";
import { Problem } from "./problem.js";

const AHEAD_SECONDS = 20;
const REST_SECONDS = 2;
// Bounds the number of notes if a model's steps are all zero.
const AHEAD_NOTES = 2_000;
const NOTES_PER_TURN = 16;
// Few enough that the page takes them up between two frames.
const NOTES_PER_SLICE = 2_000;
// How long messages wait while the model listens, and how often the page is told how far it is.
const SLICE_MILLISECONDS = 50;
const PROGRESS_MILLISECONDS = 250;

let record;
let generator;
let working = false;
let filling = false;
// The fields of the notes of files, by their ids: of the one that was read last, and of the one that the piece continues.
const files = new Map();
let lastRead = "";

// The current piece, the number of the page's last request, and where the page plays.
let piece = null;
let current = 0;
let playing = { index: 0, seconds: 0 };
// The notes that the page has not been sent yet, and the number of the request that gave them.
let unsent = { request: 0, from: 0, to: 0 };
let told = 0;

const send = (kind, more = {}) => postMessage({ kind, ...more });

async function load({ model: url }) {
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

function read({ request, name, bytes }) {
  let notes;
  try {
    notes = readMidi(new Uint8Array(bytes), name);
  } catch (error) {
    send("refused", { request, text: textOf(error) });
    return;
  }
  const first = notes[0].start;
  for (const note of notes) note.start -= first;
  const rows = generator.codec.encode(notes);
  lastRead = primerId(rows);
  files.set(lastRead, rows);
  send("file", { request, name, id: lastRead, count: rows.length, targets: targetsOf(notes) });
}

function begin({ request, seed, settings, primer = "" }) {
  current = request;
  for (const id of files.keys()) if (id !== primer && id !== lastRead) files.delete(id);
  piece = new MadePiece(generator, seed, settings, files.get(primer));
  give(request, 0);
}

function change({ request, from, settings }) {
  current = request;
  piece.change(from, settings);
}

function carryOn({ request, from, notes, settings }) {
  current = request;
  piece.carryOn(from, notes, settings);
  give(request, from);
}

function give(request, from) {
  unsent = { request, from, to: piece.count };
  playhead({ index: piece.count, seconds: piece.end });
}

function sendGiven() {
  const { request, from, to } = unsent;
  unsent.from = Math.min(from + NOTES_PER_SLICE, to);
  send("given", { request, notes: piece.notes(from, unsent.from) });
}

/** Lets the model hear a few notes, and tells how far it is. */
async function listen() {
  const began = performance.now();
  while (piece.isListening && performance.now() - began < SLICE_MILLISECONDS) await piece.hear();
  if (piece.isListening && performance.now() - told < PROGRESS_MILLISECONDS) return;
  told = performance.now();
  send("progress", { request: current, ...piece.progress });
}

function playhead({ index, seconds }) {
  playing = { index, seconds };
  piece?.playedTo(index);
}

function write({ name, count }) {
  const notes = piece.notes(0, count);
  send("written", { name, count: notes.length, bytes: writeMidi(notes) });
}

/** Whether more notes are needed. Hysteresis lets the worker rest between bursts. */
function isBehind() {
  const ahead = piece.end - playing.seconds;
  filling =
    piece.count - playing.index < AHEAD_NOTES && ahead < (filling ? AHEAD_SECONDS : AHEAD_SECONDS - REST_SECONDS);
  return filling;
}

/** Makes a few notes and sends them. */
async function make() {
  const first = piece.count;
  const notes = [];
  const times = [];
  while (notes.length < NOTES_PER_TURN && isBehind()) {
    const began = performance.now();
    notes.push(await piece.make());
    times.push((performance.now() - began) * 1000);
  }
  send("notes", { request: current, first, notes, microseconds: times, memory: generator.step.memory });
}

/** What is to be done next for the piece. */
function nextTurn() {
  if (!piece) return null;
  if (unsent.from < unsent.to) return sendGiven;
  if (piece.isListening) return listen;
  return isBehind() ? make : null;
}

const tasks = { load, read, begin, change, carryOn, playhead, write, verify: verifyFile };
const queue = [];

const textOf = (error) => (error instanceof Problem ? error.message : `Something went wrong: ${error.message}.`);

/** Handles messages in order, and sends, hears and makes notes in between. */
async function work() {
  if (working) return;
  working = true;
  try {
    for (let turn = null; queue.length || (turn = nextTurn()); ) {
      if (queue.length) {
        const { kind, ...more } = queue.shift();
        await tasks[kind](more);
      } else {
        await turn();
        // Lets messages arrive between turns.
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
  } catch (error) {
    send("problem", { text: textOf(error) });
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
