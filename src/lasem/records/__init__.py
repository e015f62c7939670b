"""What a run leaves behind: events as lines of JSON, the history that they add up to, and the result at the end.

Records are read without torch, by reports, by sweeps and by whoever opens the files.
"""

from lasem.metrics import ForgettingRatio as ForgettingRatio
from lasem.metrics import Measures as Measures
from lasem.metrics import PeakAccuracy as PeakAccuracy
from lasem.metrics import Series as Series
from lasem.records._events import MOST_CANDIDATES as MOST_CANDIDATES
from lasem.records._events import DecisionRecord as DecisionRecord
from lasem.records._events import EpochRecord as EpochRecord
from lasem.records._events import EvaluationRecord as EvaluationRecord
from lasem.records._events import Event as Event
from lasem.records._events import InterruptedRecord as InterruptedRecord
from lasem.records._events import NoteRecord as NoteRecord
from lasem.records._events import Record as Record
from lasem.records._events import TaskRecord as TaskRecord
from lasem.records._events import line as line
from lasem.records._history import History as History
from lasem.records._history import TaskHistory as TaskHistory
from lasem.records._history import measures_of as measures_of
from lasem.records._reader import EventReader as EventReader
from lasem.records._reader import HistoryReader as HistoryReader
from lasem.records._reader import read_events as read_events
from lasem.records._result import Grown as Grown
from lasem.records._result import Parameters as Parameters
from lasem.records._result import Result as Result
from lasem.records._result import ResumptionRecord as ResumptionRecord
from lasem.records._result import RunFacts as RunFacts
from lasem.records._result import Seconds as Seconds
from lasem.records._result import read_result as read_result
from lasem.records._search_track import SearchTrack as SearchTrack
from lasem.records._search_track import close_call as close_call
from lasem.records._search_track import power_once as power_once
