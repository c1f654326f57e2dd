/**
 * Standard MIDI Files to notes and back, with the meaning that `kerasmusic.midi` gives them: all instruments but drums,
 * played event by event in their channels, with the sustain pedal; written with a tick of one millisecond.
 */

import { Problem } from "./problem.js";

const DRUM_CHANNEL = 9;
const SUSTAIN = 64;
const PEDAL_DOWN = 64;
const ALL_SOUND_OFF = 120;
const RESET_CONTROLLERS = 121;
const ALL_NOTES_OFF = 123;
const DEFAULT_TEMPO = 500_000;
const LONGEST_SECONDS = 24 * 3600;
const SYSTEM_DATA_BYTES = { 0xf1: 1, 0xf2: 2, 0xf3: 1 };

/**
 * The notes `{start, pitch, duration, velocity}` of a file, by onset and pitch.
 *
 * @param {Uint8Array} bytes
 * @throws {Problem} it is not a MIDI file that can be read, or has no notes
 */
export function readMidi(bytes, name = "The file") {
  let notes;
  try {
    notes = withoutOverlaps(notesOf(unwrapped(bytes)));
  } catch (error) {
    throw new Problem(`${name} is not a MIDI file that can be read (${error.message}).`);
  }
  if (!notes.length) throw new Problem(`${name} has no notes.`);
  if (notes.some((note) => note.start + note.duration > LONGEST_SECONDS)) {
    throw new Problem(`${name} lasts longer than a day.`);
  }
  return notes;
}

/**
 * Ends each note no later than the next strike of its key, and strikes a key once at a time, with the highest velocity
 * and the longest duration; sorts by onset and pitch.
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

const text = (bytes, place) => String.fromCharCode(...bytes.subarray(place, place + 4));
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The Standard MIDI File in a RIFF container, or what is there where it is in none. */
function unwrapped(bytes) {
  if (text(bytes, 0) !== "RIFF" || text(bytes, 8) !== "RMID") return bytes;
  const view = viewOf(bytes);
  for (let place = 12; place + 8 <= bytes.length; ) {
    const length = view.getUint32(place + 4, true);
    if (text(bytes, place) === "data") return bytes.subarray(place + 8, place + 8 + length);
    place += 8 + length + (length % 2);
  }
  throw new Error("its container holds no MIDI");
}

function notesOf(bytes) {
  const view = viewOf(bytes);
  if (bytes.length < 14 || text(bytes, 0) !== "MThd") throw new Error("it does not begin with MThd");
  if (view.getUint32(4) < 6) throw new Error("its header is too short");
  const clock = clockOf(view.getInt16(12));
  const tracks = [];
  let place = 8 + view.getUint32(4);
  while (place < bytes.length) {
    const isTrack = "MTrk".startsWith(text(bytes, place));
    const end = place + 8 + (place + 8 <= bytes.length ? view.getUint32(place + 4) : 0);
    if (isTrack && end > bytes.length) throw new Error("it is cut short");
    if (isTrack) tracks.push(readTrack(bytes.subarray(place + 8, end), tracks.length));
    place = end;
  }
  if (!tracks.length) throw new Error("it holds no track");
  if (view.getUint16(8) !== 2) return notesOfEvents(tracks.flat(), clock).notes;
  // The tracks of format 2 are pieces of their own, one after another.
  let begin = 0;
  return tracks.flatMap((track) => {
    const { notes, seconds } = notesOfEvents(track, clock);
    const later = notes.map((note) => ({ ...note, start: note.start + begin }));
    begin += seconds;
    return later;
  });
}

/** Ticks a quarter note; of SMPTE frames ticks per second, and a tempo of a second that nothing changes. */
function clockOf(division) {
  if (division > 0) return { division, tempo: DEFAULT_TEMPO, fixed: false };
  const frames = -(division >> 8);
  const ticks = division & 0xff;
  if (![24, 25, 29, 30].includes(frames) || !ticks) throw new Error("its time cannot be told");
  return { division: (frames === 29 ? 30_000 / 1_001 : frames) * ticks, tempo: 1_000_000, fixed: true };
}

/** A track's events, each with its `tick` and `track`; the last is its end. */
function readTrack(bytes, track) {
  const events = [];
  let place = 0;
  let tick = 0;
  let running = 0;
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
  const skip = (length) => {
    place += length;
    if (place > bytes.length) throw new Error("a track is cut short");
  };
  const data = () => {
    const next = byte();
    if (next > 127) throw new Error("a value in it is out of range");
    return next;
  };
  while (place < bytes.length) {
    tick += number();
    const status = place < bytes.length && bytes[place] < 0x80 ? running : byte();
    if (!status) throw new Error("an event in it has no kind");
    if (status === 0xff) {
      const kind = byte();
      const length = number();
      const content = place;
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
      // It holds for messages without a status, whatever is between; the standard would end it there.
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

/** The notes of tracks' events, and when the last track ends. */
function notesOfEvents(events, clock) {
  // A sort that keeps the order of equals: of one tick, the first track's come first, in the order of the file.
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
  // What nothing releases is released where its track ends, and only then is it known what the pedal does with it.
  const left = new Set(played(sorted, new Set()).flatMap((strike, index) => (strike.released ? [] : [index])));
  const notes = played(sorted, left)
    .filter((strike) => strike.channel !== DRUM_CHANNEL)
    .map(({ start, pitch, velocity, silent }) => ({ start, pitch, duration: silent - start, velocity }));
  return { notes, seconds };
}

/** The strikes of events in their order, each with its `start` and when it falls `silent`. */
function played(events, releasedAtEnds) {
  const strikes = [];
  // By channel: the strikes of keys that are down, and of those that the pedal holds.
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
  // A pedal that never lifts does so with the last release.
  for (const channel of channels) silence(channel, channel.last);
  return strikes;
}

/** The bytes of a MIDI file of one piano. */
export function writeMidi(notes) {
  const events = [];
  // In ticks, so that strikes that fall on one tick count as at once.
  const inTicks = notes.map(({ start, pitch, duration, velocity }) => {
    const on = Math.round(start * 1000);
    return { start: on, pitch, duration: Math.max(1, Math.round((start + duration) * 1000) - on), velocity };
  });
  for (const note of withoutOverlaps(inTicks)) {
    events.push({ tick: note.start, order: 1, bytes: [0x90, note.pitch, note.velocity] });
    events.push({ tick: note.start + note.duration, order: 0, bytes: [0x80, note.pitch, 0] });
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
