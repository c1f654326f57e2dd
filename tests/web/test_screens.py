"""Tests the page's layout, contrasts and accessibility on five screens, in a headless Chromium: `nox -s tests-web`."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="needs the packages of nox -s tests-web")

from playwright.sync_api import expect

from opening import open_page

pytestmark = [pytest.mark.device, pytest.mark.slow]

SCREENSHOTS = Path(os.environ.get("KERASMUSIC_SCREENSHOTS", ".nox/screenshots"))
SCREENS = {
    "phone": (390, 844),
    "phone-sideways": (844, 390),
    "tablet": (768, 1024),
    "laptop": (1280, 900),
    "desktop": (1920, 1080),
}
TOUCHED = ("phone", "phone-sideways", "tablet")
# Pixels: the width of a white key, and the least side of every control.
KEY, TARGET = 40, 24
# A checkbox, whose label can be pressed too.
SMALL = ("computer-keys",)
# The least contrast of a lit key to its neighbours, and of what tells controls apart, in WCAG 2.
CONTRAST = 3
AXE = "axe-core@4.11.0"
BOX = "(element) => { const { x, y, right, bottom } = element.getBoundingClientRect(); return [x, y, right, bottom]; }"
# The boxes of the visible controls, by name. Keys overlap as a piano's do.
CONTROLS = """() => [...document.querySelectorAll("button, input, select")]
  .filter((element) => element.checkVisibility() && !element.matches(".key"))
  .map((element) => [element.id || element.textContent, (%s)(element)])""".replace("%s", BOX)
# The colours of keys of the roll by velocity: an unlit white and black one, and the same lit.
LIT_IN_ROLL = """async () => {
  const { Roll } = await import("./roll.js");
  const canvas = document.createElement("canvas");
  canvas.style = "position: fixed; inset: 0; width: 1000px; height: 400px";
  document.body.append(canvas);
  const roll = new Roll(canvas);
  const [WHITE, BLACK] = [64, 66];
  const at = (pitch) => {
    const whites = 23 + (pitch === WHITE ? 2.5 : 4);
    const pixels = canvas.getContext("2d").getImageData((whites * canvas.width) / 52, 0.92 * canvas.height - 24, 1, 1);
    return [...pixels.data.slice(0, 3)];
  };
  const colours = (lit) => [WHITE, BLACK].map((pitch) => {
    roll.draw(lit ? [{ start: 0, pitch, duration: 9, velocity: lit }] : [], 1, [], new Set());
    return at(pitch);
  });
  const unlit = colours(null);
  const lit = Array.from({ length: 127 }, (_, index) => colours(index + 1));
  canvas.remove();
  return { unlit, lit };
}"""


@pytest.fixture(params=[(name, scheme) for name in SCREENS for scheme in ("light", "dark")], ids="-".join)
def screen(request, browser):
    """A screen's name, its colour scheme, and a context of its size."""
    name, scheme = request.param
    width, height = SCREENS[name]
    touched = name in TOUCHED
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=touched, is_mobile=touched
    )
    context.set_default_timeout(30_000)
    yield name, scheme, context
    context.close()


def box(page, selector):
    return page.locator(selector).evaluate(BOX)


def is_within(inner, outer):
    # Half a pixel for rounding.
    return all(low >= bound - 0.5 for low, bound in zip(inner[:2], outer[:2], strict=True)) and all(
        high <= bound + 0.5 for high, bound in zip(inner[2:], outer[2:], strict=True)
    )


def overlap(one, other):
    return all(min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) > 0.5 for axis in (0, 1))


def test_the_page_fits_every_screen(screen, bundled_page):
    name, scheme, context = screen
    page = open_page(context, bundled_page)
    visible = (0, 0, *SCREENS[name])
    page.click("#play")
    expect(page.locator("#figures")).to_contain_text(re.compile(r" ([5-9]|\d\d+) notes played"))
    page.evaluate("() => scrollTo(0, 0)")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}.png")
    page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-whole.png", full_page=True)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= SCREENS[name][0]
    for part in ("#play", "#carry-on", "#roll", "#status", "#keys", "#lower", "#higher"):
        assert is_within(box(page, part), visible), part
    whites = page.locator("#keys .key:not(.black)")
    assert whites.count() in (8, 15)
    assert min(whites.nth(index).evaluate(BOX)[2] - whites.nth(index).evaluate(BOX)[0] for index in range(8)) >= KEY
    boxes = page.evaluate(CONTROLS)
    assert len(boxes) > 20
    for control, (x, y, right, bottom) in boxes:
        assert control in SMALL or min(right - x, bottom - y) >= TARGET, control
    for index, (control, place) in enumerate(boxes):
        assert [other for other, around in boxes[index + 1 :] if overlap(place, around)] == [], control


