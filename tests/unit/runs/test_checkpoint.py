from datetime import timedelta

import pytest
import torch
from safetensors.torch import load_file, save_file

from lasem.errors import RunError
from lasem.learners import LearnerState
from lasem.runs import RunFolder
from lasem.runs._checkpoint import SHARE, Checkpoints, read_checkpoint


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path)
    made.checkpoints_path.mkdir()
    made.records_path.write_bytes(b"12345")
    return made


def state(number):
    return LearnerState(tensors={"value": torch.full((3,), float(number))}, values={"number": number})


def write(folder, *numbers):
    """Write checkpoints in one attempt; their files."""
    checkpoints = Checkpoints(folder)
    for number in numbers:
        checkpoints.write(state(number), epoch=number)
    return sorted(folder.checkpoints_path.iterdir())


def test_a_checkpoint_survives_its_file_bit_for_bit(folder):
    values = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    tensors = {
        "kernel": values.contiguous(memory_format=torch.channels_last),
        "double": values[0, 0].double() / 3,
        "step": torch.tensor(3.0),
        "count": torch.arange(3),
        "none": torch.empty(0, 2),
    }
    values = {"visits": [0, 1], "epoch": None, "é": {"x": 0.1}}
    Checkpoints(folder).write(LearnerState(tensors=tensors, values=values), epoch=7)
    found = read_checkpoint(folder)
    assert (found.epoch, found.records, found.warnings) == (7, 5, [])
    assert found.state.values == values
    assert found.state.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found.state.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.state.tensors[name], tensor)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (16, 1, 3, 3), (8, 4, 1, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_memory_layouts_survive_also_where_an_axis_of_one_makes_them_look_alike(folder, shape, layout):
    kernel = torch.randn(shape).to(memory_format=layout)
    tensors = {
        "kernel": kernel,
        "transposed": kernel.clone().transpose(0, 1),
        "expanded": kernel[:1].clone().expand(5, -1, -1, -1),
    }
    Checkpoints(folder).write(LearnerState(tensors=tensors))
    found = read_checkpoint(folder).state.tensors
    for name in ("kernel", "transposed"):
        assert found[name].stride() == tensors[name].stride()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_nothing_that_is_read_can_execute(folder):
    (path,) = write(folder, 1)
    size = int.from_bytes(path.read_bytes()[:8], "little")
    assert path.read_bytes()[8 : 8 + size].decode().startswith("{")  # JSON, then bare numbers
    assert len(path.read_bytes()) == 8 + size + 3 * 4


def test_no_checkpoint_is_none(folder):
    assert read_checkpoint(folder) is None


def test_the_newest_two_are_kept(folder):
    files = write(folder, 1, 2, 3)
    assert [path.name[:6] for path in files] == ["000002", "000003"]
    assert read_checkpoint(folder).state.values == {"number": 3}


@pytest.mark.parametrize("where", ["length", "header", "values"])
def test_a_flipped_byte_anywhere_is_found_and_the_checkpoint_before_is_used(folder, where):
    before, damaged = write(folder, 1, 2)
    content = bytearray(damaged.read_bytes())
    places = {
        "length": range(8),
        "header": range(8, len(content) - 12),
        "values": range(len(content) - 12, len(content)),
    }
    for place in places[where][:: 7 if where == "header" else 1]:
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        damaged.write_bytes(flipped)
        found = read_checkpoint(folder)
        assert (found.path, found.state.values, found.epoch) == (before, {"number": 1}, 1)
        (warning,) = found.warnings
        assert str(damaged) in warning
        assert before.name in warning


@pytest.mark.parametrize("left", [0, 1, 7, 8, 100, -1])
def test_a_torn_checkpoint_is_found_and_the_one_before_is_used(folder, left):
    before, torn = write(folder, 1, 2)
    torn.write_bytes(torn.read_bytes()[:left])
    assert read_checkpoint(folder).path == before


def test_a_checkpoint_of_records_that_are_lost_is_passed_over(folder):
    checkpoints = Checkpoints(folder)
    checkpoints.write(state(1), epoch=1)
    folder.records_path.write_bytes(b"1234567")
    checkpoints.write(state(2), epoch=2)
    folder.records_path.write_bytes(b"123456")
    found = read_checkpoint(folder)
    assert found.state.values == {"number": 1}
    assert "7 bytes of records, records.jsonl has 6" in found.warnings[0]


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_where_none_is_whole_both_are_named_with_the_remedy(folder, content):
    files = write(folder, 1, 2)
    for path in files:
        path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    with pytest.raises(RunError, match="at least one checkpoint must be intact") as caught:
        read_checkpoint(folder)
    assert all(str(path) in str(caught.value) for path in files)
    assert f"delete {folder.checkpoints_path} to start the run anew" in str(caught.value)


def test_a_file_of_another_kind_is_no_checkpoint(folder):
    (path,) = write(folder, 1)
    save_file(load_file(path), folder.checkpoints_path / "state.safetensors")
    path.unlink()
    with pytest.raises(RunError, match=r"state\.safetensors is damaged"):
        read_checkpoint(folder)


def test_a_damaged_checkpoint_is_replaced_by_the_next_one_and_the_good_one_kept(folder):
    good, damaged = write(folder, 1, 2)
    damaged.write_bytes(b"")
    checkpoints = Checkpoints(folder, resumed=read_checkpoint(folder))
    checkpoints.write(state(3), epoch=3)
    assert not damaged.exists()
    assert good.exists()
    assert read_checkpoint(folder).state.values == {"number": 3}


def test_what_a_killed_writer_left_is_removed(folder):
    (folder.checkpoints_path / "000001-half.safetensors.new").write_bytes(b"half")
    assert len(write(folder, 1)) == 1


def test_a_checkpoint_is_due_every_so_many_epochs_and_after_every_task(folder):
    checkpoints = Checkpoints(folder, every=3)
    assert [checkpoints.due() for _ in range(7)] == [False, False, True, False, False, True, False]
    assert checkpoints.due(epoch=False)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for writes, which take a second."""
    from lasem.runs import _checkpoint

    now = [0.0]
    monkeypatch.setattr(_checkpoint.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(_checkpoint, "write_atomically", lambda *_: now.__setitem__(0, now[0] + 1.0))
    return now


def test_by_cost_a_checkpoint_is_due_after_forty_times_its_own_duration(folder, clock):
    checkpoints = Checkpoints(folder)
    clock[0] += 0.1
    assert checkpoints.due()
    checkpoints.write(LearnerState())
    clock[0] += SHARE - 1
    assert not checkpoints.due()
    clock[0] += 2
    assert checkpoints.due()


def test_by_time_a_checkpoint_is_due_once_it_has_passed(folder, clock):
    checkpoints = Checkpoints(folder, every=timedelta(seconds=30))
    assert not checkpoints.due()
    clock[0] += 30
    assert checkpoints.due()
    checkpoints.write(LearnerState())
    clock[0] += 29
    assert not checkpoints.due(epoch=False)
