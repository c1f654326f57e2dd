import assert from "node:assert/strict";
import { test } from "node:test";

import { readMidi, withoutOverlaps, writeMidi } from "../../export/web/midi_file.js";

const note = (start, pitch, duration, velocity = 80) => ({ start, pitch, duration, velocity });

/** A file of one track with a division of 500, whose quarter note lasts half a second. */
function file(...events) {
  const bytes = [...events.flat(), 0, 0xff, 0x2f, 0];
  const header = [0x4d, 0x54, 0x68, 0x64, 0, 0, 0, 6, 0, 0, 0, 1, 1, 0xf4];
  return Uint8Array.from([...header, 0x4d, 0x54, 0x72, 0x6b, 0, 0, 0, bytes.length, ...bytes]);
}

test("what is written is read again, note for note", () => {
  const notes = [note(0, 60, 0.5), note(0, 64, 2.25, 1), note(0.25, 67, 0.125, 127), note(40, 60, 1)];
  assert.deepEqual(readMidi(writeMidi(notes)), notes);
});

test("a key that is struck again ends its first note", () => {
  assert.deepEqual(withoutOverlaps([note(0, 60, 3), note(1, 60, 1)]), [note(0, 60, 1), note(1, 60, 1)]);
  assert.deepEqual(readMidi(writeMidi([note(0, 60, 3), note(1, 60, 1)])), [note(0, 60, 1), note(1, 60, 1)]);
});

test("the pedal holds notes until it lifts, running status and tempo are read, drums are skipped", () => {
  const bytes = file(
    [0, 0xff, 0x51, 3, 0x0f, 0x42, 0x40],
    [0, 0xb0, 64, 127],
    [0, 0x90, 60, 80],
    [100, 60, 0],
    [0, 0x99, 40, 80],
    [100, 0xb0, 64, 0],
  );
  assert.deepEqual(readMidi(bytes), [note(0, 60, 0.4)]);
});

test("a key struck twice and released once is two strikes, and the release ends the second", () => {
  const struck = [[0, 0x90, 60, 80], [100, 0x90, 60, 90]];
  assert.deepEqual(readMidi(file(...struck, [100, 0x80, 60, 0])), [note(0, 60, 0.1), note(0.1, 60, 0.1, 90)]);
  assert.deepEqual(readMidi(file(...struck)), [note(0, 60, 0.1), note(0.1, 60, 0, 90)]);
});

test("simultaneous strikes of a key become one, with the highest velocity and the longest duration", () => {
  assert.deepEqual(withoutOverlaps([note(0, 60, 3, 40), note(0, 60, 1, 90)]), [note(0, 60, 3, 90)]);
  assert.deepEqual(readMidi(writeMidi([note(0, 60, 3, 40), note(0.0002, 60, 1, 90)])), [note(0, 60, 3, 90)]);
});

test("broken files are refused in a sentence with their name", () => {
  const bytes = writeMidi([note(0, 60, 0.5)]);
  assert.throws(
    () => readMidi(bytes.subarray(0, 30), "x.mid"),
    /^Error: x\.mid is not a MIDI file that can be read \(.+\)\.$/,
  );
  assert.throws(() => readMidi(new TextEncoder().encode("no music at all"), "x.mid"), /not a MIDI file but a text/);
  assert.throws(() => readMidi(new Uint8Array(), "x.mid"), /x\.mid is not a MIDI file but an empty file/);
  assert.throws(() => readMidi(file(), "x.mid"), /x\.mid has no notes/);
  for (let length = 0; length < bytes.length; length += 1) assert.throws(() => readMidi(bytes.subarray(0, length)));
});
