"""Measures of a task stream from its accuracies: peak accuracy, forgetting, transfer, and their spread over runs.

The accuracy matrix R is (T, T): R[i, j] is the test accuracy, a fraction, of the task at position j after the task at
position i was learned; NaN for j > i, and for what was not measured. A function that takes a matrix takes the tasks
learned so far: its last row is the present. Without a defined value it returns NaN, never 0; `measures` puts None
there, and says why in `undefined`.

A task may come back: positions of equal identity are visits of one task. The latest visit so far counts as the task's
own training, each task counts once in a mean, and a task that has just been visited again is not an earlier task.
"""

from lasem.metrics._formulas import FloatArray as FloatArray
from lasem.metrics._formulas import LearningCurve as LearningCurve
from lasem.metrics._formulas import OrderDisparity as OrderDisparity
from lasem.metrics._formulas import Peak as Peak
from lasem.metrics._formulas import Spread as Spread
from lasem.metrics._formulas import accuracy_matrix as accuracy_matrix
from lasem.metrics._formulas import average_incremental_accuracy as average_incremental_accuracy
from lasem.metrics._formulas import backward_transfer as backward_transfer
from lasem.metrics._formulas import distinguishable as distinguishable
from lasem.metrics._formulas import epochs_to_fraction as epochs_to_fraction
from lasem.metrics._formulas import final_accuracy as final_accuracy
from lasem.metrics._formulas import forgetting as forgetting
from lasem.metrics._formulas import forgetting_ratio_curve as forgetting_ratio_curve
from lasem.metrics._formulas import forgetting_ratios as forgetting_ratios
from lasem.metrics._formulas import forward_transfer as forward_transfer
from lasem.metrics._formulas import latest_visits as latest_visits
from lasem.metrics._formulas import order_disparity as order_disparity
from lasem.metrics._formulas import peak_accuracy as peak_accuracy
from lasem.metrics._formulas import spread as spread
from lasem.metrics._measures import ForgettingRatio as ForgettingRatio
from lasem.metrics._measures import Measures as Measures
from lasem.metrics._measures import PeakAccuracy as PeakAccuracy
from lasem.metrics._measures import Reference as Reference
from lasem.metrics._measures import Series as Series
from lasem.metrics._measures import measures as measures
