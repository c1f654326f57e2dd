/** The page's controls and messages. */

import { LOUDNESS, POLYPHONY, SPEED } from "./balance.js";
import { CHORD_SECONDS, ChordTrack } from "./chords.js";
import { KEYS } from "./controls.js";
import { MIN_P } from "./generator.js";
import { Keys, pitchName } from "./keys.js";
import { MidiOutput } from "./midi_output.js";
import { parsePiece } from "./piece.js";
import { Player } from "./player.js";
import { Problem } from "./problem.js";
import { Roll } from "./roll.js";
import { Session } from "./session.js";
import { Sound } from "./sound.js";

const MODEL = "model.tflite";
// The buttons of the chords: those of C major and A minor, and none.
const CHORD_BUTTONS = ["C", "Dm", "Em", "F", "G", "Am", "E7", ""];
// The initial targets of a piece.
const USUAL = { speed: SPEED, loudness: LOUDNESS, polyphony: POLYPHONY };
const TARGETS = Object.keys(USUAL);
const MODEL_ID = document.querySelector('meta[name="kerasmusic-model"]').content;
const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];
const MAX_SEED = 2n ** 64n - 1n;
const FIGURES_MILLISECONDS = 250;
const TIMES_KEPT = 512;
// The slowest tenth is left out, since it shows other work of the processor.
const TIMES_SHOWN = 0.9;

const element = (id) => document.getElementById(id);
const count = (number, name) => `${number.toLocaleString("en")} ${name}${number === 1 ? "" : "s"}`;

const worker = { post: () => {} };
const player = new Player(() => session.tellPosition());
const sound = new Sound((context, piano) => player.connect(context, piano), onInterruption);
const roll = new Roll(element("roll"));
const keys = new Keys(onPress, onRelease);
const session = new Session({
  player,
  model: MODEL_ID,
  post: (kind, more, transfer) => worker.post(kind, more, transfer),
  controls,
  follow: showTargets,
  liftAll: () => keys.releaseAll(),
  show,
});

// The MIDI output that sounds instead of the page, or null; and those that can be chosen.
let output = null;
let outputs = [];
let shownName = null;
// The microseconds of the worker's most recent notes.
const times = [];
// The functions that release the sounds of the keys that the user holds, by pitch.
const sounding = new Map();

function showProblem(text) {
  element("problem").textContent = text;
  element("problem").hidden = !text;
}

// An error is shown above the keys or, where these are scrolled away, at the bottom of the screen.
new IntersectionObserver((entries) => element("problem").classList.toggle("adrift", !entries.at(-1).isIntersecting), {
  rootMargin: "-80px 0px 0px",
}).observe(element("view"));

/** Shows what the session's view says. */
function show() {
  const { status, play, name, enabled } = session.view;
  if (element("status").textContent !== status) element("status").textContent = status;
  element("play").textContent = play;
  // The field is the user's until the piece has another name.
  if (name !== shownName) element("piece").value = name;
  shownName = name;
  for (const [id, isEnabled] of Object.entries(enabled)) {
    // A disabled button would lose the focus.
    if (!isEnabled && document.activeElement === element(id)) element("play").focus();
    element(id).disabled = !isEnabled;
  }
  showTimeline();
}

/** Wraps an action of the user, and shows its errors on the page. */
function attempt(action) {
  return async (...values) => {
    showProblem("");
    try {
      await action(...values);
    } catch (error) {
      if (!(error instanceof Problem)) console.error(error);
      showProblem(error instanceof Problem ? error.message : `Something went wrong: ${error.message}.`);
    }
  };
}

// The model.

function startWorker() {
  const thread = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  thread.onmessage = ({ data }) => handlers[data.kind](data);
  thread.onerror = () => {
    showProblem("The model's worker could not be started; reload, or try a newer browser if that does not help.");
  };
  worker.post = (kind, more = {}, transfer = []) => thread.postMessage({ kind, ...more }, transfer);
  worker.post("load", { model: new URL(MODEL, location).href });
}

