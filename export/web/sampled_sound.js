/** The sound of a recorded grand piano; `web_samples.py` made the files. */

const FOLDER = "./samples/";
// By how many decibels twice the velocity raises the overtones: beyond the softest and the loudest layer, and everywhere in
// addition to the layers' own difference, since they are more alike than listeners expect.
const OUTER_TILT = 4;
const MORE_TILT = 3;
const MIDDLE_VELOCITY = 64;
const MAX_TILT = 12;
// The pulse that tells a decoder's delay is within this time.
const PULSE_SECONDS = 0.25;
// That of the files. A context of another rate resamples them as it plays.
const RATE = 48_000;

let loading = null;

/** Fetches and decodes the recordings, once; rejects if a file is missing, and tries again at the next call. */
export function loadSamples() {
  loading ??= load().catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

async function load() {
  const fetchFile = async (name) => {
    const response = await fetch(new URL(FOLDER + name, import.meta.url));
    if (!response.ok) throw new Error(`${name}: status ${response.status}`);
    return response;
  };
  const { pulse, layers, clips } = await (await fetchFile("index.json")).json();
  // Unlike a context that plays, this one needs no action of the user.
  const decoder = new OfflineAudioContext(2, 1, RATE);
  const decoded = layers.map(async ({ file, velocity }) => {
    const buffer = await decoder.decodeAudioData(await (await fetchFile(file)).arrayBuffer());
    return { velocity, buffer, delay: pulseSeconds(buffer) - pulse };
  });
  return { layers: await Promise.all(decoded), clips };
}

export class SampledSound {
  #layers;
  #clips;

  constructor({ layers, clips }) {
    this.#layers = layers;
    this.#clips = clips;
  }

  /** See `Tones.start`. */
  start(context, pitch, velocity, when) {
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
