"""Whatever comes in: a result or a LasemError, and no error of another kind."""

import shutil
import tomllib
from contextlib import suppress

import data_cases
import pytest
import run_cases
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lasem
from lasem.benchmarks import Split, Task, TaskStream
from lasem.errors import LasemError
from lasem.report import collect
from lasem.runs import RunOptions, check, read_spec, resolve
from lasem.runs import run as run_spec

BOUNDED = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
BASE = resolve("digits/lasem-hps").table()
SECTIONS = [name for name, value in BASE.items() if isinstance(value, dict)]
KEYS = sorted(
    {(section, key) for section in SECTIONS for key in BASE[section]}
    | {("search", "partition"), ("search", "candidates"), ("learner", "mechanism"), ("benchmark", "order")}
    | {("mechanism", key) for key in ("penalty_weight", "channels")}
    | {("benchmark", key) for key in ("max_test", "first_tasks", "tasks", "noise_sd", "changes", "source")}
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 10**30, 1e308, float("nan"), float("inf"), -0.0]),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["tf", "dfcnn", "fixed", "darts", "resnet-18", "synthetic", "images", "{1},{2,3}", "{0}", "paper"]),
    st.dates(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
CHANGES = st.lists(st.tuples(st.sampled_from(KEYS) | st.tuples(st.text(max_size=4), st.text(max_size=4)), VALUES))


@settings(BOUNDED, max_examples=200)
@given(CHANGES, st.dictionaries(st.sampled_from([*SECTIONS, "name", "profile", "x"]), VALUES, max_size=1))
def test_any_table_is_a_sound_spec_or_a_lasem_error(changes, tops):
    table = {name: dict(value) if isinstance(value, dict) else value for name, value in BASE.items()}
    for (section, key), value in changes:
        table.setdefault(section, {})
        if isinstance(table[section], dict):
            table[section][key] = value
    try:
        spec = read_spec(table | tops, place="here")
        check(spec)
    except LasemError:
        return
    assert read_spec(tomllib.loads(spec.toml()), place="again").folder == spec.folder


@settings(BOUNDED, max_examples=100)
@given(st.text(max_size=20), st.text(max_size=20) | SCALARS.map(str))
def test_any_setting_and_any_name_is_taken_or_a_lasem_error(name, value):
    for target, setting in ((name, "training.epochs=1"), ("digits/stl/small", f"{name}={value}")):
        with suppress(LasemError):
            check(resolve(target, [setting]))


@settings(BOUNDED, max_examples=80)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_file_is_a_spec_or_a_lasem_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "own.toml"
    path.write_bytes(content)
    with pytest.raises(LasemError):
        check(resolve(str(path)))


SHAPES = st.lists(st.integers(0, 7), min_size=0, max_size=5) | st.just([6, 1, 6, 6])
TYPES = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.uint8, torch.bool, torch.complex64])
PIXELS = st.sampled_from([0.0, 1.0, -1e30, 3e38, float("nan"), float("inf")])
LABELS = st.lists(st.integers(-1, 3), max_size=7) | st.just([0, 1, 0, 1, 0, 1])


@st.composite
def splits(draw):
    """A split that could be one, or that could not."""
    usual = draw(st.booleans())
    shape, dtype = ([6, 1, 6, 6], torch.float32) if usual else (draw(SHAPES), draw(TYPES))
    images = torch.full(shape, draw(PIXELS) if draw(st.booleans()) else 0.5).to(dtype)
    labels = torch.tensor(draw(LABELS), dtype=draw(st.sampled_from([torch.int64, torch.int64, torch.float32])))
    return lambda: Split(images=images, labels=labels)


SENSIBLE = st.just(data_cases.split)


@settings(BOUNDED, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.lists(SENSIBLE | splits(), min_size=3, max_size=3),
            st.sampled_from([2, 3, 1, 0, -1, 2.0, "2", None]),
            st.sampled_from([None, 0, 1, -1, "0", 2**70]),
        ),
        max_size=2,
    ),
    st.integers(0, 7),
)
def test_any_stream_is_learned_or_a_lasem_error(parts, batch):
    try:
        tasks = []
        for made, classes, identity in parts:
            train, valid, test = (make() for make in made)
            tasks.append(Task(name="t", classes=classes, train=train, valid=valid, test=test, identity=identity))
        TaskStream.of(tasks)
        outcome = data_cases.learned(*tasks, batch=batch)
    except LasemError:
        return
    assert 0 <= outcome.measures.final_accuracy <= 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    run_spec(run_cases.spec(), RunOptions(out=out, device="cpu"))
    return out


NAMES = ["spec.toml", "records.jsonl", "result.json", "stream.json", "checkpoint"]


@settings(BOUNDED, max_examples=40)
@given(
    st.sampled_from(NAMES),
    st.binary(max_size=80) | st.text('{}[]":,0aeiountrlsv\n', max_size=40).map(str.encode),
    st.floats(0, 1),
    st.booleans(),
)
def test_any_bytes_in_a_run_folder_are_read_or_a_lasem_error(finished, tmp_path_factory, name, junk, where, whole):
    """The bytes stand for the file, or for a part of it; the run is read, loaded and run again."""
    out = tmp_path_factory.mktemp("copy")
    shutil.copytree(finished, out, dirs_exist_ok=True)
    folder = out / run_cases.spec().folder
    for file in sorted((folder / name).iterdir()) if name == "checkpoint" else [folder / name]:
        content = file.read_bytes() if file.exists() else b""
        place = int(where * len(content))
        file.write_bytes(junk if whole else content[:place] + junk + content[place + len(junk) :])
    for use in (lambda: collect([folder]), lambda: lasem.load(folder), lambda: run_cases.again(out)):
        with suppress(LasemError):
            use()
    if name != "result.json":
        (folder / "result.json").unlink()  # so that the run goes on from what there is
        with suppress(LasemError):
            run_cases.again(out)
    shutil.rmtree(out)
