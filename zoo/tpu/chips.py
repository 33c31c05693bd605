"""TPU chips: what their documentation says of them, and how the compiler calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from zoo.errors import ArgumentError, nearest_names


@dataclass(frozen=True)
class Chip:
    """One kind of chip.

    Attributes:
        name: such as "v5e".
        topologies: number of chips -> the compiler's name for so many.
        options: further arguments of the compiler's topology.
        peak: operations per second at the most, multiplications and additions, by dtype. With the
            default precision a TPU multiplies float32 in bfloat16 and adds in float32
            (docs.jax.dev, jax.lax.Precision), so that the two have one peak.
        hbm: memory in bytes.
        bandwidth: of the memory, bytes per second.
        clock: Hz, of which the compiler's cycles are.
        source: the page that peak, memory and bandwidth are from.
        clock_source: what the clock is from.
    """

    name: str
    topologies: Mapping[int, str]
    peak: Mapping[str, float]
    hbm: int
    bandwidth: float
    clock: float
    source: str
    clock_source: str
    options: Mapping[str, object] = field(default_factory=dict)

    def topology(self, chips: int) -> str:
        """The compiler's name for so many chips.

        Raises:
            ArgumentError: there is none of that number.
        """
        if chips not in self.topologies:
            raise ArgumentError(
                f"There is no topology of {chips} chips of {self.name} here.",
                received=f"chips={chips}",
                accepted=", ".join(map(str, self.topologies)),
            )
        return self.topologies[chips]


_GIB, _GB = 1 << 30, 10**9


def _peak(bfloat16: float) -> Mapping[str, float]:
    return MappingProxyType({"bfloat16": bfloat16, "float32": bfloat16})


def _by_peak(units: str) -> str:
    return f"not published: the peak over what {units} multiply and add in a cycle"


# HBM is what the documentation calls GiB or GB; the compiler says in its own errors how much of it
# a program can have, 15.75 GiB of v5e's 16. With one chip of v4 or v5p the topology is still that
# of a host, of which one chip is used.
CHIPS = MappingProxyType(
    {
        chip.name: chip
        for chip in (
            Chip(
                name="v4",
                topologies={1: "v4:2x2x1", 4: "v4:2x2x1"},
                options={"chip_config_name": "megacore"},  # both cores of a chip as one device
                peak=_peak(275e12),
                hbm=32 * _GIB,
                bandwidth=1200e9,
                clock=1.05e9,
                source="https://cloud.google.com/tpu/docs/v4",
                clock_source="Jouppi et al. 2023, TPU v4, table 4: 1050 MHz (arXiv:2304.01433)",
            ),
            Chip(
                name="v5e",
                topologies={1: "v5e:1x1", 4: "v5e:2x2", 8: "v5e:2x4", 16: "v5e:4x4"},
                peak=_peak(197e12),
                hbm=16 * _GIB,
                bandwidth=819e9,
                clock=1.5e9,
                source="https://cloud.google.com/tpu/docs/v5e",
                clock_source=_by_peak("4 units of 128 x 128"),
            ),
            Chip(
                name="v5p",
                topologies={1: "v5p:2x2x1", 4: "v5p:2x2x1"},
                peak=_peak(459e12),
                hbm=95 * _GB,
                bandwidth=2765e9,
                clock=1.75e9,
                source="https://cloud.google.com/tpu/docs/v5p",
                clock_source=_by_peak("8 units of 128 x 128"),
            ),
            Chip(
                name="v6e",
                topologies={1: "v6e:1x1", 4: "v6e:2x2", 8: "v6e:2x4", 16: "v6e:4x4"},
                peak=_peak(918e12),
                hbm=32 * _GIB,
                bandwidth=1640e9,
                clock=1.75e9,
                source="https://cloud.google.com/tpu/docs/v6e",
                clock_source=_by_peak("4 units of 256 x 256"),
            ),
        )
    }
)


def chip(name: str) -> Chip:
    """The chip of this name.

    Raises:
        ArgumentError: there is none.
    """
    if name not in CHIPS:
        raise ArgumentError(
            "There is no such chip to compile for.",
            received=name,
            accepted=", ".join(CHIPS),
            nearest=nearest_names(name, CHIPS),
        )
    return CHIPS[name]
