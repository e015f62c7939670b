"""Odd words: text, values, settings of specs and arguments of commands."""

import random

ODD = (
    "",
    " ",
    ".",
    "..",
    "/",
    "../../etc",
    "\x00",
    "\x1b]0;title\x07\x1b[31m",
    "[/b]",
    "[red]x",
    "<script>alert(1)</script>",
    "=1+1",
    "US${ and US$}",
    "$x$ $y",
    "\\input{x} % & _",
    "a|b\nc",
    "\udcff",
    "\u202eabc",
    "名前",
    "a" * 300,
    "--out",
    "-1",
    "nan",
    "1e400",
    "9" * 5000,
    "{a=1}",
    "[1,",
    "'",
)
NUMBERS = (0, 1, -1, 2, 10**9, 10**30, -(10**18), 0.5, 1.5, 1e12, 1e308, -1e-320, float("inf"), float("nan"))
KEYS = (
    "training.epochs",
    "training.learning_rate",
    "training.batch_size",
    "training.optimizer",
    "training.decay",
    "training.precision",
    "benchmark.first_tasks",
    "benchmark.order",
    "benchmark.train_per_class",
    "benchmark.source",
    "benchmark.kind",
    "benchmark.name",
    "network.name",
    "learner.kind",
    "learner.name",
    "learner.strategy",
    "search.partition",
    "search.candidates",
    "search.epsilon",
    "search.memory",
    "search.commit_at",
    "search.commit_at.share",
    "mechanism.name",
    "mechanism.channels",
    "seed",
    "stream_seed",
    "name",
    "profile",
    "plugins",
    "evaluation",
    "nothing.there",
)
PRESETS = (
    "digits/hps",
    "digits/stl",
    "digits/lasem-hps",
    "digits/darts-tf",
    "digits/brute-force-hps",
    "digits/den",
    "digits/apd",
    "synthetic/lasem-dfcnn",
    "cifar100-10/lasem-hps/small",
)
COMMANDS = ("list", "run", "sweep", "show", "report", "table", "figure", "export")
OPTIONS = ("--out", "--set", "--seeds", "--data", "--threads", "--max-memory", "--checkpoint-every", "--format",
           "--workers", "--every", "--device", "--plugin", "--dry-run", "--list", "--status", "--explain",
           "--quiet", "--help")  # fmt: skip


def odd_text(draw: random.Random) -> str:
    """Draw a text that has broken programs before, or random characters."""
    if draw.random() < 0.7:
        return draw.choice(ODD)
    return "".join(chr(draw.randrange(0xD800)) for _ in range(draw.randrange(12)))


def odd_value(draw: random.Random) -> object:
    """Draw a value of JSON: a number at a limit, text, nothing, or something nested."""
    match draw.randrange(9):
        case 0 | 1 | 2:
            return draw.choice(NUMBERS)
        case 3:
            return odd_text(draw)
        case 4:
            return draw.choice((None, True, False, [], {}))
        case 5:
            return [odd_value(draw) for _ in range(draw.randrange(4))]
        case 6:
            return {odd_text(draw): odd_value(draw) for _ in range(draw.randrange(3))}
        case 7:
            return [[[[[]]]]]
        case _:
            return draw.random()


def settings(draw: random.Random) -> tuple[list[str], str]:
    """Draw settings for `--set`, and a preset, mostly one that exists."""
    values = [odd_text, lambda d: repr(odd_value(d)), lambda d: str(d.choice(NUMBERS)), lambda d: d.choice(PRESETS)]
    words = [f"{draw.choice(KEYS)}={draw.choice(values)(draw)}" for _ in range(draw.choice((1, 1, 2, 4)))]
    if draw.random() < 0.1:
        words.append(odd_text(draw))
    return words, odd_text(draw) if draw.random() < 0.1 else draw.choice(PRESETS)


def arguments(draw: random.Random) -> list[str]:
    """Draw a command line that ends before training: each has `--dry-run`, or a command that only reads."""
    command = draw.choice(COMMANDS)
    words = [command]
    if command in ("run", "sweep"):
        words.append("--dry-run")
    for _ in range(draw.randrange(5)):
        match draw.randrange(5):
            case 0:
                words.append(draw.choice(OPTIONS))
            case 1 | 2:
                words += [draw.choice(OPTIONS[:12]), odd_text(draw)]
            case 3:
                words.append(draw.choice(("runs", "spec.toml", "comparison", "accuracy", *PRESETS)))
            case _:
                words.append(odd_text(draw))
    return [word.replace("\x00", "") for word in words]  # a shell passes no NUL
