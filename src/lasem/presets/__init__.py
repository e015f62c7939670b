"""Presets: published experiments by name, composed of partial specs, a folder of TOML files per axis."""

from lasem.presets._catalogue import HEADING as HEADING
from lasem.presets._catalogue import Entry as Entry
from lasem.presets._catalogue import benchmark_entries as benchmark_entries
from lasem.presets._catalogue import kinds_of_presets as kinds_of_presets
from lasem.presets._catalogue import learner_entries as learner_entries
from lasem.presets._catalogue import option_keys as option_keys
from lasem.presets._catalogue import preset_entries as preset_entries
from lasem.presets._catalogue import suggest_key as suggest_key
from lasem.presets._compose import Composed as Composed
from lasem.presets._compose import Layer as Layer
from lasem.presets._compose import check_names as check_names
from lasem.presets._compose import compose as compose
from lasem.presets._compose import preset_values as preset_values
