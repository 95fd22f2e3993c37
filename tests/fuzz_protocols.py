"""The laws of the gateway decoders on many inputs: `python -m tests.fuzz_protocols [INPUTS]`, 100,000 a protocol by default.

Each law is played with Hypothesis; an input that takes longer than a second fails like one that raises.
"""

import sys
import time
from collections.abc import Callable
from typing import Final

from hypothesis import HealthCheck, settings

from tests.properties import test_cloudevents as cloudevents
from tests.properties import test_protocols as protocols

Law = Callable[[], None]
# Protocol -> its laws, and which share of the inputs each gets.
LAWS: Final[dict[str, tuple[tuple[Law, float], ...]]] = {
    "hj212": (
        (protocols.test_hj212_streams, 0.5),
        (protocols.test_hj212_flips, 0.4),
        (protocols.test_hj212_comes_back, 0.1),
    ),
    "gb26875": (
        (protocols.test_gb26875_streams, 0.5),
        (protocols.test_gb26875_flips, 0.4),
        (protocols.test_gb26875_comes_back, 0.1),
    ),
    "gat1400": ((protocols.test_gat1400_bodies, 0.8), (protocols.test_authorization_headers, 0.2)),
    "cloudevents": ((cloudevents.test_never_raises, 0.5), (cloudevents.test_the_command_never_raises, 0.5)),
}


def main(inputs: int = 100_000) -> None:
    """Play every law; the first input that breaks one ends it with Hypothesis's report."""
    for protocol, laws in LAWS.items():
        began = time.perf_counter()
        for law, share in laws:
            many = settings(
                max_examples=round(inputs * share),
                deadline=1000,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            many(law)()
        print(
            f"{protocol}: {inputs:,} inputs, nothing raised, none slow, {time.perf_counter() - began:.0f} s", flush=True
        )


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