const handlers = {
  ready({ record, bytes }) {
    element("about").textContent = `Preset ${record.preset}, ${record.precision}, ${(bytes / 1e6).toFixed(1)} MB.`;
    const styles = Object.keys(record.styles ?? {}).map((name) => new Option(name, name));
    element("style").replaceChildren(new Option("any", ""), ...styles);
    element("style").disabled = !record.styles;
    element("licence").textContent = `The model's licence: ${record.licence ?? "not recorded"}.`;
    session.modelIsReady(seed());
    keepOffline();
  },
  file: (answer) => session.fileIsRead(answer),
  refused(answer) {
    if (session.fileIsRefused(answer)) showProblem(answer.text);
  },
  given: (answer) => session.takeGiven(answer),
  progress: (answer) => session.takeProgress(answer),
  notes(answer) {
    session.takeMade(answer);
    // The piano's recordings wait for the first notes.
    sound.load();
    times.push(...answer.microseconds);
    times.splice(0, times.length - TIMES_KEPT);
  },
  written: (answer) => save(answer),
  verdict({ holds, exact, notes, differsFrom, group, difference, tolerance, precision }) {
    const within = difference <= tolerance ? "within" : "NOT within";
    const number = (value) => value.toLocaleString("en");
    const at = group > 1 ? `one of the notes ${number(differsFrom)} to ${number(differsFrom + group - 1)}` : "";
    let played = `the same ${count(notes, "note")}`;
    if (exact && !differsFrom) played = `it plays the very notes of this exact file, ${number(notes)} of ${number(notes)}`;
    else if (exact) {
      played = `it parts from this exact file at ${at || `note ${number(differsFrom)}`}, so its arithmetic is not exact`;
    } else if (differsFrom) {
      played = `the notes differ from note ${number(differsFrom)} on${holds ? `, as ${precision} may` : ""}`;
    }
    session.isVerifying = false;
    element("verdict").textContent =
      `${holds ? "Verified" : "FAILED"}: ${played}; log probabilities ${within} ${tolerance} ` +
      `(largest difference ${difference.toPrecision(2)}).`;
  },
  problem({ text }) {
    showProblem(text);
    session.fail();
  },
};

/** The settings of the controls. */
function controls() {
  return {
    temperature: Number(element("temperature").value),
    minP: MIN_P,
    speed: Number(element("speed").value),
    polyphony: Number(element("polyphony").value),
    loudness: Number(element("loudness").value),
    key: element("key").value,
    range: "",
    style: element("style").value,
    chords: element("chords").value.trim(),
    chordSeconds: CHORD_SECONDS,
  };
}

function seed() {
  const text = element("seed").value.trim();
  if (!/^\d{1,20}$/.test(text) || BigInt(text) > MAX_SEED) {
    throw new Problem(`“${text}” is not a seed, which is a whole number from 0 to ${MAX_SEED}.`);
  }
  return BigInt(text);
}

