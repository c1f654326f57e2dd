"""Renders strikes of the page's piano in a browser, for the tests there, and measures their sound."""

import base64
import json

import numpy as np

RATE = 48_000
# The page's own piano in an offline context; both channels as little-endian floats in base64, since a list is too slow.
RENDER = """async ([strikes, seconds, rate]) => {
  const { Piano } = await import(new URL("piano.js", location.href).href);
  const { Tones } = await import(new URL("tones.js", location.href).href);
  const context = new OfflineAudioContext(2, Math.round(seconds * rate), rate);
  const tones = new Tones();
  await tones.ready;
  await tones.load();
  const piano = new Piano(context, tones);
  for (const [pitch, velocity, when, until] of strikes) piano.strike(pitch, velocity, when, until);
  const rendered = await context.startRendering();
  const text = async (channel) => {
    const reader = new FileReader();
    reader.readAsDataURL(new Blob([rendered.getChannelData(channel)]));
    await new Promise((resolve) => { reader.onload = resolve; });
    return reader.result.slice(reader.result.indexOf(",") + 1);
  };
  return `${await text(0)},${await text(1)}`;
}"""
# The look-ahead of Web Audio's compressor, which is the piano's limiter.
LIMITER_SECONDS = 0.006
# In one rendering; the piano silences the oldest of more.
MOST_VOICES = 50


def render(page, strikes, seconds):
    """The sound of strikes (pitch, velocity, onset, release), of the shape (samples, 2)."""
    channels = page.evaluate(f"({RENDER})({json.dumps([strikes, seconds, RATE])})").split(",")
    return np.column_stack([np.frombuffer(base64.b64decode(text), "<f4") for text in channels]).astype(float)


def render_each(page, notes, *, held=1.0, slot=3.0):
    """The sounds of single notes (pitch, velocity), each from its strike to the end of its slot."""
    # The first slot is silent, since Chromium's compressor begins with a lower gain.
    strikes = [(pitch, velocity, index * slot, index * slot + held) for index, (pitch, velocity) in enumerate(notes, 1)]
    sound = render(page, strikes, slot * (len(notes) + 1))
    return sound.reshape(len(notes) + 1, -1, 2)[1:]


def decibels(power):
    return 10 * np.log10(np.mean(power) + 1e-30)


def level(sound):
    """The level of the first half second."""
    return decibels(sound[: RATE // 2] ** 2)


def spectrum(sound):
    """Frequencies in hertz and the power of the first second at each, of both channels together."""
    first = sound[:RATE] * np.hanning(RATE)[:, None]
    return np.fft.rfftfreq(RATE, 1 / RATE), (np.abs(np.fft.rfft(first, axis=0)) ** 2).sum(axis=1)


def centroid(sound):
    hertz, power = spectrum(sound)
    return (hertz * power).sum() / power.sum()


def overtones(sound, pitch):
    """The share of the power that is above the fundamental, in decibels."""
    hertz, power = spectrum(sound)
    return 10 * np.log10(power[hertz > 300 + 1.5 * 440 * 2 ** ((pitch - 69) / 12)].sum() / power.sum())


def cents_off(sound, pitch):
    """The distance of the strongest of the first partials from its nominal frequency, in cents."""
    fundamental = 440 * 2 ** ((pitch - 69) / 12)
    first = sound[:RATE].sum(axis=1) * np.hanning(RATE)
    length = 8 * RATE
    magnitudes = np.abs(np.fft.rfft(first, length))
    peaks = []
    for partial in range(1, 5):
        low, high = (round(partial * fundamental * 2 ** (cents / 1200) * length / RATE) for cents in (-50, 50))
        place = low + int(np.argmax(magnitudes[low:high]))
        peaks.append((magnitudes[place], 1200 * np.log2(place * RATE / length / (partial * fundamental))))
    return max(peaks)[1]


def delay(sound):
    """The seconds from a strike to its onset, less the limiter's look-ahead."""
    heights = np.abs(sound).max(axis=1)
    return np.argmax(heights > 0.05 * heights[: RATE // 10].max()) / RATE - LIMITER_SECONDS
