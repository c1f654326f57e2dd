"""Opens the page in Chromium, and measures its sound, for the tests."""

import shutil

CHROMIUM = shutil.which("chromium")
# Also measures what reaches the loudspeakers.
LISTEN = """
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...more) {
    if (target instanceof AudioDestinationNode) {
      window.tap = new AnalyserNode(this.context, { fftSize: 32768 });
      connect.call(this, window.tap);
    }
    return connect.call(this, target, ...more);
  };
"""
LOUDNESS = """() => {
  const samples = new Float32Array(32768);
  window.tap?.getFloatTimeDomainData(samples);
  return Math.max(...samples.map(Math.abs));
}"""


def open_page(context, url, *, ready=True, script=None, errors=None):
    """The opened page; its errors on the console are appended to `errors`."""
    page = context.new_page()
    if errors is not None:
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    if script:
        page.add_init_script(script)
    page.goto(url)
    if ready:
        page.locator("#play:enabled").wait_for(timeout=30_000)
    return page
