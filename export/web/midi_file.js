/**
 * Reads and writes Standard MIDI Files as `kerasmusic.midi` does: melodic instruments are merged, events act in their
 * channels, the sustain pedal is applied, and files are written with ticks of one millisecond.
 */

import { kindOf } from "./file_kind.js";
import { Problem } from "./problem.js";

const DRUM_CHANNEL = 9;
const SUSTAIN = 64;
const PEDAL_DOWN = 64;
const ALL_SOUND_OFF = 120;
const RESET_CONTROLLERS = 121;
const ALL_NOTES_OFF = 123;
const DEFAULT_TEMPO = 500_000;
const MAX_SECONDS = 24 * 3600;
const SYSTEM_DATA_BYTES = { 0xf1: 1, 0xf2: 2, 0xf3: 1 };

/**
 * The notes `{start, pitch, duration, velocity}` of a file, sorted by onset and pitch.
 *
 * @param {Uint8Array} bytes
 * @throws {Problem} the file cannot be read or has no notes
 */
export function readMidi(bytes, name = "The file") {
  let notes;
  try {
    notes = withoutOverlaps(parseNotes(standardFile(bytes, name)));
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(`${name} is not a MIDI file that can be read (${error.message}).`);
  }
  if (!notes.length) throw new Problem(`${name} has no notes.`);
  if (notes.some((note) => note.start + note.duration > MAX_SECONDS)) {
    throw new Problem(`${name} lasts longer than a day.`);
  }
  return notes;
}

/**
 * Ends each note at the next onset of its pitch at the latest, merges notes of one pitch and onset with the highest
 * velocity and the longest duration, and sorts by onset and pitch.
 */
export function withoutOverlaps(notes) {
  const sorted = [...notes].sort((one, other) => one.start - other.start || one.pitch - other.pitch);
  const strikes = [];
  for (const note of sorted) {
    const last = strikes.at(-1);
    if (last && last.start === note.start && last.pitch === note.pitch) {
      last.duration = Math.max(last.duration, note.duration);
      last.velocity = Math.max(last.velocity, note.velocity);
    } else {
      strikes.push({ ...note });
    }
  }
  const next = new Map();
  for (const note of [...strikes].reverse()) {
    const following = next.get(note.pitch) ?? Infinity;
    if (note.start + note.duration > following) note.duration = following - note.start;
    next.set(note.pitch, note.start);
  }
  return strikes;
}

const text = (bytes, offset) => String.fromCharCode(...bytes.subarray(offset, offset + 4));
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The Standard MIDI File in a file, which may be a RIFF container. */
function standardFile(bytes, name) {
  const inner = unwrap(bytes);
  if (text(inner, 0) !== "MThd") throw new Problem(`${name} is not a MIDI file but ${kindOf(inner)}.`);
  return inner;
}

/** The Standard MIDI File in a RIFF container; other bytes are returned unchanged. */
function unwrap(bytes) {
  if (text(bytes, 0) !== "RIFF" || text(bytes, 8) !== "RMID") return bytes;
  const view = viewOf(bytes);
  for (let offset = 12; offset + 8 <= bytes.length; ) {
    const length = view.getUint32(offset + 4, true);
    if (text(bytes, offset) === "data") return bytes.subarray(offset + 8, offset + 8 + length);
    offset += 8 + length + (length % 2);
  }
  throw new Error("its container holds no MIDI");
}

function parseNotes(bytes) {
  const view = viewOf(bytes);
  if (bytes.length < 14) throw new Error("it is cut short in its header");
  if (view.getUint32(4) < 6) throw new Error("its header is too short");
  const clock = parseDivision(view.getInt16(12));
  const tracks = [];
  let offset = 8 + view.getUint32(4);
  while (offset < bytes.length) {
    const isTrack = "MTrk".startsWith(text(bytes, offset));
    const end = offset + 8 + (offset + 8 <= bytes.length ? view.getUint32(offset + 4) : 0);
    if (isTrack && end > bytes.length) throw new Error("it is cut short");
    if (isTrack) tracks.push(readTrack(bytes.subarray(offset + 8, end), tracks.length));
    offset = end;
  }
  if (!tracks.length) throw new Error("it holds no track");
  if (view.getUint16(8) !== 2) return notesFromEvents(tracks.flat(), clock).notes;
  // The tracks of format 2 are separate pieces, one after another.
  let begin = 0;
  return tracks.flatMap((track) => {
    const { notes, seconds } = notesFromEvents(track, clock);
    const later = notes.map((note) => ({ ...note, start: note.start + begin }));
    begin += seconds;
    return later;
  });
}

/** Ticks per quarter note; for SMPTE time, ticks per second with a fixed tempo of one second. */
function parseDivision(division) {
  if (division > 0) return { division, tempo: DEFAULT_TEMPO, fixed: false };
  const frames = -(division >> 8);
  const ticks = division & 0xff;
  if (![24, 25, 29, 30].includes(frames) || !ticks) throw new Error("its division is invalid");
  return { division: (frames === 29 ? 30_000 / 1_001 : frames) * ticks, tempo: 1_000_000, fixed: true };
}

