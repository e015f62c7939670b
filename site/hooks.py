"""Hooks of the site's build: pages from outside docs/, one reference page per package, and formulas as MathML."""

import ast
import os
import posixpath
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "lasem", "lasem.benchmarks", "lasem.configurations", "lasem.errors", "lasem.export", "lasem.learners",
    "lasem.metrics", "lasem.nn", "lasem.options", "lasem.preflight", "lasem.presets", "lasem.records",
    "lasem.registry", "lasem.report", "lasem.runs", "lasem.search", "lasem.sweeps", "lasem.testing", "lasem.training",
)  # fmt: skip
LINK = re.compile(r"(?<=\]\()(?P<target>(?!https?:|#|mailto:)[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")
FORMULA = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL)
NUMBER = re.compile(r"\\tag\{([^}]*)\}")
COMMAND = re.compile(r"^  ([a-z-]+)  ", re.MULTILINE)
"""A line about a command in the last section of `lasem --help`."""
LANGUAGES = {".py": "python", ".toml": "toml", ".cff": "yaml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of the project, the reference, and what the pages link to outside of docs/."""
    index = (ROOT / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "index.md", content=index))
    for path in sorted(_linked(files)):
        files.append(File.generated(config, _page(path), content=_content(path)))
    files.append(File.generated(config, "reference/command-line.md", content=_command_line()))
    overview = "# Reference\n\n- [The command line](command-line.md)\n\nEvery public name of Python, by package:\n\n"
    for package in PACKAGES:
        overview += f"- [`{package}`]({package}.md)\n"
        files.append(File.generated(config, f"reference/{package}.md", content=_reference(package)))
    files.append(File.generated(config, "reference/index.md", content=overview))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the project into links between pages of the site."""
    del config, files
    source = _source(page.file.src_uri)

    def replaced(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match["target"]))
        if not (ROOT / path).exists():
            return match[0]
        target = posixpath.relpath(_page(path), posixpath.dirname(page.file.src_uri) or ".")
        return target + (match["anchor"] or "")

    return LINK.sub(replaced, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn formulas into MathML, which browsers show without any script."""
    del page, config, files

    def formula(match: re.Match[str]) -> str:
        tex = unescape(match["tex"])
        number = NUMBER.search(tex)
        block = "block" if match["tag"] == "div" else "inline"
        shown = convert(NUMBER.sub("", tex).strip(), display=block)
        return f'<div style="display:flex"><div style="flex:1">{shown}</div>({number[1]})</div>' if number else shown

    return FORMULA.sub(formula, html)


def _linked(files: Files) -> set[str]:
    """Return the files outside of docs/ that pages link to, from the project's root."""
    found, waiting = set(), ["README.md", *(_source(file.src_uri) for file in files.documentation_pages())]
    while waiting:
        source = waiting.pop()
        path = ROOT / source
        if path.suffix not in (".md", ".ipynb") or not path.exists():
            continue
        for match in LINK.finditer(path.read_text(encoding="utf-8")):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match["target"]))
            if not target.startswith("docs/") and (ROOT / target).exists() and target not in {*found, "README.md"}:
                found.add(target)
                waiting.append(target)
    return found


def _page(path: str) -> str:
    """Return the page that shows a file of the project."""
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/").replace(".ipynb", ".md")
    return f"project/{path}" if path.endswith(".md") else f"project/{path}.md"


def _source(page: str) -> str:
    """Return the file that a page shows."""
    if page == "index.md":
        return "README.md"
    inner = page.removeprefix("project/")
    if inner == page:
        notebook = f"docs/{page}".replace(".md", ".ipynb")
        return notebook if (ROOT / notebook).exists() else f"docs/{page}"
    return inner if (ROOT / inner).exists() else inner.removesuffix(".md")


def _content(path: str) -> str:
    """Write the page of a file: Markdown as it is, code as a block, and a folder as a list of its files."""
    source = ROOT / path
    if source.is_dir():
        names = sorted(f"{inner.relative_to(source)}" for inner in source.rglob("*") if inner.is_file())
        return f"# {path}\n\n" + "\n".join(f"- `{name}`" for name in names if "__pycache__" not in name)
    text = source.read_text(encoding="utf-8")
    return text if path.endswith(".md") else f"# {path}\n\n```{LANGUAGES.get(source.suffix, 'text')}\n{text}\n```\n"


def _command_line() -> str:
    """Write the page of the command line: what each command prints with --help."""
    parts = [f"# The command line\n\n```text\n{_help()}\n```\n"]
    for command in COMMAND.findall(_help().partition("Commands:")[2]):
        parts.append(f"## lasem {command}\n\n```text\n{_help(command)}\n```\n")
    return "\n".join(parts)


def _help(*command: str) -> str:
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    call = [sys.executable, "-m", "lasem", *command, "--help"]
    shown = subprocess.run(call, env=environment, capture_output=True, text=True, check=True).stdout
    return shown.strip().replace("python -m lasem", "lasem")


def _reference(package: str) -> str:
    """Write the reference page of a package: every name that it exports, from where it is defined."""
    folder = ROOT / "src" / package.replace(".", "/")
    stub = folder / "__init__.pyi"
    if not stub.exists():
        return f"# {package}\n\n::: {package}\n"
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    names = sorted(
        (alias.name, f"{node.module}.{alias.name}")
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if not (folder / alias.name).is_dir() and not (folder / f"{alias.name}.py").exists()
    )
    about = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    below = "\n    options: {heading_level: 3}\n"
    parts = [f"## {name} {{#{package}.{name}}}\n\n::: {origin}{below}" for name, origin in names]
    return f"# {package}\n\n{about}\n\n" + "\n".join(parts)
