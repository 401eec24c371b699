"""Fine-grained kinds of Toybox's downstream sets: families whose members differ in one or two details."""

from __future__ import annotations

# The language is that of ``silhouettes``. Star corners were computed once (inner radius 0.5) and rounded.

STARS: dict[str, str] = {
    "star-4": """
        b p 0,-97 34,-34 97,0 34,34 0,97 -34,34 -97,0 -34,-34""",
    "star-6": """
        b p 0,-97 24,-42 84,-49 48,0 84,48 24,42 0,97 -24,42 -84,49 -48,0 -84,-49 -24,-42""",
    "star-7": """
        b p 0,-97 21,-43 76,-60 47,-11 95,22 38,30 42,87 0,48 -42,87 -38,30 -95,22 -47,-11 -76,-60 -21,-43""",
    "star-8": """
        b p 0,-97 18,-44 69,-69 44,-18 97,0 44,18 69,69 18,44 0,97 -18,44 -69,69 -44,18
        -97,0 -44,-18 -69,-69 -18,-44""",
    "star-9": """
        b p 0,-97 16,-45 62,-74 42,-24 96,-17 47,8 84,48 31,37 33,91 0,48 -33,91 -31,37
        -84,49 -47,8 -96,-17 -42,-24 -62,-74 -16,-45""",
    "star-10": """
        b p 0,-97 15,-46 57,-78 39,-28 92,-30 48,0 92,30 39,28 57,78 15,46 0,97 -15,46
        -57,78 -39,28 -92,30 -48,0 -92,-30 -39,-28 -57,-78 -15,-46""",
}

_VEIN = "i k 5 0,-70 0,94"
LEAVES: dict[str, str] = {
    "leaf-oval": f"""
        b o 0,-98/ 46,-50 56,0 40,50 0,80/ -40,50 -56,0 -46,-50
        s p -5,70 5,70 5,99 -5,99
        {_VEIN}""",
    "leaf-lance": f"""
        b o 0,-99/ 22,-40 26,10 16,60 0,84/ -16,60 -26,10 -22,-40
        s p -5,70 5,70 5,99 -5,99
        {_VEIN}""",
    "leaf-heart": f"""
        b o 0,-98/ 50,-40 76,10 66,56 34,70 0,50/ -34,70 -66,56 -76,10 -50,-40
        s p -5,50 5,50 5,99 -5,99
        {_VEIN}""",
    "leaf-oak": f"""
        b o 0,-98 24,-84 24,-62 50,-56 52,-34 32,-22 60,-8 62,16 36,22 50,44 40,62 18,58 0,82/
        -18,58 -40,62 -50,44 -36,22 -62,16 -60,-8 -32,-22 -52,-34 -50,-56 -24,-62 -24,-84
        s p -5,70 5,70 5,99 -5,99
        {_VEIN}""",
    "leaf-maple": f"""
        b p 0,-98 18,-58 44,-72 38,-30 92,-38 74,-6 90,14 44,30 52,56 0,48 -52,56 -44,30
        -90,14 -74,-6 -92,-38 -38,-30
        -44,-72 -18,-58
        s p -5,46 5,46 5,99 -5,99
        {_VEIN}""",
    "leaf-feather": """
        b e 0,-74 16,25
        b e -34,-36 36,14
        b e 34,-36 36,14
        b e -38,2 40,15
        b e 38,2 40,15
        b e -34,42 36,15
        b e 34,42 36,15
        s p -5,-60 5,-60 5,99 -5,99""",
}


def _fish(*, height: int, tail: str, top: str) -> str:
    """Return a fish with a body of ``height``, a tail (fork, fan, point) and a back fin (long, spike, none)."""
    tails = {"fork": "44,0 99,-56 76,0 99,56", "fan": "48,0 88,-44 99,-20 99,20 88,44", "point": "44,-14 99,0 44,14"}
    fins = {
        "long": f"s p -40,{-height + 6} -30,{-height - 22} 34,{-height - 14} 44,{-height + 24}",
        "spike": f"s p -14,{-height + 6} 16,{-height - 40} 22,{-height + 8}",
        "none": "",
    }
    return f"""
        s p {tails[tail]}
        {fins[top]}
        b o -96,2 -62,{-height * 3 // 4} -10,{-height} 36,{-height // 2} 62,0/ 36,{height // 2} -10,{height}
        -62,{height * 3 // 4}
        i e -64,{-height // 5} 8,8"""


FISHES: dict[str, str] = {
    "fish-herring": _fish(height=26, tail="fork", top="spike"),
    "fish-eel": _fish(height=17, tail="point", top="long"),
    "fish-perch": _fish(height=42, tail="fan", top="long"),
    "fish-shark": _fish(height=32, tail="fork", top="spike") + "\n        s p -16,24 6,60 14,22",
    "fish-carp": _fish(height=44, tail="fork", top="none"),
    "fish-moon": _fish(height=66, tail="fan", top="spike"),
}