def test_an_error_is_in_view_wherever_the_page_is_scrolled(screen, bundled_page):
    name, scheme, context = screen
    page = open_page(context, bundled_page)
    keys = box(page, "#keys")
    page.fill("#seed", "-1")
    page.press("#seed", "Enter")
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("“-1” is not a seed")
    expect(problem).to_be_in_viewport(ratio=1)
    page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(500)
    expect(problem).to_be_in_viewport(ratio=1)
    page.evaluate("() => scrollTo(0, 0)")
    page.wait_for_timeout(500)
    page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-error.png")
    expect(problem).to_be_in_viewport(ratio=1)
    # Nothing moves under the finger, and nothing is covered that can be pressed.
    assert box(page, "#keys") == keys
    for control, place in [*page.evaluate(CONTROLS), ("keys", keys)]:
        assert not overlap(place, box(page, "#problem")), control


def test_a_narrow_screen_has_one_octave_of_keys_and_a_wide_one_two(browser, bundled_page):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = open_page(context, bundled_page)
    names = "(keys) => keys.map((key) => key.getAttribute('aria-label'))"
    assert page.locator(".key").evaluate_all(names)[::12] == ["C4", "C5"]
    for _ in range(5):
        page.click("#higher")
    assert page.locator(".key").evaluate_all(names)[::12] == ["C7", "C8"]
    page.set_viewport_size({"width": 844, "height": 390})
    expect(page.locator(".key")).to_have_count(25)
    assert page.locator(".key").evaluate_all(names)[::12] == ["C6", "C7", "C8"]
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lit_keys_stand_out(browser, bundled_page, scheme):
    context = browser.new_context(color_scheme=scheme)
    page = open_page(context, bundled_page)
    drawn = page.evaluate(LIT_IN_ROLL)
    unlit = drawn["unlit"]
    assert contrast(*unlit) > 10
    worst = min(contrast(colour, other) for lit in drawn["lit"] for colour in lit for other in unlit)
    assert worst >= CONTRAST
    colour = "(key) => getComputedStyle(key).backgroundColor.match(/\\d+/g).map(Number)"
    white, black = page.locator(".key").nth(0), page.locator(".key").nth(1)
    unlit = [white.evaluate(colour), black.evaluate(colour)]
    for key in (white, black):
        key.focus()
        page.keyboard.down("Enter")
        assert min(contrast(key.evaluate(colour), other) for other in unlit) >= CONTRAST
        page.keyboard.up("Enter")
        assert key.evaluate(colour) in unlit
    context.close()


def contrast(one, other):
    """The contrast of two colours of channels from 0 to 255, from 1 to 21, by WCAG 2."""
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in colour)]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_verify_is_few_presses_of_tab_away(browser, bundled_page):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = open_page(context, bundled_page)
    presses = 0
    while page.evaluate("() => document.activeElement.id") != "verify":
        page.keyboard.press("Tab")
        presses += 1
        # 39 before; the page's keys are one stop.
        assert presses < 34
    context.close()


@pytest.fixture(scope="session")
def axe(pytestconfig):
    """The source of axe, which npm fetches once."""
    folder = Path(pytestconfig.cache.mkdir(AXE.replace("@", "-")))
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not source.exists():
        npm = shutil.which("npm") or pytest.skip("needs npm")
        command = [npm, "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", AXE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm could not fetch {AXE}: {done.stderr[-200:]}")
    return source.read_text()


def test_axe_finds_nothing(screen, bundled_page, axe):
    context = screen[-1]
    page = open_page(context, bundled_page)
    page.evaluate(axe)
    found = page.evaluate("""async () => {
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
      const { violations, passes } = await axe.run(document, { runOnly: tags });
      const told = ({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html} ${any[0]?.message}`).join("; ")}`;
      return { violations: violations.map(told), passes: passes.length };
    }""")
    assert found["passes"] > 20
    assert found["violations"] == []
