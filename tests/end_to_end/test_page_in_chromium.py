"""The report's page in a real Chromium, from a file, with the network off."""

import re
import shutil
import time

import pytest

from lasem.report import collect, write_page
from lasem.report.page import Live
from made_up_runs import write_runs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

PATIENCE = 60_000
"""Milliseconds, for a machine that does other things too."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_runs(folder / "runs", learners=("lasem-hps", "darts-hps", "stl", "hps"), seeds=2, tasks=3, epochs=8)
    stopped = folder / "runs" / "cifar100-10-hps-s1-00000003"
    (stopped / "result.json").unlink()
    write_page(collect([folder / "runs"]), folder / "report.html")
    return folder


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opener(browser):
    """Opens a file without network: a page, and a list of whatever its console says and of requests elsewhere."""
    contexts = []

    def opener(file, *, width=1280, theme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, color_scheme=theme)
        context.set_default_timeout(PATIENCE)
        page, said = context.new_page(), []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or said.append(request.url))
        page.goto(file.as_uri(), timeout=PATIENCE)
        page.wait_for_selector("html[data-ready]", state="attached")
        contexts.append(context)
        return page, said

    yield opener
    for context in contexts:
        context.close()


@pytest.fixture
def opened(opener):
    """A page of its own; whatever the console says fails the test."""
    heard = []

    def opened(file, **options):
        page, said = opener(file, **options)
        heard.append(said)
        return page

    yield opened
    assert [said for said in heard if said] == []


@pytest.fixture(scope="module")
def shared(opener, runs):
    return opener(runs / "report.html")


@pytest.fixture
def desktop(shared):
    """One page for several tests, each of which chooses what it needs."""
    page, said = shared
    page.fill("#filter", "")
    yield page
    assert said == []


def hover(page, plot, trace, point):
    """Move the pointer onto a point of a trace; the text that appears."""
    page.locator(f"#{plot}").scroll_into_view_if_needed()
    x, y = page.evaluate(
        """([plot, trace, point]) => {
            const element = document.getElementById(plot), { xaxis, yaxis, _offset } = element._fullLayout;
            const box = element.getBoundingClientRect(), { x, y } = element._fullData[trace];
            return [box.x + xaxis._offset + xaxis.d2p(x[point]), box.y + yaxis._offset + yaxis.d2p(y[point])];
        }""",
        [plot, trace, point],
    )
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    page.wait_for_selector(f"#{plot} .hoverlayer .hovertext")
    return page.locator(f"#{plot} .hoverlayer").text_content()


def text(page, selector):
    return page.locator(selector).text_content()


def column(page, table, number):
    rows = page.locator(f"#{table} tbody tr:not([hidden])")
    return rows.locator(f"> :nth-child({number})").all_text_contents()


def test_the_page_opens_from_a_file_without_network(desktop):
    page = desktop
    assert page.locator(".plot .main-svg").count() >= 7
    assert page.locator("figure:visible").count() == 7
    assert "8 runs of 4 learners" in text(page, "header")
    assert "hps on cifar100-10: 1 of 2 seeds; missing 1" in text(page, ".warnings")
    assert "7 runs" in text(page, ".warnings") or "8 runs" in text(page, ".warnings")  # one line for all small runs


def test_hovering_a_curve_names_its_configuration_and_value(desktop):
    page = desktop
    page.select_option("#learner", label="lasem-hps")
    page.select_option("#task", "1")
    page.wait_for_function("document.querySelector('#run-says').textContent.startsWith('Task 1')")
    trace, name, value = page.evaluate(
        """() => {
            const { data } = document.getElementById("probabilities"), at = data[0].x.indexOf(16);
            const lines = data.map(({ name, y }, i) => [i, name, y[at]]).filter(([, name]) => /^[01]{4}$/.test(name));
            return lines.reduce((best, line) => (line[2] > best[2] ? line : best));
        }"""
    )
    shown = hover(page, "probabilities", trace, 9 + 7)  # 8 epochs and a gap come before the task
    assert f"{name} {value:.3f}" in shown
    assert "epoch 16" in shown
    faded = page.evaluate("document.getElementById('probabilities').data.filter((trace) => trace.opacity < 1).length")
    assert faded > 0


def test_choosing_task_seed_and_learner_shows_them(desktop):
    page = desktop
    page.select_option("#learner", label="lasem-hps")
    first = page.evaluate("document.getElementById('accuracy').data[0].y")
    page.select_option("#seed", label="1")
    page.wait_for_function(
        "(before) => JSON.stringify(document.getElementById('accuracy').data[0].y) !== before", arg=str(first)
    )
    assert "s1" in text(page, "#facts")
    page.select_option("#task", "2")
    assert text(page, "#run-says").startswith("Task 2 (task of 2): layers ")
    low, high = page.evaluate("document.getElementById('accuracy').layout.xaxis.range")
    assert low < 17 < 24 < high  # epochs 17 to 24
    assert low > 16
    assert text(page, "#tasks tr[aria-current]").startswith("2")
    assert page.locator("#leading tbody tr").count() >= 8
    page.select_option("#learner", label="stl")
    page.wait_for_function("document.getElementById('probabilities-figure').hidden")
    assert page.locator("#seed").input_value() == str(
        page.evaluate("runs.findIndex((run) => run.seed === 1 && run.name.endsWith('/stl'))")
    )


def test_column_titles_sort_with_the_keyboard_too(desktop):
    page = desktop
    title = page.locator("#comparison-table th button", has_text="final")
    title.click()
    number = title.evaluate("(button) => button.parentElement.cellIndex + 1")
    values = [float(cell.split()[0]) for cell in column(page, "comparison-table", number) if cell != "-"]
    assert values == sorted(values, reverse=True)
    assert title.evaluate("(button) => button.parentElement.ariaSort") == "descending"
    title.press("Enter")
    values = [float(cell.split()[0]) for cell in column(page, "comparison-table", number) if cell != "-"]
    assert values == sorted(values)
    page.fill("#filter", "darts")
    assert column(page, "comparison-table", 1) == ["darts-hps"]
    assert "1 of 5 rows" in text(page, "#comparison-says")


def contrast(page, selector):
    """Of text on the page's ground, after WCAG."""

    def luminance(color):
        channels = [int(value) / 255 for value in re.findall(r"\d+", color)[:3]]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    style = "(element) => [getComputedStyle(element).fill, getComputedStyle(element).color]"
    fill, color = page.locator(selector).first.evaluate(style)
    ink = fill if "svg" in selector else color
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light, dark = sorted((luminance(ink) + 0.05, luminance(ground) + 0.05), reverse=True)
    return light / dark


