"""Presets: a benchmark file and a learner entry make an experiment."""

from lasem.presets._catalogue import Entry as Entry
from lasem.presets._catalogue import benchmark_entries as benchmark_entries
from lasem.presets._catalogue import learner_entries as learner_entries
from lasem.presets._catalogue import preset_entries as preset_entries
from lasem.presets._compose import resolve as resolve
