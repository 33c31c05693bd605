"""What was measured of one network at one batch size, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoo.benchmarks.forms import FORMS, REFERENCE, Setting
from zoo.benchmarks.roofline import Ceilings
from zoo.benchmarks.spread import Spread

# (one form, another) -> the least ratio of their throughputs that zoo promises.
TARGETS = {("shim", "session"): 0.95, ("shim", "keras"): 1.0}
# A gradient tape without a graph takes its time.
TARGETS_OF_INFERENCE = {("shim eager", "shim"): 0.9}

_MIB = 1 << 20


@dataclass
class Turns:
    """A form's measurements.

    Attributes:
        runtime: what ran it, and how, such as "torch 2.13.0, compiled".
        seconds: of one batch, in each round.
        cpu_seconds: the same, of processor time.
        first_seconds: of the first batch, with what is compiled then.
        host_peak: the most memory its process had at once in its turns, bytes; forms that share
            the process hold theirs meanwhile.
        device_peak: of the GPU's memory; None on the CPU.
        multiplications: of one image, where it is not the network's own.
    """

    runtime: str = ""
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    first_seconds: float = 0.0
    host_peak: int = 0
    device_peak: int | None = None
    multiplications: int | None = None

    def add(
        self, seconds: float, cpu_seconds: float, host_peak: int, device_peak: int | None
    ) -> None:
        """Another turn."""
        self.seconds.append(seconds)
        self.cpu_seconds.append(cpu_seconds)
        self.host_peak = max(self.host_peak, host_peak)
        if device_peak is not None:
            self.device_peak = max(self.device_peak or 0, device_peak)

    @property
    def median(self) -> float:
        return Spread.of(self.seconds).median

    @property
    def compile_seconds(self) -> float:
        """The first step without what a step takes anyway."""
        return max(0.0, self.first_seconds - self.median)


@dataclass(frozen=True)
class Ratio(Spread):
    """How many times the throughput of another form one form has, taken in each round.

    Attributes:
        target: what the median has to reach.
    """

    target: float = 0.0

    @property
    def met(self) -> bool:
        return self.median >= self.target


@dataclass(frozen=True)
class Speeds:
    """What was measured of one network at one batch size.

    Attributes:
        setting: of all forms.
        batch: images in a batch.
        image_size: height and width, pixels.
        rounds: that were asked for.
        turns: form -> its measurements.
        skipped: form -> why it was not measured.
        wrong: forms of zoo's that are skipped because they computed something else.
        parameters: of the network, moving averages included.
        multiplications: of one image, in convolutions and matrix products.
        ceilings: what the device does at most; None if it was not measured.
        least_seconds: what that allows a batch.
        device: its name, "cpu" or the GPU's.
        load: the system's load average before; None where it has none.
    """

    setting: Setting
    batch: int
    image_size: int
    rounds: int
    turns: Mapping[str, Turns] = field(repr=False)
    skipped: Mapping[str, str] = field(default_factory=dict)
    wrong: frozenset[str] = frozenset()
    parameters: int | None = None
    multiplications: int | None = None
    ceilings: Ceilings | None = None
    least_seconds: float | None = None
    device: str = "cpu"
    load: float | None = None

    @property
    def model(self) -> str:
        return self.setting.model

    @property
    def best(self) -> str | None:
        """zoo's fastest form, by the median over the rounds."""
        return self._fastest(is_peer=False)

    @property
    def best_peer(self) -> str | None:
        """The fastest peer; None if there was none to measure."""
        return self._fastest(is_peer=True)

    @property
    def ratios(self) -> dict[str, Ratio]:
        """ "shim/session" and so on -> ratio of throughputs; above 1 the first is faster."""
        targets = TARGETS | ({} if self.setting.trains else TARGETS_OF_INFERENCE)
        if self.best and self.best_peer:
            targets.setdefault((self.best, self.best_peer), 1.0)
        return {
            f"{one}/{other}": Ratio(**vars(self.over(one, other)), target=target)
            for (one, other), target in targets.items()
            if one in self.turns and other in self.turns
        }

    @property
    def met(self) -> bool:
        """Whether something was measured, every ratio reaches its target, and every form of
        zoo's computes what the Session does."""
        return bool(self.turns) and not self.wrong and all(r.met for r in self.ratios.values())

    def images_per_second(self, form: str) -> float:
        return self.batch / self.turns[form].median

    def over(self, form: str, other: str | None) -> Spread | None:
        """The throughput of a form in that of another, taken in each round."""
        if form not in self.turns or other not in self.turns:
            return None
        ours, theirs = self.turns[form].seconds, self.turns[other].seconds
        return Spread.of([b / a for a, b in zip(ours, theirs, strict=True)])

    def to_dicts(self) -> list[dict]:
        """A flat row for each form, those skipped too, for CSV and JSON; times in milliseconds,
        but for `compile_seconds`; multiplications in 1e9, parameters as they are."""
        return [self._row(form) for form in FORMS if form in {**self.turns, **self.skipped}]

    def _fastest(self, is_peer: bool) -> str | None:
        """The Session is TensorFlow's, and not a form that zoo gives a network."""
        of_kind = [
            form for form in self.turns if FORMS[form].is_peer == is_peer and form != REFERENCE
        ]
        return max(of_kind, key=self.images_per_second, default=None)

    def _row(self, form: str) -> dict:
        turns = self.turns.get(form)
        return {
            "model": self.model,
            "batch_size": self.batch,
            "img_size": self.image_size,
            "form": form,
            "is_peer": FORMS[form].is_peer,
            "work": self.setting.work,
            "dtype": self.setting.dtype,
            "device": self.device,
            "mode": FORMS[form].mode,
            "runtime": turns.runtime if turns else None,
            "threads": self.setting.threads,
            "load": self.load,
            "rounds": self.rounds,
            "param_count": self.parameters,
            "gmacs": self._gmacs(form),
            **self._times(turns),
            **_parts("over_best_peer", self.over(form, self.best_peer)),
            **_parts("over_session", self.over(form, REFERENCE)),
            **self._roofline(turns),
            **_memory(turns),
            "skipped": self.skipped.get(form),
        }

    def _gmacs(self, form: str) -> float | None:
        """A peer's own, where it is known: its network may be wired otherwise."""
        made = self.turns[form].multiplications if form in self.turns else None
        if made is None and FORMS[form].is_peer and FORMS[form].worker != "onnxruntime":
            return None
        made = made or self.multiplications
        return None if made is None else round(made / 1e9, 4)

    def _times(self, turns: Turns | None) -> dict:
        if turns is None:
            return dict.fromkeys(
                ("samples_per_sec", "step_time", "step_time_low", "step_time_high", "cpu_time")
                + ("compile_seconds",)
            )
        spread = Spread.of(turns.seconds)
        return {
            "samples_per_sec": round(self.batch / spread.median, 2),
            "step_time": round(1e3 * spread.median, 3),
            "step_time_low": round(1e3 * spread.low, 3),
            "step_time_high": round(1e3 * spread.high, 3),
            "cpu_time": round(1e3 * Spread.of(turns.cpu_seconds).median, 3),
            "compile_seconds": round(turns.compile_seconds, 3),
        }

    def _roofline(self, turns: Turns | None) -> dict:
        if self.ceilings is None or self.least_seconds is None:
            return dict.fromkeys(("of_roofline", "peak_gflops", "peak_gbytes_per_sec"))
        return {
            "of_roofline": round(self.least_seconds / turns.median, 4) if turns else None,
            "peak_gflops": round(self.ceilings.flops_per_second / 1e9, 1),
            "peak_gbytes_per_sec": round(self.ceilings.bytes_per_second / 1e9, 1),
        }


def _memory(turns: Turns | None) -> dict:
    peaks = {
        "host_peak_mib": turns.host_peak if turns else None,
        "device_peak_mib": turns.device_peak if turns else None,
    }
    return {name: size and round(size / _MIB) for name, size in peaks.items()}


def _parts(name: str, ratio: Spread | None) -> dict:
    return {
        name + ("" if part == "median" else f"_{part}"): ratio and round(getattr(ratio, part), 3)
        for part in ("median", "low", "high")
    }
