"""The page in a browser without a window: wide and narrow, light and dark."""

import math
import shutil

import pandas as pd
import pytest

from analysis.document import theme
from analysis.document.blocks import Cell, Document, Figure, Section, Table, Text
from analysis.report.render.export import export
from analysis.report.render.figures import LEAST_LETTERS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
]

FLAGS = (
    "--no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
READABLE = 4.5  # contrast that WCAG 2.2 asks of small letters, level AA
LETTERS = """svg => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return [...svg.querySelectorAll("text")]
    .map((text) => scale * parseFloat(getComputedStyle(text).fontSize));
}"""
PLACES = "h1, h2 a, p, li, .label, figcaption, td .text, th button, .tone, .under a, summary"
CONTRASTS = """places => {
  const options = { willReadFrequently: true };
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", options);
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => rgb.slice(0, 3).map((channel) => channel / 255)
    .map((channel) => channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4)
    .reduce((sum, channel, k) => sum + channel * [0.2126, 0.7152, 0.0722][k], 0);
  const ground = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return channels(colour)[3] === 255 ? colour : ground(element.parentElement);
  };
  const contrast = (element) => {
    const pair = [getComputedStyle(element).color, ground(element)];
    const [low, high] = pair.map(channels).map(light).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const name = (element) => [
    element.closest("[class]")?.className ?? "", element.tagName, element.className,
  ].join(" ");
  return [...document.querySelectorAll(places)]
    .filter((element) => element.checkVisibility())
    .map((element) => [name(element), contrast(element)]);
}"""


def draw():
    canvas = theme.canvas()
    canvas.one.plot([0, 1], [0, 1])
    canvas.one.set_xlabel("latent size")
    return canvas.figure


def draw_broad():
    canvas = theme.canvas(width=2 * theme.WIDTH)
    (line,) = canvas.one.plot([0, 1, 2], [0, 1, 2], marker="o", markevery=[1])
    theme.describe(line, ["one text"])
    return canvas.figure


def draw_trials():
    canvas = theme.canvas()
    theme.points(canvas.one, [0, 1, 2], [0, 1, 2], ["trial 7: a", "trial 8: b", "c"], [7, 8, 9])
    return canvas.figure


def document():
    tones = ("better", "worse", "alike", "unsure", "")
    values = (90, 100, 8.5, 70, 80)
    numbers = [Cell(f"{v} ± 1", v, t, "p") for v, t in zip(values, tones, strict=True)]
    numbers[3] = Cell("", math.nan)
    sorting = pd.DataFrame(
        {"name": ["b", "", "a10", "a9", "c"], "AUROC": numbers, "n": [3, math.nan, 1, 2, -5]}
    )
    wide = pd.DataFrame({f"column {k}": [Cell("91.3", 91.3, "better")] * 40 for k in range(20)})
    long = "word " * 80 + "x" * 300
    names = ["what", "value"]
    keys = ("resources of a trial", *(f"{k}th of the settings" for k in range(2, 29)))
    pairs = pd.DataFrame([[key, long] for key in keys], columns=names)
    kinds = ("plain", "note", "warning", "verdict")
    sections = [
        Section("Texts", [Text(f"{long}\n\n- {long}", kind) for kind in kinds]),
        Section("Sorting", [Table("sorting", sorting, long)]),
        Section("Tones", [Table("tones", pd.DataFrame({"x": [Cell("1", 1, t) for t in tones]}))]),
        Section("Wide " + "x" * 90, [Table("wide", wide, "Wide."), Figure("line", draw, long)]),
        Section("Trials", [Figure("one", draw_trials), Figure("two", draw_trials)]),
        Section("Broad", [Figure("broad", draw_broad)]),
        Section("Pairs", [Table("pairs", pairs, "What is what.", details="By counting.")]),
        Section("Next", [Text("Do this:\n$ python run.py --search " + "x" * 90)]),
    ]
    return Document("A study <script>throw 1</script> " + "y" * 80, long, sections)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return export(document(), tmp_path_factory.mktemp("report")).html.as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, address):
    """Opens the page; at the end of the test it must have been silent."""
    contexts, faults, requests = [], [], []

    def at(size, scheme="light"):
        contexts.append(
            browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        )
        page = contexts[-1].new_page()
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        return page

    yield at
    for context in contexts:
        context.close()
    assert faults == []
    assert {url for url in requests if not url.startswith("data:")} == {address}


