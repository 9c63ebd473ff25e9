"""All attackers, by the number that the list of attacks gives them, and the pairs that run at once."""

from typing import Final

from attack.attacker import Attacker
from attack.attackers.applying import EndlessProfile, MergedObjects, Problems
from attack.attackers.http import (
    BadKeys,
    HalfHeads,
    IdnAddresses,
    KeylessSlowBodies,
    ManyNodes,
    Newcomers,
    ReadinessFlood,
    SlowBodies,
    Trailers,
    Upgrades,
)
from attack.attackers.reading import CrowdExports, TornExports, UnreadExports, Waiters
from attack.attackers.refused import RefusedFlood
from attack.attackers.sdk import EndlessMessages, HugeBatches, NewDevices, SlowBatches
from attack.attackers.store import Ageing, LockedHead

ALL: Final[tuple[tuple[type[Attacker], ...], ...]] = (
    (MergedObjects,),
    (Trailers,),
    (Upgrades,),
    (HalfHeads,),
    (Newcomers,),
    (CrowdExports,),
    (IdnAddresses,),
    (ManyNodes,),
    (EndlessProfile,),
    (UnreadExports,),
    (TornExports,),
    (SlowBodies,),
    (KeylessSlowBodies,),
    (SlowBatches,),
    (Waiters,),
    (ReadinessFlood,),
    (LockedHead,),
    (Problems,),
    (Ageing,),
    (BadKeys,),
    (NewDevices,),
    (HugeBatches,),
    (EndlessMessages,),
    (RefusedFlood,),
    (MergedObjects, CrowdExports),
    (SlowBodies, HalfHeads),
    (ManyNodes, Waiters),
)

#: What CI runs: numbers -> stores.
SHORT: Final = {
    "1": ("sqlite",),
    "2": ("sqlite",),
    "3": ("postgresql",),
    "3b": ("postgresql",),
    "5b": ("postgresql",),
}


def number(attackers: tuple[type[Attacker], ...]) -> str:
    """How a line of the table is called: `4`, or `C1+4`."""
    return "+".join(attacker.number for attacker in attackers)
