"""The numbers of a run as a CSV file that grows while it goes on."""

import csv
from typing import TextIO

from lasem.files import writing
from lasem.records import Event, EventReader
from lasem.runs._sink import RunStart, Sink
from lasem.runs.sinks._scalars import ScalarReader
from lasem.text import escape_csv

FILE = "scalars.csv"
"""Name of the file inside the run folder."""


class CsvLog(Sink):
    """Writes every number of a run's events into ``<run folder>/scalars.csv``, one a row: step, task, name, value.

    Whenever a run starts, resumes or is finished already, the file is written anew from the run's records. So no step
    stands there twice, and a run that began without it has its whole history.
    """

    def __init__(self) -> None:
        self._file: TextIO | None = None
        self._reader = ScalarReader()

    def started(self, start: RunStart) -> None:
        """Write the file anew from the run's records.

        Raises:
            RunError: It cannot be written.
        """
        path = start.folder / FILE
        with writing(path):
            self._file = path.open("w", encoding="utf-8", newline="")
            self._file.write("step,task,name,value\n")
            for event in EventReader(start.folder / "records.jsonl").new_events():
                self.event(event)

    def event(self, event: Event) -> None:
        """Write the numbers of an event as soon as it happens."""
        assert self._file is not None, "a run has started"
        found = self._reader.read(event)
        if found is not None:
            rows = ([found.step, found.task, escape_csv(name), value] for name, value in found.values.items())
            csv.writer(self._file, lineterminator="\n").writerows(rows)
            self._file.flush()

    def ended(self) -> None:
        """Close the file, if it was opened."""
        if self._file is not None:
            self._file.close()
