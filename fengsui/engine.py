"""Everything of `up`, as a context: services, topics, starter rules, workers, gateways; found by others in run.json."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from connectors.admin import TopicMismatchError, ensure_topics
from fengsui.crew import Crew
from fengsui.embedded import ServiceError, Services, services, stop_on_sigterm
from fengsui.publishing import publish_packs
from fengsui.runfile import Run, published
from fengsui.settings import Settings


@dataclass(slots=True)
class Engine:
    """A running engine. `settings` hold the addresses in use."""

    settings: Settings
    services: Services
    crew: Crew
    http_url: str
    ports: dict[str, int]  # of the device gateways, by name
    worker_urls: list[str]
    _stop: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Until Ctrl-C or SIGTERM."""
        while not self._stop.wait(3600):
            pass


@contextmanager
def engine(settings: Settings, workers: int = 1) -> Iterator[Engine]:
    """Start everything in order; on leaving, for any cause, stop it in the reverse order. Raises ServiceError."""
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            stack.enter_context(stop_on_sigterm())
        running = stack.enter_context(services(settings))
        settings = running.settings
        client = settings.kafka_client()
        try:
            ensure_topics(client, settings.topic_prefix, settings.partitions, settings.replication)
        except TopicMismatchError as error:
            raise ServiceError(str(error)) from error
        publish_packs(settings)
        crew = stack.enter_context(Crew(settings, workers, gateway=True))
        urls = crew.wait_ready()
        http, ports = crew.gateway()
        stack.enter_context(published(settings, Run.of(settings, http=http, metrics=urls[0], gateways=ports)))
        yield Engine(settings, running, crew, http, ports, urls)