/** The events of a track, each with its `tick` and `track`; the last is the track's end. */
function readTrack(bytes, track) {
  const events = [];
  let offset = 0;
  let tick = 0;
  let running = 0;
  const byte = () => {
    if (offset >= bytes.length) throw new Error("a track is cut short");
    return bytes[offset++];
  };
  const number = () => {
    for (let value = 0, count = 0; count < 4; count += 1) {
      const next = byte();
      value = value * 128 + (next & 127);
      if (next < 128) return value;
    }
    throw new Error("a number in it does not end");
  };
  const skip = (length) => {
    offset += length;
    if (offset > bytes.length) throw new Error("a track is cut short");
  };
  const data = () => {
    const next = byte();
    if (next > 127) throw new Error("a value in it is out of range");
    return next;
  };
  while (offset < bytes.length) {
    tick += number();
    const status = offset < bytes.length && bytes[offset] < 0x80 ? running : byte();
    if (!status) throw new Error("an event in it has no kind");
    if (status === 0xff) {
      const kind = byte();
      const length = number();
      const content = offset;
      skip(length);
      if (kind === 0x51 && length === 3) {
        events.push({ tick, track, tempo: (bytes[content] << 16) | (bytes[content + 1] << 8) | bytes[content + 2] });
      }
      if (kind === 0x2f) break;
    } else if (status === 0xf0 || status === 0xf7) {
      skip(number());
    } else if (status > 0xf0) {
      skip(SYSTEM_DATA_BYTES[status] ?? 0);
    } else {
      // Running status continues across meta events and System Exclusive messages, against the standard, as some files
      // need it.
      running = status;
      const kind = status >> 4;
      const channel = status & 15;
      const first = data();
      const second = kind === 0xc || kind === 0xd ? 0 : data();
      if (kind === 9 && second) events.push({ tick, track, channel, on: first, velocity: second });
      else if (kind === 8 || kind === 9) events.push({ tick, track, channel, off: first });
      else if (kind === 0xb) events.push({ tick, track, channel, controller: first, value: second });
    }
  }
  events.push({ tick, track, end: true });
  return events;
}

/** The notes of events, and the time in seconds at which the last track ends. */
function notesFromEvents(events, clock) {
  // The sort is stable: events of one tick stay in the order of their tracks and of the file.
  const sorted = [...events].sort((one, other) => one.tick - other.tick);
  let tick = 0;
  let seconds = 0;
  let { tempo } = clock;
  for (const event of sorted) {
    seconds += ((event.tick - tick) * tempo) / clock.division / 1e6;
    tick = event.tick;
    event.seconds = seconds;
    if (event.tempo && !clock.fixed) tempo = event.tempo;
  }
  // Unreleased keys are released at the end of their track. This needs a second pass, for the pedal may hold them then.
  const unreleased = new Set(strikesOf(sorted, new Set()).flatMap((strike, index) => (strike.released ? [] : [index])));
  const notes = strikesOf(sorted, unreleased)
    .filter((strike) => strike.channel !== DRUM_CHANNEL)
    .map(({ start, pitch, velocity, silent }) => ({ start, pitch, duration: silent - start, velocity }));
  return { notes, seconds };
}

/** The strikes of keys in playing order, each with `start` and the time `silent` at which its note ends. */
function strikesOf(events, releasedAtEnds) {
  const strikes = [];
  // For each channel, the strikes of keys that are down, and of notes that the pedal holds.
  const channels = Array.from({ length: 16 }, () => ({ held: new Map(), sustained: new Map(), pedal: false, last: 0 }));
  const release = (strike, seconds) => {
    const channel = channels[strike.channel];
    strike.released = true;
    channel.held.delete(strike.pitch);
    channel.last = seconds;
    if (channel.pedal) channel.sustained.set(strike.pitch, strike);
    else strike.silent = seconds;
  };
  const silence = (channel, seconds) => {
    for (const strike of channel.sustained.values()) strike.silent = seconds;
    channel.sustained.clear();
  };
  for (const event of events) {
    const { seconds, track } = event;
    if (event.end) {
      for (const index of releasedAtEnds) if (strikes[index]?.track === track) release(strikes[index], seconds);
    }
    if (event.channel === undefined) continue;
    const channel = channels[event.channel];
    if ("on" in event) {
      const pitch = event.on;
      if (channel.held.has(pitch)) release(channel.held.get(pitch), seconds);
      if (channel.sustained.has(pitch)) channel.sustained.get(pitch).silent = seconds;
      channel.sustained.delete(pitch);
      const strike = { start: seconds, pitch, velocity: event.velocity, channel: event.channel, track };
      strikes.push(strike);
      channel.held.set(pitch, strike);
    } else if ("off" in event) {
      if (channel.held.has(event.off)) release(channel.held.get(event.off), seconds);
    } else if (event.controller === SUSTAIN && event.value >= PEDAL_DOWN) {
      channel.pedal = true;
    } else if (event.controller === SUSTAIN || event.controller === RESET_CONTROLLERS) {
      channel.pedal = false;
      silence(channel, seconds);
    } else if (event.controller === ALL_SOUND_OFF || event.controller >= ALL_NOTES_OFF) {
      for (const strike of [...channel.held.values()]) release(strike, seconds);
      if (event.controller === ALL_SOUND_OFF) silence(channel, seconds);
    }
  }
  // A pedal that never lifts is lifted at the last release.
  for (const channel of channels) silence(channel, channel.last);
  return strikes;
}

/** The bytes of a MIDI file with one piano. */
export function writeMidi(notes) {
  const events = [];
  // In ticks, so that strikes rounded to the same tick are merged.
  const inTicks = notes.map(({ start, pitch, duration, velocity }) => {
    const on = Math.round(start * 1000);
    return { start: on, pitch, duration: Math.max(1, Math.round((start + duration) * 1000) - on), velocity };
  });
  for (const note of withoutOverlaps(inTicks)) {
    events.push({ tick: note.start, order: 1, bytes: [0x90, note.pitch, note.velocity] });
    events.push({ tick: note.start + note.duration, order: 0, bytes: [0x80, note.pitch, 0] });
  }
  // A key is released before it is struck again.
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
