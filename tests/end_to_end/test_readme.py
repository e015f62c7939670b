"""The README's first block of Python, run as it stands."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_first_python_block_learns_its_stream(capsys):
    block = re.search(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert block is not None
    left: dict = {}
    exec(compile(block[1], str(README), "exec"), left)
    stream, outcome = left["stream"], left["outcome"]
    assert len(outcome.configurations) == len(stream)
    assert all(len(bits) == 3 and set(bits) <= {0, 1} for bits in outcome.configurations)
    assert outcome.measures.final_accuracy > 0.7
    assert left["classes"].shape == stream[0].test.labels.shape
    printed = capsys.readouterr().out
    for task, bits in zip(stream, outcome.configurations, strict=True):
        assert f"{task.name} shares layers {bits}" in printed
    assert f"accuracy at the end {outcome.measures.final_accuracy:.1%}" in printed