function chooseSeed() {
  element("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
}

/** Begins the piece whose name was entered. */
function beginPiece() {
  const named = parsePiece(element("piece").value);
  if (named.model !== MODEL_ID) {
    throw new Problem(`That is a piece of the model ${named.model}; this page has the model ${MODEL_ID}.`);
  }
  if (named.primer && named.primer !== session.file?.id) {
    throw new Problem(`That piece continues a MIDI file (${named.primer}); open the file, then enter the name again.`);
  }
  const { temperature, key, style, chords } = named.settings;
  element("seed").value = named.seed;
  if (typeof temperature === "number") setControl("temperature", temperature);
  showTargets(named.settings);
  setControl("key", KEYS.find((each) => each.replace(" ", "") === key) ?? "");
  setControl("style", style);
  setControl("chords", chords.replaceAll(",", " "));
  shownName = null;
  session.beginNamed(named);
}

/** Moves the sliders to targets; null leaves the model its own, and an unknown one what was chosen. */
function showTargets(targets) {
  for (const [id, value] of Object.entries(targets).filter(([each]) => TARGETS.includes(each))) {
    if (value === null) element(`${id}-value`).textContent = "free";
    else setControl(id, value);
  }
}

function setControl(id, value) {
  element(id).value = value;
  element(id).dispatchEvent(new Event("input"));
}

// Sound.

function setVolume() {
  const volume = Number(element("volume").value);
  sound.volume = volume;
  if (output) output.volume = volume;
}

function onInterruption() {
  if (session.state !== "playing") return;
  pause();
  session.say("The sound was interrupted; press Play to go on.");
}

async function play() {
  if (session.state === "playing") return pause();
  await sound.start();
  session.play();
}

function pause() {
  session.pause();
  // Shows the notes that were struck since the last update.
  showFigures();
}

// Playing by hand.

const seconds = () => performance.now() / 1000;

function onPress(pitch, velocity, keyboard) {
  session.press(pitch, velocity, seconds());
  // An instrument that is played by itself sounds by itself.
  if (!output || output.name !== keyboard) sounding.set(pitch, sound.strike(pitch, velocity, output));
}

function onRelease(pitch) {
  session.lift(pitch, seconds());
  sounding.get(pitch)?.();
  sounding.delete(pitch);
  // Says so if the browser keeps the sound from starting.
  attempt(() => sound.start())();
}

async function open(file) {
  session.read(file.name, await file.arrayBuffer());
}

// Downloads and caching.

/** Saves a MIDI file under a name. */
function save({ name, count: notes, bytes }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: "audio/midi" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  session.say(`${name}: ${count(notes, "note")}.`);
}

async function keepOffline() {
  const line = element("offline");
  if (!isSecureContext) {
    line.textContent =
      "At this address the page does not work offline, since it is neither https nor this machine itself; " +
      "everything else except MIDI keyboards works.";
    return;
  }
  if (LOOPBACK.includes(location.hostname)) {
    // Other programs are served at the same address later, and would get this page from the worker.
    for (const registration of await navigator.serviceWorker.getRegistrations()) {
      if (registration.active?.scriptURL.endsWith("/service_worker.js")) await registration.unregister();
    }
    line.textContent = "At this address the page needs its server; on a site of its own it works without a network.";
    return;
  }
  try {
    await navigator.serviceWorker.register("service_worker.js", { updateViaCache: "none" });
    await navigator.serviceWorker.ready;
    line.textContent = "Stored on this device: the page works without a network from now on.";
  } catch {
    line.textContent = "The browser could not store the page; it works only with a network.";
  }
}

// Drawing and figures.

let drawn = "";

function draw() {
  requestAnimationFrame(draw);
  const position = session.position(seconds());
  // Draws only if something has changed.
  const moment = [position, session.request, player.notes.length, ...keys.pressed].join();
  if (moment === drawn && !roll.isStale) return;
  drawn = moment;
  roll.draw(player.notes, position, session.own?.notes ?? [], keys.pressed);
}

/** Shows where in the notes that are ready the piece is. */
function showTimeline() {
  const timeline = element("timeline");
  const last = player.notes.at(-1)?.start ?? 0;
  const position = Math.min(player.position, last);
  timeline.max = last;
  timeline.value = position;
  const words = `${Math.round(position)} of ${Math.round(last)} seconds`;
  timeline.setAttribute("aria-valuetext", words);
  element("timeline-value").textContent = `${minutes(position)} / ${minutes(last)}`;
}

const minutes = (time) => `${Math.floor(time / 60)}:${String(Math.floor(time % 60)).padStart(2, "0")}`;

function showFigures() {
  showTimeline();
  const last = player.notes.at(-1);
  if (!last || !times.length) return;
  // A mean over many notes, since browser clocks are coarse.
  const quickest = [...times].sort((one, other) => one - other).slice(0, Math.ceil(TIMES_SHOWN * times.length));
  const mean = quickest.reduce((sum, time) => sum + time, 0) / quickest.length;
  const ahead = Math.max(0, last.start - player.position);
  element("figures").textContent =
    `${mean.toFixed(0)} µs per note · ${ahead.toFixed(1)} s ahead · ${count(player.played, "note")} played`;
}

// Wiring.

/** One button a chord: it is played in from now on. */
function connectChords() {
  const buttons = CHORD_BUTTONS.map((chord) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = chord || "free";
    button.addEventListener("click", () => {
      element("chords").value = chord;
      element("chords").dispatchEvent(new Event("change"));
    });
    return button;
  });
  element("chord-buttons").append(...buttons);
  const show = () => {
    for (const [index, button] of buttons.entries()) {
      button.setAttribute("aria-pressed", String(element("chords").value.trim() === CHORD_BUTTONS[index]));
    }
  };
  for (const kind of ["change", "input"]) element("chords").addEventListener(kind, show);
  show();
}

