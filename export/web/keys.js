/** The user's keyboards: the page's keys, the computer keyboard and MIDI keyboards. All press and release pitches. */

const NAMES = ["C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B"];
const BLACK = new Set([1, 3, 6, 8, 10]);
const MAX_OCTAVES = 2;
// A finger hits a white key of this width.
const WHITE_PIXELS = 40;
const HIGHEST_C = 108;
const LOWEST_C = 24;
const VELOCITY = 80;
// Codes of physical positions, so that they are the same in every layout.
const COMPUTER_KEYS =
  "KeyA KeyW KeyS KeyE KeyD KeyF KeyT KeyG KeyY KeyH KeyU KeyJ KeyK KeyO KeyL KeyP Semicolon Quote".split(" ");
const NOTE_OFF = 8;
const NOTE_ON = 9;
const CONTROL = 11;
const SUSTAIN = 64;
// A pedal that is pressed at least half is down, as in the MIDI reader.
const PEDAL_DOWN = 64;
// How many keys each arrow moves the focus.
const ARROWS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };

/** The spoken name of a pitch, such as "C4" or "E flat 4". */
export const pitchName = (pitch) =>
  `${NAMES[pitch % 12]}${BLACK.has(pitch % 12) ? " " : ""}${Math.floor(pitch / 12) - 1}`;

const whites = (octaves) => 7 * octaves + 1;

/** Keeps track of the pitches held by any keyboard, and reports presses and releases. */
export class Keys {
  pressed = new Set();
  #lowest = 60;
  #octaves = MAX_OCTAVES;
  #held = new Map();
  #pedal = false;
  // The pitches whose keys were released while the pedal was down.
  #sustained = new Set();
  #buttons = new Map();
  #onPress;
  #onRelease;

  constructor(onPress, onRelease) {
    this.#onPress = onPress;
    this.#onRelease = onRelease;
  }

  /** @param keyboard the name of the MIDI keyboard whose key it is */
  press(pitch, velocity = VELOCITY, keyboard = "") {
    if (this.pressed.has(pitch)) return;
    this.pressed.add(pitch);
    this.#buttons.get(pitch)?.classList.add("down");
    this.#onPress(pitch, velocity, keyboard);
  }

  release(pitch) {
    if (!this.pressed.delete(pitch)) return;
    this.#buttons.get(pitch)?.classList.remove("down");
    this.#onRelease(pitch);
  }

  releaseAll() {
    for (const pitch of [...this.pressed]) this.release(pitch);
    this.#held.clear();
    this.#sustained.clear();
  }

