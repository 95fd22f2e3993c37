"""Simulated sensors: the same on each call, in an order that holds for each of them."""

from connectors.simulate.mqtt import reading, readings, sensors

START = 1_790_000_000_000


def test_readings_are_drawn_anew_the_same() -> None:
    """Sensors and values depend on names and times only; each round has every sensor once, later than the one before."""
    of = sensors(10)
    assert of == sensors(10)
    told = list(readings(of, START, 3, every_ms=500))
    assert told == list(readings(of, START, 3, every_ms=500))
    assert [topic for topic, _ in told[10:20]] == [sensor.topic for sensor in of]
    assert told[20][1] == reading(of[0], START + 1000)
