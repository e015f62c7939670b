"""What a run will take in memory and time, beside what there is: counted and measured before it starts."""

from lasem.preflight._check import check_with_room as check_with_room
from lasem.preflight._check import require_memory as require_memory
from lasem.preflight._check import shortage as shortage
from lasem.preflight._demand import Limits as Limits
from lasem.preflight._estimate import Estimate as Estimate
from lasem.preflight._estimate import estimate as estimate