function connectControls() {
  for (const key of KEYS) element("key").append(new Option(key, key));
  const texts = {
    temperature: (value) => value.toFixed(2),
    speed: (value) => `${value.toFixed(1)} notes per second`,
    loudness: (value) => value.toFixed(0),
    polyphony: (value) => `${value.toFixed(1)} notes at once`,
  };
  for (const [id, value] of Object.entries(USUAL)) element(id).value = value;
  for (const [id, text] of Object.entries(texts)) {
    const show = () => {
      const words = text(Number(element(id).value));
      element(`${id}-value`).textContent = words;
      element(id).setAttribute("aria-valuetext", words);
    };
    element(id).addEventListener("input", show);
    show();
  }
  for (const id of ["temperature", ...TARGETS, "key", "style", "chords"]) {
    const moved = () => {
      // Tells of an invalid chord before anything is changed.
      if (id === "chords" && element(id).value.trim()) new ChordTrack(element(id).value);
      session.move(id);
    };
    element(id).addEventListener("change", attempt(moved));
  }
  connectChords();
  element("volume").addEventListener("input", setVolume);
  element("sound").addEventListener("change", chooseOutput);
  addEventListener("pagehide", () => output?.silence());
  element("timeline").addEventListener("input", () => session.seek(Number(element("timeline").value)));
  element("piece").addEventListener("change", attempt(beginPiece));
  element("seed").addEventListener(
    "change",
    attempt(() => session.beginSeed(seed())),
  );
  const onClick = {
    play,
    restart: () => session.seek(0),
    "new-piece": () => {
      chooseSeed();
      session.begin(seed());
    },
    download: () => worker.post("write", { name: session.fileName, count: session.playedNotes }),
    verify: () => {
      if (session.isVerifying) return;
      session.isVerifying = true;
      element("verdict").textContent = "Playing and scoring the passage…";
      worker.post("verify");
    },
    "new-seed": () => {
      chooseSeed();
      session.beginSeed(seed());
    },
    "carry-on": play,
    forget: () => session.forget(),
    open: () => element("file").click(),
    lower: () => session.say(`Keys from ${keys.shift(-1, element("keys"))}.`),
    higher: () => session.say(`Keys from ${keys.shift(1, element("keys"))}.`),
    connect: connectMidi,
  };
  for (const [id, action] of Object.entries(onClick)) element(id).addEventListener("click", attempt(action));
  element("file").addEventListener(
    "change",
    attempt(async () => {
      const [file] = element("file").files;
      if (file) await open(file);
      element("file").value = "";
    }),
  );
}

async function connectMidi() {
  const say = (text) => {
    element("midi-keyboards").textContent = text;
  };
  if (!navigator.requestMIDIAccess) {
    say(
      isSecureContext
        ? "This browser has no Web MIDI; use Chrome, Edge or Firefox."
        : "Browsers allow MIDI keyboards only over https or on this machine itself.",
    );
    return;
  }
  try {
    await keys.listenToMidi((inputs, found) => {
      const names = inputs.map((input) => input.name).join(", ");
      say(names ? `Listening to ${names}.` : "No MIDI keyboard found; plug one in.");
      showOutputs(found);
    });
  } catch {
    say("The browser did not allow MIDI keyboards; allow them for this page, then connect again.");
  }
}

/** Offers MIDI outputs; the page sounds again if the chosen one is gone. */
function showOutputs(found) {
  const id = outputs[element("sound").selectedIndex - 1]?.id;
  outputs = found;
  element("sound").replaceChildren(new Option("this page"), ...outputs.map((port) => new Option(port.name)));
  element("sound").selectedIndex = outputs.findIndex((port) => port.id === id) + 1;
  element("outputs").hidden = !outputs.length;
  if (output && !element("sound").selectedIndex) chooseOutput();
}

function chooseOutput() {
  const port = outputs[element("sound").selectedIndex - 1];
  output = port ? new MidiOutput(port, () => sound.context) : null;
  player.playOn(output);
}

function connectKeys() {
  keys.show(element("keys"));
  keys.listenToButtons(element("keys"));
  keys.listenToRoll(element("roll"), roll);
  keys.listenToComputer(element("keys"), () => element("computer-keys").checked);
}

/** Space plays and pauses, wherever it has no other use. */
function connectSpace() {
  addEventListener("keydown", (event) => {
    const used = event.target.closest?.("button, input, select, a, summary");
    if (event.key !== " " || event.repeat || used || element("play").disabled) return;
    event.preventDefault();
    element("play").click();
  });
}

function connectDrops() {
  let depth = 0;
  const show = (change) => {
    depth = Math.max(0, depth + change);
    element("drop").classList.toggle("dropping", depth > 0);
  };
  addEventListener("dragenter", () => show(1));
  addEventListener("dragleave", () => show(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    show(-depth);
    const [file] = event.dataTransfer.files;
    if (file && !element("open").disabled) attempt(open)(file);
  });
}

chooseSeed();
connectControls();
connectKeys();
connectSpace();
connectDrops();
sound.wakeOn(...["play", "carry-on", "keys", "roll"].map(element));
setVolume();
requestAnimationFrame(draw);
setInterval(showFigures, FIGURES_MILLISECONDS);
// Otherwise check.js has shown which feature is missing.
if (element("problem").hidden) startWorker();
