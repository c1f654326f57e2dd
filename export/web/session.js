/**
 * The session: what the page plays, and in which state it is. It asks the worker for notes and gives them to the player;
 * `view` is what the page's buttons and its status say of it.
 *
 * Its states are
 *   loading: there is no model yet
 *   failed: there will be none
 *   ready: the piece is at its beginning, or where it carries on from given notes
 *   playing, paused
 *   yours: the user plays, and the model carries on afterwards
 * In each of them, it may be reading a file, or the model may be listening to the notes that it was given.
 */

import { targetsOf, targetsOfSeed } from "./balance.js";
import { HEARD_NOTES } from "./generator.js";
import { pieceName } from "./piece.js";

// How much of an opened file is played before the model carries on.
const JOIN_SECONDS = 4;
const SHORTEST_SECONDS = 0.03;
// The model hears fewer notes in no time, about which nothing is said.
const TOLD_NOTES = 200;

const STATUSES = {
  loading: "Fetching the model…",
  failed: "",
  ready: "Ready.",
  playing: "Playing.",
  paused: "Paused.",
  yours: "Listening: press Carry on when you are done.",
};

const count = (number, name) => `${number.toLocaleString("en")} ${name}${number === 1 ? "" : "s"}`;

export class Session {
  state = "loading";
  /** The file that was read last: `{name, id, count}`; the worker keeps its notes. */
  file = null;
  /** The notes that the user plays and the index in the piece at which they come; null in all other states than `yours`. */
  own = null;
  /** The settings of a piece that was entered by its name, as long as their controls are not moved. */
  entered = {};
  /** The number of the last request to the worker. */
  request = 0;
  /** Whether the model plays its golden passage. */
  isVerifying = false;
  #player;
  #model;
  #post;
  #controls;
  #follow;
  #liftAll;
  #show;
  // What made the notes: the seed and the settings, the file that they continue, and whether anything was changed since.
  #origin = { seed: 0n, settings: {}, primer: null, changed: false };
  // How many notes cannot be made anew, up to the last one that was given.
  #given = 0;
  // Given notes on their way here: `{request, from, notes, of, join}`.
  #arriving = null;
  // The file that is read: `{request, name}`, and the number of such requests.
  #reading = null;
  #reads = 0;
  // The settings whose controls the user has moved.
  #moved = new Set();
  #progress = null;
  #notice = "";

  /**
   * @param {object} means
   * @param means.player plays the notes
   * @param means.model the model's id
   * @param means.post sends a message to the worker, with the objects to transfer
   * @param means.controls returns the settings of the page's controls
   * @param means.follow moves the controls to the targets that notes keep to
   * @param means.liftAll releases the keys that the user holds
   * @param means.show shows the `view`; called whenever it may have changed
   */
  constructor({ player, model, post, controls, follow, liftAll, show }) {
    this.#player = player;
    this.#model = model;
    this.#post = post;
    this.#controls = controls;
    this.#follow = follow;
    this.#liftAll = liftAll;
    this.#show = show;
  }

  /** The status, the caption of Play, the name of the piece or "", and whether each button is enabled. */
  get view() {
    const hasModel = this.#hasModel();
    const hasNotes = this.#player.notes.length > 0;
    const isYours = this.state === "yours";
    const usable = ["play", "restart", "new-piece", "verify", "open", "piece"];
    return {
      status: this.#status(),
      play: this.state === "playing" ? "Pause" : "Play",
      name: this.#name(),
      enabled: {
        ...Object.fromEntries(usable.map((id) => [id, hasModel])),
        timeline: hasNotes,
        download: hasNotes,
        "carry-on": isYours,
        forget: isYours,
      },
    };
  }

  /** What a file of the piece is called. */
  get fileName() {
    const { seed, primer, changed } = this.#origin;
    const beginning = primer ? `${primer.name.replace(/\.[^.]*$/, "")}-continued` : "kerasmusic";
    return `${beginning}-${seed}${changed ? "-changed" : ""}.mid`;
  }

