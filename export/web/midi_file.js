/**
 * Standard MIDI Files to notes and back, as `kerasmusic.midi` reads and writes them: all instruments but drums, with
 * the sustain pedal heard; written with a tick of one millisecond.
 */

import { Problem } from "./problem.js";

const DRUM_CHANNEL = 9;
const SUSTAIN = 64;
const PEDAL_DOWN = 64;
const DEFAULT_TEMPO = 500_000;
const LONGEST_SECONDS = 24 * 3600;

/**
 * The notes `{start, pitch, duration, velocity}` of a file, by onset and pitch.
 *
 * @param {Uint8Array} bytes
 * @throws {Problem} it is not a MIDI file that can be read, or has no notes
 */
export function readMidi(bytes, name = "The file") {
  let notes;
  try {
    notes = restruck(notesOf(bytes));
  } catch (error) {
    throw new Problem(`${name} is not a MIDI file that can be read (${error.message}).`);
  }
  if (!notes.length) throw new Problem(`${name} has no notes.`);
  if (notes.some((note) => note.start + note.duration > LONGEST_SECONDS)) {
    throw new Problem(`${name} lasts longer than a day.`);
  }
  return notes;
}

/** Ends each note no later than the next strike of its key; sorts by onset and pitch. */
export function restruck(notes) {
  const next = new Map();
  const sorted = [...notes].sort((one, other) => one.start - other.start || one.pitch - other.pitch);
  const ended = [];
  for (const note of sorted.reverse()) {
    // Of several notes at one onset on one key, all end by the strike after it.
    const { start = Infinity, after = Infinity } = next.get(note.pitch) ?? {};
    const end = start > note.start ? start : after;
    next.set(note.pitch, { start: note.start, after: end });
    ended.push({ ...note, duration: Math.min(note.duration, end - note.start) });
  }
  return ended.reverse();
}

function notesOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (place) => String.fromCharCode(...bytes.subarray(place, place + 4));
  if (bytes.length < 14 || text(0) !== "MThd") throw new Error("it does not begin with MThd");
  const division = view.getUint16(12);
  if (!division || division & 0x8000) throw new Error("its time is not counted in quarter notes");
  const events = [];
  let place = 8 + view.getUint32(4);
  let track = 0;
  while (place + 8 <= bytes.length) {
    const end = place + 8 + view.getUint32(place + 4);
    if (end > bytes.length) throw new Error("it is cut short");
    if (text(place) === "MTrk") {
      readTrack(bytes.subarray(place + 8, end), track, events);
      track += 1;
    }
    place = end;
  }
  if (!track) throw new Error("it holds no track");
  // A sort that keeps the order of equals: what one track says at one tick stays in its order.
  events.sort((one, other) => one.tick - other.tick);
  return notesOfEvents(events, division);
}

/** Adds a track's events, each with its `tick`. */
function readTrack(bytes, track, events) {
  let place = 0;
  let tick = 0;
  let status = 0;
  const byte = () => {
    if (place >= bytes.length) throw new Error("a track is cut short");
    return bytes[place++];
  };
  const number = () => {
    for (let value = 0, count = 0; count < 4; count += 1) {
      const next = byte();
      value = value * 128 + (next & 127);
      if (next < 128) return value;
    }
    throw new Error("a number in it does not end");
  };
  const data = () => {
    const next = byte();
    if (next > 127) throw new Error("a value in it is out of range");
    return next;
  };
  while (place < bytes.length) {
    tick += number();
    if (bytes[place] >= 0x80) status = byte();
    else if (!status) throw new Error("an event in it has no kind");
    if (status === 0xff) {
      const kind = byte();
      const length = number();
      if (place + length > bytes.length) throw new Error("a track is cut short");
      if (kind === 0x51 && length === 3) {
        events.push({ tick, tempo: (bytes[place] << 16) | (bytes[place + 1] << 8) | bytes[place + 2] });
      }
      place += length;
      if (kind === 0x2f) return;
      status = 0;
    } else if (status >= 0xf0) {
      place += number();
      status = 0;
    } else {
      const kind = status >> 4;
      const channel = status & 15;
      const first = data();
      const second = kind === 0xc || kind === 0xd ? 0 : data();
      if (channel === DRUM_CHANNEL) continue;
      const voice = `${track}/${channel}`;
      if (kind === 9 && second) events.push({ tick, voice, on: first, velocity: second });
      else if (kind === 8 || kind === 9) events.push({ tick, voice, off: first });
      else if (kind === 0xb && first === SUSTAIN) events.push({ tick, voice, pedal: second >= PEDAL_DOWN });
    }
  }
}

/** The notes of events in their order, with the pedal of each voice heard. */
function notesOfEvents(events, division) {
  const notes = [];
  const voices = new Map();
  let tick = 0;
  let seconds = 0;
  let tempo = DEFAULT_TEMPO;
  for (const event of events) {
    seconds += ((event.tick - tick) * tempo) / division / 1e6;
    tick = event.tick;
    if ("tempo" in event) {
      tempo = event.tempo;
      continue;
    }
    if (!voices.has(event.voice)) voices.set(event.voice, { held: new Map(), pedalled: [], pedal: false });
    const voice = voices.get(event.voice);
    if ("on" in event) {
      const note = { start: seconds, pitch: event.on, duration: null, velocity: event.velocity };
      notes.push(note);
      if (!voice.held.has(event.on)) voice.held.set(event.on, []);
      voice.held.get(event.on).push(note);
    } else if ("off" in event) {
      const note = voice.held.get(event.off)?.shift();
      if (note && voice.pedal) voice.pedalled.push(note);
      else if (note) note.duration = seconds - note.start;
    } else {
      voice.pedal = event.pedal;
      if (!event.pedal) for (const note of voice.pedalled.splice(0)) note.duration = seconds - note.start;
    }
  }
  // A key or a pedal that is never let go is so with the last event.
  for (const note of notes) note.duration ??= seconds - note.start;
  return notes;
}

/** The bytes of a MIDI file of one piano. */
export function writeMidi(notes) {
  const events = [];
  for (const note of restruck(notes)) {
    const on = Math.round(note.start * 1000);
    const off = Math.max(on + 1, Math.round((note.start + note.duration) * 1000));
    events.push({ tick: on, order: 1, bytes: [0x90, note.pitch, note.velocity] });
    events.push({ tick: off, order: 0, bytes: [0x80, note.pitch, 0] });
  }
  // A key is let go before it is struck again.
  events.sort((one, other) => one.tick - other.tick || one.order - other.order);
  const track = [0, 0xff, 0x51, 3, 0x07, 0xa1, 0x20, 0, 0xc0, 0];
  let tick = 0;
  for (const event of events) {
    track.push(...variableLength(event.tick - tick), ...event.bytes);
    tick = event.tick;
  }
  track.push(0, 0xff, 0x2f, 0);
  const header = [...ascii("MThd"), ...big(6, 4), ...big(0, 2), ...big(1, 2), ...big(500, 2)];
  return Uint8Array.from([...header, ...ascii("MTrk"), ...big(track.length, 4), ...track]);
}

const ascii = (text) => Array.from(text, (character) => character.charCodeAt(0));
const big = (value, bytes) => Array.from({ length: bytes }, (_, index) => (value >>> (8 * (bytes - 1 - index))) & 255);

function variableLength(value) {
  const bytes = [value & 127];
  for (let rest = value >>> 7; rest; rest >>>= 7) bytes.unshift((rest & 127) | 128);
  return bytes;
}
