"""The built-in strategies by name, none of which is imported before it is looked up."""

from typing import TYPE_CHECKING

from lasem.registry import Importable, Registry

if TYPE_CHECKING:
    from lasem.search._strategy import AbstractStrategy

STRATEGIES: "Registry[type[AbstractStrategy]]" = Registry(
    "strategy",
    group="lasem.strategies",
    base="lasem.search:AbstractStrategy",
    builtin={
        "fixed": Importable("lasem.search:Fixed", "The same static configuration for every task."),
        "em": Importable("lasem.search:EM", "Search by expectation-maximization."),
        "drawn-em": Importable(
            "lasem.search:DrawnEM",
            "Search by expectation-maximization over candidates that are drawn anew, with a prior per group.",
        ),
        "darts": Importable(
            "lasem.search:DARTS",
            "Search by gradient descent on a relaxation: every stage outputs a mixture of its branches.",
        ),
        "brute-force": Importable(
            "lasem.search:InTurn",
            "Candidates for a learner that trains them one after another, each as a plain network.",
        ),
    },
)
"""Registry of search strategies, by the name that a spec gives as ``learner.strategy``."""
