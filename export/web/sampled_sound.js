/** The sound of a recorded grand piano; `web_samples.py` made the files. */

const FOLDER = "./samples/";
// A strike twice as hard as the hardest layer or the middle of the keyboard's velocities has overtones louder by so many
// decibels. The second is added to what the layers have, since they are more alike than listeners expect.
const OUTER_TILT = 4;
const MORE_TILT = 3;
const MIDDLE_VELOCITY = 64;
const MAX_TILT = 12;
// The pulse that tells a decoder's delay is within this time.
const PULSE_SECONDS = 0.25;

const MAX_RATE = 48_000;

let fetched = null;

/** Fetches the files, once; rejects if one is missing, and tries again at the next call. */
export function fetchSamples() {
  fetched ??= fetchAll().catch((error) => {
    fetched = null;
    throw error;
  });
  return fetched;
}

async function fetchAll() {
  const fetchFile = async (name) => {
    const response = await fetch(new URL(FOLDER + name, import.meta.url));
    if (!response.ok) throw new Error(`${name}: status ${response.status}`);
    return response;
  };
  const index = await (await fetchFile("index.json")).json();
  const files = await Promise.all(index.layers.map(async ({ file }) => (await fetchFile(file)).arrayBuffer()));
  return { index, files };
}

export class SampledSound {
  #context;
  #layers;
  #clips;

  constructor(context, layers, clips) {
    this.#context = context;
    this.#layers = layers;
    this.#clips = clips;
  }

  /** The sound, once its files are fetched and decoded. */
  static async load(context) {
    const { index, files } = await fetchSamples();
    // At a higher rate, the clips would take more memory and sound the same.
    const decoder = new OfflineAudioContext(2, 1, Math.min(context.sampleRate, MAX_RATE));
    const layers = await Promise.all(
      index.layers.map(async ({ velocity }, number) => {
        // Decoding takes the bytes away.
        const buffer = await decoder.decodeAudioData(files[number].slice(0));
        return { velocity, buffer, delay: pulseSeconds(buffer) - index.pulse };
      }),
    );
    return new SampledSound(context, layers, index.clips);
  }

  /** The source of a strike, started at a time of the audio clock, and the node at which it sounds. */
  start(pitch, velocity, when) {
    const context = this.#context;
    const clip = nearest(this.#clips, (each) => Math.abs(each.pitch - pitch));
    const layer = nearest(this.#layers, (each) => Math.abs(Math.log(each.velocity / velocity)));
    const playbackRate = 2 ** ((pitch - clip.pitch) / 12);
    const source = new AudioBufferSourceNode(context, { buffer: layer.buffer, playbackRate });
    const frequency = clip.hertz * playbackRate;
    const tone = new BiquadFilterNode(context, { type: "highshelf", frequency, gain: this.#tilt(clip, layer, velocity) });
    source.connect(tone);
    source.start(when, clip.start + layer.delay, clip.seconds);
    return { source, output: tone };
  }

  /** By how many decibels a strike's overtones differ from the recorded ones; where layers change, it evens them out. */
  #tilt(clip, layer, velocity) {
    const number = this.#layers.indexOf(layer);
    const next = number + (velocity > layer.velocity ? 1 : -1);
    const other = this.#layers[next];
    const perDoubling = other
      ? (clip.overtones[next] - clip.overtones[number]) / Math.log2(other.velocity / layer.velocity)
      : OUTER_TILT;
    const tilt =
      perDoubling * Math.log2(velocity / layer.velocity) + MORE_TILT * Math.log2(velocity / MIDDLE_VELOCITY);
    return Math.max(-MAX_TILT, Math.min(MAX_TILT, tilt));
  }
}

function nearest(items, distance) {
  return items.reduce((best, item) => (distance(item) < distance(best) ? item : best));
}

/** The time of the pulse at a file's beginning in seconds. */
function pulseSeconds(buffer) {
  const samples = buffer.getChannelData(0).subarray(0, Math.round(PULSE_SECONDS * buffer.sampleRate));
  let highest = 0;
  for (let index = 1; index < samples.length; index += 1) {
    if (Math.abs(samples[index]) > Math.abs(samples[highest])) highest = index;
  }
  return highest / buffer.sampleRate;
}
