"""Sinks for tests."""

from lasem.runs import Sink


class Listener(Sink):
    """Calls functions with what a sink is told; one that raises fails the run as any sink would."""

    def __init__(self, *, started=lambda start: None, event=lambda event: None, ended=lambda: None):
        self.started, self.event, self.ended = started, event, ended