  /** How many notes of the piece have been played or given, or all that are ready if none has. */
  get playedNotes() {
    const { position, played, notes } = this.#player;
    return position ? Math.max(played, Math.min(this.#given, notes.length)) : notes.length;
  }

  /** The position in seconds, which moves on while the user plays; `now` is the time in seconds. */
  position(now) {
    return this.own ? now + this.own.offset : this.#player.position;
  }

  /** Says something until anything else happens. */
  say(notice) {
    this.#notice = notice;
    this.#show();
  }

  modelIsReady(seed) {
    this.state = "ready";
    this.begin(seed);
  }

  /** Begins the seed's piece, or the one that continues the opened file. */
  begin(seed, primer = null) {
    this.#reading = null;
    this.#begin(seed, primer);
  }

  /** Begins again with the same file, if there is one, and another seed. A file that is being read is still awaited. */
  beginSeed(seed) {
    this.#begin(seed, this.#origin.primer);
  }

  #begin(seed, primer) {
    // The first piece begins once there is a model.
    if (!this.#hasModel()) return;
    this.#endOwn();
    if (this.state !== "playing") this.state = "ready";
    this.#player.reset();
    if (!primer) this.#keepToSeed(seed);
    this.#origin = { seed, settings: this.#settings(), primer, changed: false };
    this.#ask("begin", { seed, settings: this.#settings(), primer: primer?.id ?? "" });
    this.#await(0, primer?.count ?? 0, JOIN_SECONDS);
    this.#changed();
  }

  /** Begins the piece of a name: as `begin`, with its settings, until their controls are moved. */
  beginNamed({ seed, primer, settings }) {
    this.entered = { ...settings };
    this.begin(seed, primer ? this.file : null);
  }

  /** Opens a file: its bytes are read by the worker. */
  read(name, bytes) {
    this.#reads += 1;
    this.#reading = { name, request: this.#reads };
    this.#post("read", { request: this.#reading.request, name, bytes }, [bytes]);
    this.#changed();
  }

  /** The opened file was read, and is continued. */
  fileIsRead({ request, name, id, count: notes, targets }) {
    this.file = { name, id, count: notes };
    if (request !== this.#reading?.request) return;
    this.#keepTo(targets);
    this.begin(this.#origin.seed, this.file);
  }

  /** The opened file could not be read. Returns whether it is still wanted. */
  fileIsRefused({ request }) {
    if (request !== this.#reading?.request) return false;
    this.#reading = null;
    this.#changed();
    return true;
  }

  /** Makes the notes that have not been struck anew, in the controls' settings. */
  change() {
    if (this.own) {
      this.own.isChanged = true;
      return;
    }
    // Before the first note, the piece begins again.
    if (!this.#player.position && !this.#given) {
      this.beginSeed(this.#origin.seed);
      return;
    }
    const from = Math.max(this.#player.changeable, this.#given);
    this.#player.cut(from);
    this.#ask("change", { from, settings: this.#settings() });
    // Up to the end of the primer, no setting has mattered.
    const { primer, changed } = this.#origin;
    if (primer && from === primer.count && !changed) this.#origin.settings = this.#settings();
    else this.#origin.changed = true;
    this.#changed();
  }

  /** The control of a setting was moved, and counts from now on. */
  move(id) {
    delete this.entered[id];
    this.#moved.add(id);
    this.change();
  }

  play() {
    this.#carryOnOwn();
    this.#player.play();
    this.state = "playing";
    this.#changed();
  }

  pause() {
    this.#player.pause();
    if (this.state === "playing") this.state = "paused";
    this.#changed();
  }

  /** Moves to a position of the piece, which is played on from there. The user's notes become part of the piece. */
  seek(seconds) {
    this.#carryOnOwn();
    if (this.#arriving) this.#arriving.join = null;
    this.#player.moveTo(seconds);
    if (this.state === "ready") this.state = "paused";
    this.tellPosition();
    this.#changed();
  }

  /** Tells the worker the position. */
  tellPosition() {
    this.#post("playhead", { index: this.#player.played, seconds: this.#player.position });
  }

  /** The user pressed a key at a time in seconds. */
  press(pitch, velocity, now) {
    // A file that is just arriving would be torn.
    if (this.#arriving || !this.#hasModel()) return;
    if (!this.own) {
      this.#player.pause();
      const { played, notes, position } = this.#player;
      this.own = { at: played, offset: Math.max(position, notes[played - 1]?.start ?? 0) - now, notes: [] };
      this.state = "yours";
      this.#changed();
    }
    this.own.notes.push({ start: now + this.own.offset, pitch, duration: null, velocity });
  }

  /** The user released a key at a time in seconds. */
  lift(pitch, now) {
    const note = this.own?.notes.findLast((each) => each.pitch === pitch && each.duration === null);
    if (note) note.duration = Math.max(SHORTEST_SECONDS, now + this.own.offset - note.start);
  }

  /** Drops the user's notes. */
  forget() {
    if (this.#endOwn()?.isChanged) this.change();
    this.#changed();
    this.say("Forgotten.");
  }

  /** The worker could not go on. */
  fail() {
    if (this.state === "loading") this.state = "failed";
    this.isVerifying = false;
    this.#reading = null;
    this.#progress = null;
    this.#changed();
  }

  /** Notes that the worker sends of those that it was given. */
  takeGiven({ request, notes }) {
    const arriving = this.#arriving;
    if (request !== arriving?.request) return;
    for (const note of notes) arriving.notes.push(note);
    if (arriving.notes.length < arriving.of) return;
    this.#arriving = null;
    this.#player.replace(arriving.from, arriving.notes);
    if (arriving.join !== null) this.#player.moveTo(Math.max(0, this.#player.notes.at(-1).start - arriving.join));
    this.tellPosition();
    this.#changed();
  }

  /** Notes that the worker made. */
  takeMade({ request, first, notes }) {
    if (request !== this.request) return;
    const isFirst = !this.#player.notes.length;
    this.#player.replace(first, notes);
    if (isFirst) this.#show();
  }

  /** How many notes the model has heard, and of how many. */
  takeProgress({ request, heard, of }) {
    if (request !== this.request) return;
    this.#progress = heard < of ? { heard, of } : null;
    this.#show();
  }

  #hasModel() {
    return this.state !== "loading" && this.state !== "failed";
  }

  #settings() {
    return { ...this.#controls(), ...this.entered };
  }

  #ask(kind, more) {
    this.request += 1;
    this.#progress = null;
    this.#post(kind, { request: this.request, ...more });
  }

  /** Expects given notes at an index. The player moves to some seconds before the last of them. */
  #await(from, of, join) {
    this.#given = from + of;
    this.#arriving = of ? { request: this.request, from, notes: [], of, join } : null;
    this.#progress = of ? { heard: 0, of: Math.min(of, HEARD_NOTES) } : null;
  }

  /** Keeps to what notes keep to, which the model carries on from. */
  #keepTo(targets) {
    for (const id of Object.keys(targets)) {
      delete this.entered[id];
      this.#moved.delete(id);
    }
    this.#follow(targets);
  }

  /** Keeps to what the seed chooses, but for what the user has chosen. */
  #keepToSeed(seed) {
    const chosen = Object.entries(targetsOfSeed(seed)).filter(([id]) => !this.#moved.has(id) && !(id in this.entered));
    this.#follow(Object.fromEntries(chosen));
  }

  /** Gives the user's notes to the model, which carries on from there. */
  #carryOnOwn() {
    const own = this.#endOwn();
    if (!own) return;
    this.#player.cut(own.at);
    this.#keepTo(targetsOf(own.notes));
    this.#origin.changed = true;
    this.#ask("carryOn", { from: own.at, notes: own.notes, settings: this.#settings() });
    this.#await(own.at, own.notes.length, 0);
  }

  /** Returns what the user has played, if anything; the user plays no longer. */
  #endOwn() {
    this.#liftAll();
    const { own } = this;
    this.own = null;
    if (own) this.state = "paused";
    return own;
  }

  #name() {
    const { seed, settings, primer, changed } = this.#origin;
    if (changed || !this.#hasModel()) return "";
    return pieceName({ model: this.#model, seed, primer: primer?.id ?? "", settings });
  }

  #status() {
    if (this.#notice) return this.#notice;
    if (this.#reading) return `Reading ${this.#reading.name}…`;
    const { primer } = this.#origin;
    if (this.#progress?.of > TOLD_NOTES) {
      const { heard, of } = this.#progress;
      return `Listening${primer ? ` to ${primer.name}` : ""}: ${heard.toLocaleString("en")} of ${count(of, "note")}.`;
    }
    if (this.state === "ready" && primer) {
      return `${primer.name}: ${count(primer.count, "note")} read; press Play to carry on from there.`;
    }
    return STATUSES[this.state];
  }

  #changed() {
    this.#notice = "";
    this.#show();
  }
}
