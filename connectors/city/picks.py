"""Who an incident befalls: subjects drawn per sector, never the same one for two incidents."""

import numpy as np

from connectors.city.register import Register


class Picks:
    """Draws subjects of a register by sector. `take` reserves one; `any` gives one that is free, and may again."""

    def __init__(self, seed: int, register: Register) -> None:
        self._rng = np.random.default_rng([seed, 3])
        self._queue = {sector: self._rng.permutation(rows).tolist() for sector, rows in register.of_sector.items()}
        self._names = register.subjects["subject"]

    def take(self, sector: str) -> int:
        """A subject row of the sector that nothing was planted at yet. Raises ValueError when the sector is used up."""
        if len(self._queue[sector]) <= 1:
            raise ValueError(f"too few subjects in {sector}")
        return int(self._queue[sector].pop())

    def any(self, sector: str) -> int:
        """A subject row of the sector that is not reserved so far."""
        queue = self._queue[sector]
        return int(queue[int(self._rng.integers(0, len(queue)))])

    def subject(self, row: int) -> str:
        """The subject of a row."""
        return str(self._names[row])
