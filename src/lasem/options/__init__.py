"""Options: frozen dataclasses that are the schema of a section of a spec, their faults in words, and TOML tables.

Everything that can be configured is a class with the decorator `options`. Its fields carry their own ranges, so that
the same rule holds in Python (`EM(epsilon=2.0)`), in a TOML file and on the command line, with the same message.
"""

from lasem.options._declare import Count as Count
from lasem.options._declare import CountOrShare as CountOrShare
from lasem.options._declare import Fraction as Fraction
from lasem.options._declare import NonNegative as NonNegative
from lasem.options._declare import Positive as Positive
from lasem.options._declare import Probability as Probability
from lasem.options._declare import Rate as Rate
from lasem.options._declare import Seed as Seed
from lasem.options._declare import Share as Share
from lasem.options._declare import count_of as count_of
from lasem.options._declare import defaults as defaults
from lasem.options._declare import must as must
from lasem.options._declare import options as options
from lasem.options._declare import require_unset as require_unset
from lasem.options._declare import validate as validate
from lasem.options._faults import field_types as field_types
from lasem.options._toml import Table as Table
from lasem.options._toml import merge as merge
from lasem.options._toml import parse_assignment as parse_assignment
from lasem.options._toml import read_toml as read_toml
