"""Ordinary life of the city in records: inspections, penalties, complaints, camera events, opinions, insurance claims.

Base rates keep ordinary subjects below every rule almost always; the decoys (a doubtful rat, a revoked licence without
a successor, a lone complaint about a rare matter) are meant to tempt loose rules.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from connectors.city import words
from connectors.city.calendar import DAYS, HOUR, Calendar
from connectors.city.frames import choose, choose_by_sector, party, rows
from connectors.city.names import GIVEN, SURNAMES
from connectors.city.register import Register

Ints = npt.NDArray[np.int64]
Rng = np.random.Generator
_EVENTS_PER_CAMERA: Final = 20


@dataclass(frozen=True, slots=True)
class Scene:
    """What every generator of records needs: randomness, the register, the clock."""

    rng: Rng
    register: Register
    calendar: Calendar

    def times(self, count: int, first_hour: float, last_hour: float) -> Ints:
        """`count` moments on any of the days, between two local hours, all at least an hour before now."""
        day = self.rng.integers(1, DAYS, count)
        hour = self.rng.triangular(first_hour, (first_hour + last_hour) / 2, last_hour, count)
        at = np.array([self.calendar.at(0, 0)]) - day * 24 * HOUR + (hour * HOUR).astype(np.int64)
        return np.minimum(at, self.calendar.now - HOUR)

    def subjects(self, count: int, sectors: tuple[str, ...] = ()) -> Ints:
        """Rows of any subjects (of those sectors): a few have many more visitors than most."""
        pool = np.concatenate([self.register.of_sector[s] for s in sectors]) if sectors else None
        size = len(self.register.subjects) if pool is None else len(pool)
        # Some subjects are busier: a share of the draws goes to a tenth of them.
        wide = self.rng.integers(0, size, count)
        busy = self.rng.integers(0, max(1, size // 10), count) * 10 % size
        drawn = np.where(self.rng.random(count) < 0.15, busy, wide)
        return drawn if pool is None else pool[drawn]


def person_names(rng: Rng, count: int) -> list[str]:
    """Names of people."""
    first = np.array(list(SURNAMES))[rng.integers(0, len(SURNAMES), count)]
    return [a + b for a, b in zip(first.tolist(), rng.choice(GIVEN, count).tolist(), strict=True)]


def complaints(scene: Scene, subject: Ints, at: Ints, category: list[str], kinds: list[str]) -> pl.DataFrame:
    """Complaints of those categories and types, each by another person."""
    rng, count = scene.rng, len(subject)
    said = [words.COMPLAINTS[c] for c in category]
    place = scene.register.subjects["subject_name"].gather(subject).to_list()
    own: dict[str, Any] = {
        "complaint_type": kinds,
        "channel": choose(rng, words.CHANNELS, count),
        "title": [title for title, _ in said],
        "text": [f"反映{name}{text}" for name, (_, text) in zip(place, said, strict=True)],
        "category": category,
        "urgency": choose(rng, words.URGENCY, count),
        "ticket_no": [f"GD{n:012d}" for n in rng.integers(0, 10**12, count).tolist()],
        "complainant": [f"{SURNAMES[n % len(SURNAMES)]}**#{n:08d}" for n in rng.integers(0, 10**8, count).tolist()],
        "accepted_at": at + 5 * 60_000,
        "handler": scene.register.subjects["department"].gather(subject),
    }
    return rows("complaint", scene.register, subject, at, own)


def ordinary_complaints(scene: Scene, count: int) -> pl.DataFrame:
    """Complaints as every hotline gets them: half of them are questions and wishes."""
    subject = scene.subjects(count)
    sectors = scene.register.subjects["sector"].gather(subject)
    category = choose_by_sector(scene.rng, words.COMPLAINTS_BY_SECTOR, words.COMMON_COMPLAINTS, sectors)
    return complaints(
        scene, subject, scene.times(count, 7, 23), category, choose(scene.rng, words.COMPLAINT_TYPES, count)
    )


def inspections(
    scene: Scene, subject: Ints, at: Ints, *, result: list[str], critical: Ints, check_type: list[str]
) -> pl.DataFrame:
    """Inspections with those results, critical violations and types of check; two officers each."""
    rng, count = scene.rng, len(subject)
    bad = np.isin(np.array(result), ["fail", "transferred", "fixed-on-site"])
    first, second = person_names(rng, count), person_names(rng, count)
    own: dict[str, Any] = {
        "result": result,
        "action_name": ["监督检查"] * count,
        "action_code": [f"JC{n:012d}" for n in rng.integers(0, 10**12, count).tolist()],
        **party(scene.register, subject),
        "check_form": choose(rng, words.CHECK_FORMS, count),
        "check_type": check_type,
        "officers": [f"{a},{b}" for a, b in zip(first, second, strict=True)],
        "officer_codes": [f"62{n:06d},62{n + 1:06d}" for n in rng.integers(0, 10**6 - 1, count).tolist()],
        "violations": critical + np.where(bad, rng.integers(1, 6, count), 0),
        "critical_violations": critical,
        "institution": scene.register.subjects["department"].gather(subject),
        "submitted_at": at + 2 * HOUR,
    }
    return rows("inspection", scene.register, subject, at, own)


def ordinary_inspections(scene: Scene, count: int) -> pl.DataFrame:
    """Inspections of any subjects; a failed one has a critical violation now and then, never two."""
    subject = scene.subjects(count)
    result = choose(scene.rng, words.RESULTS, count)
    # A failed product sampling is an incident in itself, so ordinary samplings pass.
    check_type = choose(scene.rng, words.CHECK_TYPES, count)
    result = ["pass" if c == "product-sampling" else r for r, c in zip(result, check_type, strict=True)]
    critical = (np.array(result) == "fail") & (scene.rng.random(count) < 0.3)
    at = scene.times(count, 8.5, 18)
    return inspections(scene, subject, at, result=result, critical=critical.astype(np.int64), check_type=check_type)


def penalties(scene: Scene, subject: Ints, at: Ints, kinds: list[str]) -> pl.DataFrame:
    """Penalties of those types (codes of domain 1.4)."""
    rng, count = scene.rng, len(subject)
    fined = np.array(["02" in k for k in kinds])
    fine = np.where(fined, np.round(np.exp(rng.normal(8.5, 0.8, count)), -2), 0.0)
    facts = rng.choice(words.PENALTY_FACTS, count).tolist()
    own: dict[str, Any] = {
        "penalty_type": kinds,
        "action_name": ["行政处罚"] * count,
        "action_code": [f"CF{n:012d}" for n in rng.integers(0, 10**12, count).tolist()],
        "case_source": ["监督检查"] * count,
        **party(scene.register, subject),
        "facts": facts,
        "basis": ["相关法律法规"] * count,
        "procedure": np.where(rng.random(count) < 0.6, "01", "02").tolist(),
        "hearing": [False] * count,
        "criminal": [False] * count,
        "major": (fine > 50_000).tolist(),
        "document_no": [f"烽市监罚〔2026〕{n}号" for n in rng.integers(1, 9999, count).tolist()],
        "decided_at": at,
        "fine": fine,
        "filed_at": at - 20 * 24 * HOUR,
        "closed_at": at + HOUR,
        "submitted_at": at + 2 * HOUR,
    }
    return rows("penalty", scene.register, subject, at, own)


def ordinary_penalties(scene: Scene, count: int) -> pl.DataFrame:
    """Penalties of any subjects, mostly fines and warnings."""
    return penalties(scene, scene.subjects(count), scene.times(count, 9, 18), choose(scene.rng, words.PENALTIES, count))


def sightings(
    scene: Scene, subject: Ints, at: Ints, *, camera: list[str], label: list[str], confidence: npt.NDArray[np.float64]
) -> pl.DataFrame:
    """Events of cameras."""
    digest = scene.rng.bytes(32 * len(subject)).hex()
    own: dict[str, Any] = {
        "device_id": camera,
        "label": label,
        "confidence": np.round(confidence, 3),
        "picture": [f"/pictures/{c}/{t}.jpg" for c, t in zip(camera, at.tolist(), strict=True)],
        "sha256": [digest[64 * i : 64 * i + 64] for i in range(len(subject))],
    }
    return rows("video", scene.register, subject, at, own)


def ordinary_sightings(scene: Scene, count: int) -> pl.DataFrame:
    """What cameras see on ordinary days; the rats and minors they believe to see have low confidence."""
    owners = scene.subjects(max(6, count // _EVENTS_PER_CAMERA), tuple(words.LABELS_BY_SECTOR))
    camera = scene.rng.integers(0, len(owners), count)
    subject = owners[camera]
    label = choose_by_sector(
        scene.rng, words.LABELS_BY_SECTOR, {"motion": 1.0}, scene.register.subjects["sector"].gather(subject)
    )
    confidence = scene.rng.uniform(0.5, 0.98, count)
    confidence = np.where(np.isin(label, ["rat", "minor", "smoke"]), confidence * 0.65, confidence)
    ids = [f"CAM-{n:06d}" for n in camera.tolist()]
    return sightings(scene, subject, scene.times(count, 6, 23), camera=ids, label=label, confidence=confidence)


def opinions(scene: Scene, subject: Ints, at: Ints, which: Ints) -> pl.DataFrame:
    """Posts and reviews; `which` chooses the tone from `words.OPINIONS`."""
    rng, count = scene.rng, len(subject)
    tone = [words.OPINIONS[i] for i in which.tolist()]
    own: dict[str, Any] = {
        "channel": choose(rng, words.OPINION_CHANNELS, count),
        "text": [text for _, text in tone],
        "url": [f"https://opinion.example/{n:012x}" for n in rng.integers(0, 2**48, count).tolist()],
        "category": ["review"] * count,
        "sentiment": [
            round(value + shift, 2) for (value, _), shift in zip(tone, rng.uniform(-0.15, 0.15, count), strict=True)
        ],
    }
    return rows("opinion", scene.register, subject, at, own)


def ordinary_opinions(scene: Scene, count: int) -> pl.DataFrame:
    """What people post on ordinary days: mostly friendly."""
    which = scene.rng.choice(5, count, p=[0.35, 0.3, 0.2, 0.1, 0.05])
    return opinions(scene, scene.subjects(count), scene.times(count, 8, 24), which)


def claims(scene: Scene, subject: Ints, at: Ints, card: list[str], fee: npt.NDArray[np.float64]) -> pl.DataFrame:
    """Settlements of insured persons: one reading a visit, by masked card, in yuan."""
    own = {"device_id": card, "metric": "claim_fee", "value": np.round(fee, 2), "unit": "元", "flag": "N"}
    own = {name: [value] * len(subject) if isinstance(value, str) else value for name, value in own.items()}
    return rows("iot", scene.register, subject, at, own)


def ordinary_claims(scene: Scene, count: int) -> pl.DataFrame:
    """Visits of insured persons: about two a card in the period."""
    cards = max(1, count // 2)
    owner = scene.subjects(cards, ("medical-insurance",))
    card = scene.rng.integers(0, cards, count)
    fee = np.minimum(np.exp(scene.rng.normal(5.2, 0.7, count)), 2_400)
    ids = [f"CARD-{n:07d}" for n in card.tolist()]
    return claims(scene, owner[card], scene.times(count, 8, 20), ids, fee)
