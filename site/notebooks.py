"""Hook of the site's build: notebooks in docs/ are executed, and become pages with their outputs.

A notebook becomes a page in Markdown, not in HTML as other tools make it: so its links are checked like those of all
pages, and it has the look of the site, without styles or scripts from elsewhere.
"""

import asyncio
import hashlib
import logging
import os
import tempfile
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
EXECUTED = ROOT / "build" / "notebooks"
"""Executed notebooks, whose outputs are used again until the code of the notebook or the package changes."""
STARTUP_SECONDS = 600
"""Longest time in which a kernel must start: a machine that is busy takes long."""
QUIET = ["--log-level=ERROR"]
"""Arguments of a kernel, which would warn of connections without encryption; they do not leave the machine."""
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",
}
"""Environment of a kernel: one thread, because notebooks run at the same time, and no warnings of a debugger and of
progress bars that nobody watches."""
logger = logging.getLogger("mkdocs.plugins.notebooks")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every notebook; the notebook itself stays beside it, to be downloaded."""
    found = [file for file in files if file.src_uri.endswith(".ipynb")]
    paths = [Path(str(file.abs_src_path)) for file in found]
    for file, notebook in zip(found, asyncio.run(_executed(paths)), strict=True):
        page, pictures = _page(notebook, Path(file.src_uri))
        files.append(File.generated(config, file.src_uri.replace(".ipynb", ".md"), content=page))
        for name, content in pictures.items():
            files.append(File.generated(config, f"{Path(file.src_uri).parent}/{name}", content=content))
    return files


async def _executed(paths: Sequence[Path]) -> list[NotebookNode]:
    """Return the notebooks with their outputs. Those that have to be executed run at the same time."""
    return await asyncio.gather(*map(_execute, paths))


async def _execute(path: Path) -> NotebookNode:
    """Return a notebook with its outputs, which are read from a file if no code has changed since.

    Raises:
        PluginError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    kept = EXECUTED / f"{path.stem}-{_digest(notebook)}.ipynb"
    if kept.exists():
        for cell, executed in zip(_code(notebook), _code(nbformat.read(kept, as_version=4)), strict=True):
            cell.outputs = executed.outputs
        return notebook
    logger.info("executing %s", path.relative_to(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        place = {"metadata": {"path": folder}}
        client = NotebookClient(
            notebook,
            timeout=None,
            startup_timeout=STARTUP_SECONDS,
            extra_arguments=QUIET,
            coalesce_streams=True,
            resources=place,
        )
        try:
            await client.async_execute(env=os.environ | SETTINGS)
        except (CellExecutionError, DeadKernelError) as error:
            raise PluginError(f"a cell of {path.relative_to(ROOT)} failed:\n{error}") from error
    EXECUTED.mkdir(parents=True, exist_ok=True)
    for old in EXECUTED.glob(f"{path.stem}-*.ipynb"):
        old.unlink()
    nbformat.write(notebook, kept)
    return notebook


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells of a notebook that are code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _digest(notebook: NotebookNode) -> str:
    """Return a name for all that decides the outputs of a notebook: its code, the package and the data."""
    told = [os.environ.get("LASEM_DATA", ""), *(cell.source for cell in _code(notebook))]
    digest = hashlib.sha256("\n".join(told).encode())
    for source in sorted((ROOT / "src").rglob("*")):
        if source.suffix in (".py", ".toml"):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _page(notebook: NotebookNode, path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook in Markdown, and its pictures by the names of their files."""
    parts, pictures = list[str](), dict[str, bytes]()
    download = f'This page is a notebook: <a href="{path.name}" download>download it</a>.'
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            title, _, text = cell.source.partition("\n")
            parts += [cell.source] if number else [title, download, text]
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                logger.warning("a cell of %s wrote to stderr: %s", path, output.text)
            parts.append(f'<div class="output" markdown>\n\n{_shown(output, path, pictures)}\n\n</div>')
    return "\n\n".join(parts) + "\n", pictures


def _shown(output: NotebookNode, path: Path, pictures: dict[str, bytes]) -> str:
    """Return one output in Markdown; a picture is added to `pictures`."""
    shown = {"text/plain": output.text} if output.output_type == "stream" else output.data
    if "image/png" in shown:
        name = f"{path.stem}-{len(pictures) + 1}.png"
        pictures[name] = b64decode(shown["image/png"])
        return f"![output of the cell above]({name})"
    if "text/html" in shown:
        return f"<div>\n{shown['text/html']}\n</div>"
    return f"```text\n{shown['text/plain'].rstrip()}\n```"
