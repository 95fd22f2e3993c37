"""The simulated city: a seeded place of subjects, gateways and planted risk stories, for the demo and for tests.

>>> city = City(seed=7, events=5_000, now=1_767_225_600_000)
>>> sorted({planted.story for planted in city.truth})[:3]
['cold-store-warms', 'complaints-then-failed', 'current-creeps']
"""

from connectors.city.bad import BadEvent
from connectors.city.city import City, Delivery
from connectors.city.truth import Index, Planted, Report, Tally, score, verdict

__all__ = ["BadEvent", "City", "Delivery", "Index", "Planted", "Report", "Tally", "score", "verdict"]
