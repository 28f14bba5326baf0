"""The plan is compared with a plain second definition of which frames a gap lies between."""

from random import Random

import pytest

from vsifrnet.detect.plan import Fact, Gap, Kind, decide


def by_runs(facts: list[Fact], dup_max: int) -> list[Gap]:
    """All decisions of a clip at once, run by run; ``decide`` sees a window only."""
    gaps: list[Gap] = []
    while len(gaps) < len(facts):
        first = last = len(gaps)
        while facts[last].held:
            last += 1
        bridged = last - first + 1 <= dup_max and not facts[last].cut
        for k in range(first, last):
            made = Gap(Kind.MAKE, first, last + 1)
            gaps.append(made if bridged else Gap(Kind.STILL, k, k + 1))
        if facts[last].cut:
            gaps.append(Gap(Kind.CUT, last, last + 1))
        else:
            gaps.append(Gap(Kind.MAKE, first if bridged else last, last + 1))
    return gaps


@pytest.mark.parametrize("dup_max", [0, 1, 2, 3, 5, 8])
def test_decision_sees_enough_of_its_surroundings(dup_max: int) -> None:
    random = Random(dup_max)
    for _ in range(200):
        weights = random.choice([(1, 1, 1), (6, 2, 1), (12, 1, 0)])
        kinds = random.choices(["held", "motion", "cut"], weights, k=random.randint(1, 40))
        facts = [Fact(held=kind == "held", cut=kind == "cut") for kind in kinds]
        facts.append(Fact(held=False, cut=True))  # the clip's end
        expected = by_runs(facts, dup_max)
        for k in range(len(facts)):
            window = range(max(0, k - dup_max), min(len(facts), k + max(dup_max, 1)))
            seen = {i: facts[i] for i in window}
            assert decide(k, seen, dup_max) == expected[k], (k, facts)
