"""What the README and the documentation name must exist, and what they show must run."""

import dataclasses
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from lasem.benchmarks import AbstractBenchmark, Images
from lasem.cli import app
from lasem.runs import check, resolve
from lasem.sweeps import read_sweep

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "perf" / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
COMMAND = get_command(app)


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(path):
    """Anchors that headings get: lower case, spaces to dashes, without punctuation."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands():
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    return sorted({line.split("#")[0].strip() for line in lines if line.startswith("lasem ")})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target, anchor in LINK.findall(text):
        found = (page.parent / target) if target else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), anchor


@pytest.mark.parametrize("line", commands())
def test_commands_parse_and_their_specs_are_sound(line):
    _, name, *arguments = shlex.split(line)
    parsed = COMMAND.commands[name].make_context(name, arguments).params
    for target in parsed.get("targets", ()):
        if not target.endswith(".toml"):
            check(resolve(target, parsed["settings"] or []))


def test_run_folder_that_is_loaded_is_the_one_that_the_demo_makes():
    folder = resolve("digits/lasem-hps").folder
    for page in (ROOT / "README.md", ROOT / "docs" / "runs.md"):
        assert f'lasem.load("runs/demo/{folder}")' in page.read_text(encoding="utf-8"), page


def test_specs_shown_are_sound(tmp_path):
    shown = [block for page in PAGES for block in blocks(page, "toml")]
    assert shown
    for number, block in enumerate(shown):
        path = tmp_path / f"{number}.toml"
        path.write_text(block, encoding="utf-8")
        if {"grid", "presets"} & tomllib.loads(block).keys():
            read_sweep(path)
        else:
            check(resolve(str(path)))


def test_blocks_of_the_extending_page_run():
    left: dict = {"__name__": "extending"}
    for block in blocks(ROOT / "docs" / "extending.md", "python"):
        exec(compile(block, "docs/extending.md", "exec"), left)
    assert len(left["outcome"].configurations) == 2
    assert left["blobs"].outline.identities == (0, 1, 0)
    assert left["learner"].backbone.configurations.keys() == {0}


def test_blocks_of_the_page_on_own_data_run():
    made: dict = {}
    for block in blocks(ROOT / "docs" / "own-data.md", "python"):
        exec(compile(block, "docs/own-data.md", "exec"), made)
    assert len(made["stream"]) == 1
    assert len(made["train"]) == len(made["valid"]) == 60


def test_the_page_on_own_data_tells_every_option_of_images():
    rows = re.findall(
        r"^\| `(\w+)` \|", (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert sorted(rows) == sorted(field.name for field in dataclasses.fields(Images))


def test_table_of_streams_agrees_with_the_presets():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `([\w-]+)` \| (\d+) \| (\d+)[^|]*\| (about )?(\d+) / (\d+) / (?:about )?(\d+) \|",
        text,
        flags=re.MULTILINE,
    )
    assert len(rows) == 8
    for name, tasks, classes, about, train, valid, test in rows:
        benchmark = check(resolve(f"{name}/stl"))
        assert isinstance(benchmark, AbstractBenchmark)
        outline = benchmark.outline()
        assert outline is not None
        assert (outline.num_tasks, set(outline.classes)) == (int(tasks), {int(classes)}), name
        sizes = {"train": int(train), "valid": int(valid), "test": int(test)}
        assert outline.images == pytest.approx(sizes, rel=0.05 if about else 0), name


def test_version_and_day_of_the_release_are_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    day = re.search(r"^date-released: (\S+)$", citation, flags=re.MULTILINE)
    assert day is not None
    assert f"\nversion: {version}\n" in citation
    assert f"\n## [{version}] - {day[1]}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
