"""Run folders, and what can happen to them on a disk."""

import contextlib
import json
import os
import random
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

from words import odd_text, odd_value

from lasem.errors import RunStopped
from lasem.runs import RunOptions, resolve, run

SETTINGS = [
    "benchmark.first_tasks=2",
    "benchmark.train_per_class=10",
    "benchmark.max_test=20",
    "network.name=synthetic-3",
    "training.epochs=2",
    "training.batch_size=15",
]


def make_runs(template: Path | None, here: Path) -> Path:
    """Fill a folder with a finished run, an unfinished one and its spec; train them once, then copy them.

    Args:
        template: A folder that this function has filled before; None trains the runs.
        here: Folder to fill.
    """
    if template is not None:
        shutil.copytree(template, here, dirs_exist_ok=True)
        return here
    options = RunOptions(out=here / "runs", device="cpu", threads=1, checkpoint_every=1)
    run(resolve("digits/hps", SETTINGS), options)
    epochs = count(1)
    with contextlib.suppress(RunStopped):
        run(resolve("digits/lasem-hps", SETTINGS), options, stop=lambda: next(epochs) == 3)
    unfinished = next(path for path in (here / "runs").iterdir() if not (path / "result.json").exists())
    shutil.copy(unfinished / "spec.toml", here / "spec.toml")
    return here


def damage(draw: random.Random, folder: Path, *, only: str = "*") -> None:
    """Damage one to three files below a folder, each in one of the ways of this file."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        paths = sorted(path for path in folder.rglob(only) if path.is_file() and not path.is_symlink())
        if paths:
            draw.choice(WAYS)(draw, draw.choice(paths))


def _cut(draw: random.Random, path: Path) -> None:
    os.truncate(path, draw.randrange(path.stat().st_size + 1))


def _flip(draw: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(draw.choice((1, 1, 10))):
        if content:
            content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)


def _insert(draw: random.Random, path: Path) -> None:
    content = path.read_bytes()
    place = draw.randrange(len(content) + 1)
    odd = odd_text(draw).encode("utf-8", "surrogateescape")
    path.write_bytes(content[:place] + odd + content[place:])


def _replace_by_folder(draw: random.Random, path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace_by_link(draw: random.Random, path: Path) -> None:
    path.unlink()
    path.symlink_to(draw.choice((path.name, "/dev/null", "/nothing/there", "..")))


def _remove(draw: random.Random, path: Path) -> None:
    path.unlink()


def _remove_folder(draw: random.Random, path: Path) -> None:
    shutil.rmtree(path.parent)
    if draw.random() < 0.3:
        path.parent.write_bytes(b"")


def _rename_folder(draw: random.Random, path: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        path.parent.rename(path.parent.with_name(odd_text(draw)))


def _add_file(draw: random.Random, path: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        (path.parent / odd_text(draw)).write_bytes(draw.randbytes(draw.randrange(50)))


def _repeat(draw: random.Random, path: Path) -> None:
    path.write_bytes(path.read_bytes() * draw.choice((2, 200)))


def _swap_lines(draw: random.Random, path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    draw.shuffle(lines)
    path.write_bytes(b"".join(lines))


def _nest(draw: random.Random, path: Path) -> None:
    depth = draw.choice((100, 100_000))
    path.write_bytes(b"a = " * (path.suffix == ".toml") + b"[" * depth + b"]" * depth + b"\n")


def _change_value(draw: random.Random, path: Path) -> None:
    """Change one value of a JSON file, or of one line of a file of JSON lines."""
    try:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        chosen = draw.randrange(len(lines))
        lines[chosen] = json.dumps(_changed(draw, json.loads(lines[chosen])))
        path.write_text("\n".join(lines) + "\n")
    except (ValueError, RecursionError):  # a file that is no JSON, such as a checkpoint or an earlier victim
        _flip(draw, path)


def _changed(draw: random.Random, value: object) -> object:
    """Return a value of JSON with one of its leaves changed, removed or added."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(sorted(value))
        if draw.random() < 0.15:
            return {name: item for name, item in value.items() if name != key}
        return value | {key: _changed(draw, value[key])}
    if isinstance(value, list) and value and draw.random() < 0.8:
        place = draw.randrange(len(value))
        if draw.random() < 0.2:
            return value[:place]
        return [*value[:place], _changed(draw, value[place]), *value[place + 1 :]]
    return odd_value(draw)


WAYS: tuple[Callable[[random.Random, Path], None], ...] = (
    _cut,
    _flip,
    _insert,
    _replace_by_folder,
    _replace_by_link,
    _remove,
    _remove_folder,
    _rename_folder,
    _add_file,
    _repeat,
    _swap_lines,
    _nest,
    *[_change_value] * 10,
)
"""What can happen to a file; half of all damage changes a value and leaves the file readable."""
