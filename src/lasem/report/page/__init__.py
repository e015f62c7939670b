"""One self-contained HTML page about some runs, which opens without a network and can follow runs that go on."""

from lasem.report.page._page import Live as Live
from lasem.report.page._page import page as page
from lasem.report.page._page import write_page as write_page
from lasem.report.page._watch import watch_page as watch_page
