import assert from "node:assert/strict";
import { test } from "node:test";

import { Player } from "../../export/web/player.js";
import { Session } from "../../export/web/session.js";

const SETTINGS = {
  temperature: 1, minP: 0, key: "", range: "", speed: 9, polyphony: 4.5, loudness: 64, style: "", chords: "", chordSeconds: 2,
}; // prettier-ignore
const FILE = { name: "song.mid", id: "0123abcd", count: 5_000, targets: { speed: 7 } };

/** A session with a piece of five notes, what it has asked of the worker, and the controls' settings. */
function opened() {
  const asked = [];
  const settings = { ...SETTINGS };
  const session = new Session({
    player: new Player(() => {}),
    model: "0123456789",
    post: (kind, more) => asked.push({ kind, ...more }),
    controls: () => ({ ...settings }),
    follow: (targets) => Object.assign(settings, targets),
    liftAll: () => {},
    show: () => {},
  });
  session.modelIsReady(7n);
  session.takeMade({ request: session.request, first: 0, notes: notesFrom(0, 5) });
  return { session, asked, settings };
}

const notesFrom = (start, count) =>
  Array.from({ length: count }, (_, index) => ({ start: start + index, pitch: 60, duration: 0.5, velocity: 64 }));

function listening() {
  const all = opened();
  all.session.read(FILE.name, new ArrayBuffer(8));
  all.session.fileIsRead({ request: all.asked.at(-1).request, ...FILE });
  return all;
}

test("before there is a model, nothing can be asked of it", () => {
  const { session } = opened();
  assert.equal(session.view.enabled.play, true);
  const fresh = new Session({ player: new Player(() => {}), liftAll: () => {}, show: () => {} });
  assert.deepEqual(new Set(Object.values(fresh.view.enabled)), new Set([false]));
  fresh.begin(7n);
  fresh.press(60, 64, 0);
  assert.equal(fresh.state, "loading");
  fresh.fail();
  assert.equal(fresh.view.status, "");
});

test("a setting that is changed while the model listens keeps the opened file", () => {
  const { session, asked, settings } = listening();
  assert.equal(session.view.status, "Listening to song.mid: 0 of 4,096 notes.");
  settings.temperature = 0.5;
  session.move("temperature");
  assert.deepEqual(asked.slice(-2).map(({ kind, primer, from }) => [kind, primer ?? from]), [
    ["begin", FILE.id],
    ["change", FILE.count],
  ]);
  assert.equal(session.view.name, "0123456789/7/primer=0123abcd/temperature=0.5/speed=7/polyphony=7.9/loudness=72");
  // The slices of the file's notes are those of the request before.
  session.takeGiven({ request: session.request - 1, notes: notesFrom(0, 5_000) });
  session.takeProgress({ request: session.request, heard: 1_200, of: 4_096 });
  assert.equal(session.view.status, "Listening to song.mid: 1,200 of 4,096 notes.");
  session.takeProgress({ request: session.request, heard: 4_096, of: 4_096 });
  assert.equal(session.view.status, "song.mid: 5,000 notes read; press Play to carry on from there.");
  assert.equal(session.position(0), 4_995);
});

test("a seed chooses the speed, the polyphony and the loudness that the user does not", () => {
  const { session, settings } = opened();
  const chosen = () => [settings.speed, settings.polyphony, settings.loudness];
  assert.deepEqual(chosen(), [13.2, 7.9, 72]);
  session.begin(64n);
  assert.deepEqual(chosen(), [5.3, 7.3, 59]);
  settings.speed = 10;
  session.move("speed");
  session.begin(1n);
  assert.deepEqual(chosen(), [10, 5, 62]);
  session.read(FILE.name, new ArrayBuffer(8));
  session.fileIsRead({ request: 1, ...FILE });
  session.beginSeed(2n);
  assert.deepEqual(chosen(), [7, 5, 62]);
  // The file's speed is not the user's choice.
  session.begin(64n);
  assert.deepEqual(chosen(), [5.3, 7.3, 59]);
});

test("a named piece has its own speed, polyphony and loudness", () => {
  const { session, settings } = opened();
  const named = { ...SETTINGS, speed: 6, polyphony: null, loudness: 50 };
  session.beginNamed({ seed: 3n, primer: "", settings: named });
  assert.equal(session.view.name, "0123456789/3/speed=6/loudness=50");
  assert.deepEqual([settings.speed, settings.polyphony, settings.loudness], [13.2, 7.9, 72]);
});

test("a new piece ends the listening and the reading", () => {
  const { session, asked } = listening();
  session.begin(8n);
  assert.deepEqual([session.view.status, asked.at(-1).primer], ["Ready.", ""]);
  session.read("other.mid", new ArrayBuffer(8));
  const { request } = asked.at(-1);
  assert.equal(session.view.status, "Reading other.mid…");
  session.begin(9n);
  session.fileIsRead({ request, ...FILE });
  assert.equal(session.view.status, "Ready.");
  assert.equal(session.fileIsRefused({ request }), false);
});

test("a setting or a seed that is changed while a file is read keeps the file", () => {
  const { session, asked, settings } = opened();
  session.read(FILE.name, new ArrayBuffer(8));
  const { request } = asked.at(-1);
  settings.temperature = 0.5;
  session.move("temperature");
  session.beginSeed(8n);
  assert.equal(session.view.status, "Reading song.mid…");
  session.fileIsRead({ request, ...FILE });
  assert.equal(session.view.name, "0123456789/8/primer=0123abcd/temperature=0.5/speed=7/polyphony=7.7/loudness=68");
});

test("a file that cannot be read leaves the piece as it was", () => {
  const { session, asked } = opened();
  const { name } = session.view;
  session.read("other.mid", new ArrayBuffer(8));
  assert.ok(session.fileIsRefused({ request: asked.at(-1).request }));
  assert.deepEqual([session.view.status, session.view.name, session.playedNotes], ["Ready.", name, 5]);
});

test("from the beginning, the same notes are played again, and the user's own among them", () => {
  const { session, asked } = opened();
  session.seek(2.5);
  session.press(50, 80, 100);
  assert.equal(session.view.status, "Listening: press Carry on when you are done.");
  assert.deepEqual([session.view.enabled["carry-on"], session.view.enabled.forget], [true, true]);
  session.lift(50, 100.25);
  session.seek(0);
  const { kind, from, notes } = asked.findLast((each) => each.kind !== "playhead");
  assert.deepEqual([kind, from], ["carryOn", 3]);
  assert.deepEqual(notes, [{ start: 2.5, pitch: 50, duration: 0.25, velocity: 80 }]);
  session.takeGiven({ request: session.request, notes });
  assert.deepEqual([session.position(0), session.playedNotes], [0, 4]);
  assert.equal(session.view.name, "");
  assert.equal(session.fileName, "kerasmusic-7-changed.mid");
});

test("notes that are forgotten leave the piece as it was", () => {
  const { session, asked } = opened();
  const { name } = session.view;
  session.seek(2.5);
  const before = asked.length;
  session.press(50, 80, 100);
  session.forget();
  assert.equal(asked.length, before);
  assert.deepEqual([session.view.name, session.fileName], [name, "kerasmusic-7.mid"]);
  // A setting that was changed meanwhile counts from here.
  session.press(50, 80, 100);
  session.move("key");
  session.forget();
  assert.deepEqual([asked.at(-1).kind, asked.at(-1).from, session.view.status], ["change", 3, "Forgotten."]);
});