  /** Fills an element with buttons: two octaves, or one where the keys of two would be too narrow for a finger. */
  show(element) {
    this.#octaves = element.clientWidth < WHITE_PIXELS * whites(MAX_OCTAVES) ? 1 : MAX_OCTAVES;
    this.#lowest = Math.min(HIGHEST_C - 12 * this.#octaves, Math.max(LOWEST_C, this.#lowest));
    element.style.setProperty("--whites", whites(this.#octaves));
    this.#buttons.clear();
    const buttons = Array.from({ length: 12 * this.#octaves + 1 }, (_, index) => {
      const pitch = this.#lowest + index;
      const button = document.createElement("button");
      button.type = "button";
      button.className = BLACK.has(pitch % 12) ? "key black" : "key";
      button.setAttribute("aria-label", pitchName(pitch));
      button.dataset.pitch = pitch;
      // One stop of the Tab key; arrows move within.
      button.tabIndex = index ? -1 : 0;
      button.textContent = pitch % 12 ? "" : pitchName(pitch);
      this.#buttons.set(pitch, button);
      return button;
    });
    element.replaceChildren(...buttons);
  }

  /** Moves the page's keys and the computer keyboard by octaves; returns the name of the lowest key. */
  shift(octaves, element) {
    this.releaseAll();
    this.#lowest += 12 * octaves;
    this.show(element);
    return pitchName(this.#lowest);
  }

  /** Listens to pointers, Enter, Space and arrows on the page's keys, and to changes of their width. */
  listenToButtons(element) {
    let width = element.clientWidth;
    new ResizeObserver(() => {
      if (width === element.clientWidth) return;
      width = element.clientWidth;
      this.shift(0, element);
    }).observe(element);
    const pitchOf = (target) => Number(target.closest?.(".key")?.dataset.pitch ?? NaN);
    this.#listenToPointer(element, ({ clientX, clientY, target }) =>
      pitchOf(document.elementFromPoint(clientX, clientY) ?? target),
    );
    element.addEventListener("keydown", (event) => {
      const next = this.#buttons.get(pitchOf(event.target) + (ARROWS[event.key] ?? NaN));
      if (next) {
        event.preventDefault();
        for (const button of this.#buttons.values()) button.tabIndex = button === next ? 0 : -1;
        next.focus();
      }
      if (event.repeat || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      this.press(pitchOf(event.target));
    });
    element.addEventListener("keyup", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      this.release(pitchOf(event.target));
    });
    element.addEventListener("focusout", (event) => this.release(pitchOf(event.target)));
    // Screen readers send clicks without pointer events.
    element.addEventListener("click", (event) => {
      if (event.detail) return;
      const pitch = pitchOf(event.target);
      this.press(pitch);
      setTimeout(() => this.release(pitch), 400);
    });
  }

  /** Listens to pointers on the roll's keyboard. */
  listenToRoll(canvas, roll) {
    this.#listenToPointer(canvas, (event) => {
      const { left, top } = canvas.getBoundingClientRect();
      return roll.pitchAt(event.clientX - left, event.clientY - top) ?? NaN;
    });
  }

  /** Listens to the computer keyboard while the keys of `element` have the focus, or `isOn()` is true and no text has. */
  listenToComputer(element, isOn) {
    addEventListener("keydown", (event) => {
      const index = COMPUTER_KEYS.indexOf(event.code);
      const typing = event.target.closest?.("select, input:not([type=range], [type=checkbox])");
      if (index < 0 || event.repeat || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (!isOn() && !element.contains(document.activeElement)) return;
      this.#held.set(event.code, this.#lowest + index);
      this.press(this.#lowest + index);
    });
    addEventListener("keyup", (event) => {
      if (this.#held.has(event.code)) this.release(this.#held.get(event.code));
      this.#held.delete(event.code);
    });
    addEventListener("blur", () => this.releaseAll());
  }

  /** Listens to all MIDI inputs; calls `onChange` with the connected inputs and outputs, now and whenever they change. */
  async listenToMidi(onChange) {
    const access = await navigator.requestMIDIAccess();
    const connected = (ports) => [...ports.values()].filter((port) => port.state === "connected");
    const connect = () => {
      const inputs = connected(access.inputs);
      for (const input of inputs) input.onmidimessage = ({ data }) => this.#handleMidi(data, input.name);
      onChange(inputs, connected(access.outputs));
    };
    access.onstatechange = connect;
    connect();
  }

  #handleMidi([status, pitch, value], name) {
    const kind = status >> 4;
    if (kind === CONTROL && pitch === SUSTAIN) this.#movePedal(value >= PEDAL_DOWN);
    else if (kind === NOTE_ON && value) {
      // A key struck again under the pedal ends its former note.
      if (this.#sustained.delete(pitch)) this.release(pitch);
      this.press(pitch, value, name);
    } else if (kind === NOTE_ON || kind === NOTE_OFF) {
      if (this.#pedal && this.pressed.has(pitch)) this.#sustained.add(pitch);
      else this.release(pitch);
    }
  }

  #movePedal(isDown) {
    this.#pedal = isDown;
    if (isDown) return;
    for (const pitch of this.#sustained) this.release(pitch);
    this.#sustained.clear();
  }

  /** Presses keys under pointers, including those that a pointer slides over. */
  #listenToPointer(element, pitchAt) {
    const under = new Map();
    const moveTo = (pointer, pitch) => {
      const previous = under.get(pointer);
      if (previous === pitch) return;
      if (previous !== undefined) this.release(previous);
      under.delete(pointer);
      if (Number.isNaN(pitch)) return;
      under.set(pointer, pitch);
      this.press(pitch);
    };
    element.addEventListener("pointerdown", (event) => {
      const pitch = pitchAt(event);
      if (Number.isNaN(pitch) || event.button) return;
      event.target.setPointerCapture?.(event.pointerId);
      moveTo(event.pointerId, pitch);
    });
    element.addEventListener("pointermove", (event) => {
      if (under.has(event.pointerId)) moveTo(event.pointerId, pitchAt(event));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      element.addEventListener(end, (event) => moveTo(event.pointerId, NaN));
    }
  }
}