READ = ("h1", ".soft", "nav a", ".warnings li", "#accuracy svg .xtick text")


def ground(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_light_page_can_be_read(desktop):
    assert ground(desktop) == "rgb(255, 255, 255)"
    for selector in READ:
        assert contrast(desktop, selector) >= 4.5, selector


def test_the_dark_page_can_be_read_and_a_button_switches(runs, opened):
    page = opened(runs / "report.html", theme="dark")
    assert ground(page) == "rgb(20, 23, 27)"
    for selector in READ:
        assert contrast(page, selector) >= 4.5, selector
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    page.click("#theme")
    assert ground(page) == "rgb(255, 255, 255)"
    assert contrast(page, "#accuracy svg .xtick text") >= 4.5


def test_on_a_phone_only_tables_scroll_sideways(runs, opened):
    page = opened(runs / "report.html", width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    widths = page.locator(".scroll").first.evaluate("(box) => [box.scrollWidth, box.clientWidth]")
    assert widths[0] > widths[1]
    assert page.locator("figure:visible").count() == 7


def test_the_keyboard_reaches_every_control_in_order(desktop):
    page = desktop
    page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
    page.locator(".skip").focus()
    reached = [page.evaluate("document.activeElement.textContent")]
    while reached[-1] != "#task" and len(reached) < 60:
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.id ? `#${document.activeElement.id}` : document.activeElement.textContent"
            )
        )
    assert reached[0] == "Skip to the comparison"
    controls = ["#theme", "#filter", "#measure", "#learner", "#seed", "#task"]
    assert [name for name in reached if name in controls] == controls


def test_controls_plots_and_tables_have_names(desktop):
    page = desktop
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("select, input, button, table, [role=region], [role=group], nav")]
            .filter((element) => !(element.labels?.length || element.ariaLabel || element.textContent.trim()
              || element.getAttribute("aria-labelledby")))
            .map((element) => element.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    missing = page.evaluate(
        """() => [...document.querySelectorAll("[aria-labelledby], [aria-describedby]")]
            .flatMap((element) => ["aria-labelledby", "aria-describedby"].map((name) => element.getAttribute(name)))
            .flatMap((names) => names?.split(" ") ?? [])
            .filter((id) => id && !document.getElementById(id))"""
    )
    assert missing == []
    assert page.locator("main").count() == page.locator("h1").count() == 1


def test_names_from_specs_stay_text(tmp_path, opened):
    write_runs(tmp_path / "runs", learners=("lasem-hps",), seeds=1, tasks=2, epochs=3)
    evil = "<img src=x onerror=console.log(1)></script><b>x"
    for file in tmp_path.rglob("*.*"):
        if file.is_file():
            file.write_text(file.read_text().replace("task of 1", evil).replace("lasem-hps", evil))
    write_page(collect([tmp_path / "runs"]), tmp_path / "report.html")
    page = opened(tmp_path / "report.html")
    page.select_option("#task", "1")
    assert page.locator("img, b:text('x')").count() == 0
    assert evil in text(page, "#run-says")
    assert "<b>x" in hover(page, "accuracy", 2, 1)


@pytest.mark.slow
def test_a_live_page_reads_itself_again_and_keeps_what_was_chosen(runs, tmp_path, opened):
    out = tmp_path / "report.html"
    found = collect([runs / "runs"])
    write_page(found, out, Live(0.3, "12:00:00", "first"))
    page = opened(out)
    page.select_option("#learner", label="darts-hps")
    page.select_option("#task", "2")
    page.evaluate("scrollTo(0, 800)")
    page.evaluate("document.documentElement.dataset.mark = 'old'")
    time.sleep(1)  # looks at the same version change nothing
    assert page.evaluate("document.documentElement.dataset.mark") == "old"
    write_page(found, out)
    page.wait_for_selector("html[data-ready]:not([data-mark])", state="attached")
    assert page.locator("#task").input_value() == "2"
    assert page.locator("#learner option:checked").text_content() == "darts-hps"
    assert page.evaluate("scrollY") == 800
    assert page.locator("body[data-live]").count() == 0
