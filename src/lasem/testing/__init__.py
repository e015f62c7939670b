"""Contract kits: test classes for learners, mechanisms, strategies, networks, benchmarks and runs of your own.

Derive a class from a kit, fill in `make`, and pytest runs every claim that lasem relies on::

    from lasem.testing import StrategyContract

    class TestMyStrategy(StrategyContract):
        def make(self):
            return MyStrategy(temperature=0.5)

This is the only package that needs pytest.
"""

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "pytest must be installed to use lasem.testing (got no module of that name); install it, for example with"
        " pip install pytest"
    ) from error

# pytest explains a failed assertion only in test files, and in modules that ask for it before they are imported.
pytest.register_assert_rewrite(
    *(f"lasem.testing._{name}" for name in ("benchmarks", "learners", "mechanisms", "networks", "runs", "strategies")),
    *(f"lasem.testing._{name}" for name in ("learner_kit", "learner_state", "toys")),
)

from lasem.testing._benchmarks import BenchmarkContract as BenchmarkContract  # noqa: E402
from lasem.testing._learners import LearnerContract as LearnerContract  # noqa: E402
from lasem.testing._mechanisms import MechanismContract as MechanismContract  # noqa: E402
from lasem.testing._networks import NetworkContract as NetworkContract  # noqa: E402
from lasem.testing._runs import Listener as Listener  # noqa: E402
from lasem.testing._runs import RunContract as RunContract  # noqa: E402
from lasem.testing._strategies import StrategyContract as StrategyContract  # noqa: E402
from lasem.testing._toys import SMALL_NETWORKS as SMALL_NETWORKS  # noqa: E402
from lasem.testing._toys import SMALL_TRAINING as SMALL_TRAINING  # noqa: E402
from lasem.testing._toys import answers as answers  # noqa: E402
from lasem.testing._toys import assert_same_state as assert_same_state  # noqa: E402
from lasem.testing._toys import learn_task as learn_task  # noqa: E402
from lasem.testing._toys import make_task as make_task  # noqa: E402
from lasem.testing._toys import tree_logits as tree_logits  # noqa: E402