def column(page, k):
    return page.locator(f"#table-sorting td:nth-child({k}) .text").all_text_contents()


def heading(page, k):
    return page.locator(f"#table-sorting th:nth-child({k})")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_sticks_out_and_all_letters_are_readable(opened, size, scheme):
    page = opened(size, scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    contrasts = page.evaluate(CONTRASTS, PLACES)
    for name in ("better", "worse", "alike", "unsure"):
        assert any(f"tone {name}" in place for place, _ in contrasts)
    assert len(contrasts) > 100
    assert [place for place in contrasts if place[1] < READABLE] == []


def test_a_wide_table_scrolls_in_its_own_frame(opened):
    page = opened(NARROW)
    frame = page.locator("#table-wide .scroll")
    assert frame.evaluate("e => e.scrollWidth > e.clientWidth")
    head = page.locator("#table-wide thead")
    frame.evaluate("e => e.scrollTo({ top: 300, left: 300, behavior: 'instant' })")
    shift = head.locator("th").nth(3).bounding_box()["y"] - frame.bounding_box()["y"]
    assert abs(shift) < 3, "the headings stay"


def test_pairs_of_a_name_and_a_value_are_broken_into_lines_and_whole(opened):
    page = opened(NARROW)
    frame = page.locator("#table-pairs .scroll")
    assert frame.evaluate(
        "e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight"
    )
    key = page.locator("#table-pairs td").first
    assert key.bounding_box()["width"] > 90, "its words are not broken"
    tall = page.locator("#table-wide .scroll")
    assert tall.evaluate("e => e.scrollHeight > e.clientHeight")


def test_a_command_is_whole_and_copied_as_one_line(opened):
    page = opened(NARROW)
    command = page.locator(".command")
    assert command.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert command.bounding_box()["height"] > 60, "it takes several lines"
    copied = command.evaluate(
        "e => { getSelection().selectAllChildren(e); return getSelection().toString(); }"
    )
    option = command.locator("span", has_text="--search")
    assert option.bounding_box()["height"] < 30, "an option is not broken after its hyphens"
    assert copied.strip() == "python run.py --search " + "x" * 90


def test_a_figure_fits_a_phone_and_takes_the_colour_of_the_letters(opened):
    for scheme in ("light", "dark"):
        page = opened(NARROW, scheme)
        frame = page.locator("#figure-line .canvas").bounding_box()
        assert frame["x"] >= 0 and 300 < frame["width"] <= 390
        for name, scrolls in (("line", False), ("broad", True)):
            svg = page.locator(f"#figure-{name} svg")
            assert (svg.bounding_box()["width"] > frame["width"] + 1) is scrolls
            assert min(svg.evaluate(LETTERS)) >= LEAST_LETTERS - 0.01, "letters stay legible"
        text = page.locator("#figure-line svg text", has_text="latent size")
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert text.evaluate("e => getComputedStyle(e).fill") == ink


def test_numbers_sort_by_their_values_and_what_is_empty_is_last(opened):
    page = opened(WIDE)
    start = column(page, 2)
    heading(page, 2).locator("button").click()
    assert column(page, 2) == ["8.5 ± 1", "80 ± 1", "90 ± 1", "100 ± 1", ""]
    assert heading(page, 2).get_attribute("aria-sort") == "ascending"
    heading(page, 2).locator("button").click()
    assert column(page, 2) == ["100 ± 1", "90 ± 1", "80 ± 1", "8.5 ± 1", ""]
    assert heading(page, 2).get_attribute("aria-sort") == "descending"
    heading(page, 3).locator("button").click()
    assert column(page, 3) == ["-5", "1", "2", "3", ""]
    assert heading(page, 2).get_attribute("aria-sort") is None
    heading(page, 3).locator("button").click()
    heading(page, 3).locator("button").click()
    assert column(page, 2) == start, "the third click gives the order back"


def test_texts_sort_by_the_keyboard(opened):
    page = opened(WIDE)
    heading(page, 1).locator("button").focus()
    page.keyboard.press("Enter")
    assert column(page, 1) == ["a9", "a10", "b", "c", ""]
    page.keyboard.press("Space")
    assert column(page, 1) == ["c", "b", "a10", "a9", ""]
    page.keyboard.press("Tab")
    assert heading(page, 2).locator("button").evaluate("e => e === document.activeElement")


def test_the_contents_stand_at_the_side_or_fold_on_a_phone(opened):
    page = opened(WIDE)
    assert page.locator(".side").is_visible() and not page.locator(".folded").is_visible()
    link = page.locator(".side a", has_text="Sorting")
    link.click()
    playwright.expect(page.locator("#sorting")).to_be_in_viewport()
    playwright.expect(link).to_have_attribute("aria-current", "true")
    page = opened(NARROW)
    link = page.locator(".folded a", has_text="Sorting")
    assert not page.locator(".side").is_visible() and not link.is_visible()
    page.locator(".folded summary").click()
    link.click()
    playwright.expect(page.locator("#sorting")).to_be_in_viewport()
    assert page.url.endswith("#sorting") and not link.is_visible()


def test_the_scheme_can_be_switched_and_is_remembered(opened):
    page = opened(WIDE, "light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#scheme").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark
    page.locator("#scheme").click()
    assert page.evaluate(ground) == light


def test_the_page_prints_without_its_controls(opened):
    page = opened(WIDE, "dark")
    page.emulate_media(media="print")
    assert not page.locator(".side").is_visible() and not page.locator("#scheme").is_visible()
    assert page.locator("#table-wide .scroll").evaluate("e => getComputedStyle(e).maxHeight") == (
        "none"
    )
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"


def test_what_a_caption_folds_is_on_paper_and_folded_again(opened):
    page = opened(WIDE)
    folded = page.locator("#table-pairs details")
    assert folded.get_attribute("open") is None
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert folded.get_attribute("open") is not None
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert folded.get_attribute("open") is None


def mark(page, figure, k):
    return page.locator(f"#figure-{figure} .marks [data-trial]").nth(k)


def test_a_mark_says_its_value_at_once_where_the_pointer_is(opened):
    page = opened(WIDE)
    mark(page, "one", 1).hover(force=True)
    playwright.expect(page.locator("#tip")).to_have_text("trial 8: b")
    page.mouse.move(5, 5)
    playwright.expect(page.locator("#tip")).to_be_hidden()
    page.locator("#figure-line .marks use").first.hover(force=True)
    playwright.expect(page.locator("#tip")).to_have_text("latent size 0, 0")


def test_a_trial_that_is_picked_is_marked_in_every_figure(opened):
    page = opened(WIDE)
    assert page.locator("#picks").is_hidden()
    mark(page, "one", 0).click(force=True)
    mark(page, "two", 1).click(force=True)
    for figure in ("one", "two"):
        marked = page.locator(f"#figure-{figure} .picked")
        assert marked.evaluate_all("es => es.map(e => e.dataset.trial)") == ["7", "8"]
    listed = page.locator("#picks li")
    assert listed.all_text_contents() == ["trial 7: a", "trial 8: b"]
    mark(page, "one", 1).click(force=True)
    assert listed.all_text_contents() == ["trial 7: a"], "a second click gives it back"
    page.keyboard.press("Escape")
    assert page.locator("#picks").is_hidden() and page.locator(".picked").count() == 0


def test_picked_trials_can_be_hidden_and_keep_their_marks(opened):
    page = opened(NARROW)
    mark(page, "one", 0).click(force=True)
    page.get_by_role("button", name="Hide").click()
    assert page.locator("#picks").is_hidden() and page.locator(".picked").count() == 2
    mark(page, "one", 1).click(force=True)
    assert page.locator("#picks li").count() == 2 and page.locator("#picks").is_visible()


def test_on_a_phone_values_stand_at_the_bottom_of_the_screen(opened):
    page = opened(NARROW)
    mark(page, "one", 1).hover(force=True)
    box = page.locator("#tip").bounding_box()
    assert box["y"] + box["height"] == pytest.approx(NARROW["height"] - 8, abs=1)
    assert box["height"] <= 0.2 * NARROW["height"] and box["width"] > 0.9 * NARROW["width"]


def test_only_the_keyboard_draws_a_ring_around_a_figure(opened):
    page = opened(WIDE)
    style = "e => [e === document.activeElement, getComputedStyle(e).outlineStyle]"
    mark(page, "one", 2).click(force=True)
    assert page.locator("#figure-one svg").evaluate(style) == [True, "none"]
    page.keyboard.press("ArrowRight")
    assert page.locator("#figure-one svg").evaluate(style) == [True, "solid"]


def test_headings_of_a_wide_table_stand_over_their_columns_on_a_phone(opened):
    table = opened(NARROW).locator("#table-wide")
    inset = "e => [getComputedStyle(e).paddingLeft, getComputedStyle(e).paddingRight]"
    heading, cell = (table.locator(at).first.evaluate(inset) for at in ("th button", "td"))
    assert heading == cell


def test_the_keyboard_reaches_every_mark_and_picks(opened):
    page = opened(WIDE)
    tip, listed = page.locator("#tip"), page.locator("#picks li")
    page.locator("#figure-one svg").focus()
    said = []
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        said.append(tip.text_content())
        assert page.locator("#figure-one .reached").count() == 1
    assert said == ["trial 7: a", "trial 8: b", "c", "trial 7: a"]
    page.keyboard.press("Enter")
    assert listed.all_text_contents() == ["trial 7: a"]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert tip.text_content() == "c"
    assert listed.all_text_contents() == ["trial 7: a", "c"]
    page.keyboard.press("Tab")
    assert tip.is_hidden() and page.locator(".reached").count() == 0


def test_the_keyboard_reaches_marks_that_share_a_text(opened):
    page = opened(WIDE)
    page.locator("#figure-broad svg").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
        assert page.locator("#tip").text_content() == "one text"
        assert page.locator("#figure-broad .reached").count() == 1


def test_without_a_script_marks_have_their_texts(browser, address):
    context = browser.new_context(viewport=WIDE, java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("#figure-one title").all_text_contents() == [
        "trial 7: a",
        "trial 8: b",
        "c",
    ]
    assert page.locator("#picks").is_hidden() and page.locator("#tip").is_hidden()
    context.close()


def test_what_scrolls_sideways_says_so(opened):
    narrow = opened(NARROW)
    playwright.expect(narrow.locator("#table-wide .hint")).to_be_visible()
    assert narrow.locator("#table-tones .hint").is_hidden()
    playwright.expect(narrow.locator("#figure-broad .hint")).to_be_visible()
    assert narrow.locator("#figure-line .hint").is_hidden()
    assert opened(WIDE).locator("#figure-line .hint").is_hidden()


def test_a_wide_table_uses_the_room_beside_the_texts(opened):
    page = opened({"width": 1800, "height": 900})
    table = page.locator("#table-wide").bounding_box()
    text = page.locator("#texts ~ p").first.bounding_box()
    assert table["width"] > 1.3 * text["width"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
