"""Runs: the loop over a task stream, run folders that can be resumed, and what a finished run has learned."""

from lasem.runs._build import build_learner as build_learner
from lasem.runs._build import build_mechanism as build_mechanism
from lasem.runs._build import build_strategy as build_strategy
from lasem.runs._check import check as check
from lasem.runs._checkpoint import Checkpoint as Checkpoint
from lasem.runs._checkpoint import read_checkpoint as read_checkpoint
from lasem.runs._environment import arithmetic as arithmetic
from lasem.runs._environment import choose_device as choose_device
from lasem.runs._environment import keep_freed_memory as keep_freed_memory
from lasem.runs._environment import suited_threads as suited_threads
from lasem.runs._environment import torch_threads as torch_threads
from lasem.runs._folder import RunFolder as RunFolder
from lasem.runs._in_memory import Outcome as Outcome
from lasem.runs._in_memory import learn as learn
from lasem.runs._load import Learned as Learned
from lasem.runs._load import load as load
from lasem.runs._lock import Holder as Holder
from lasem.runs._lock import exclusive as exclusive
from lasem.runs._lock import holder as holder
from lasem.runs._loop import Evaluation as Evaluation
from lasem.runs._options import RunOptions as RunOptions
from lasem.runs._run import prepare as prepare
from lasem.runs._run import run as run
from lasem.runs._signals import Signals as Signals
from lasem.runs._sink import RunStart as RunStart
from lasem.runs._sink import Sink as Sink
