"""Classes of the eight downstream sets that ImageNet's 1,000 hold too: a network was taught them by name.

``assumed``: no paper lists them. The rule is that a class's name, id or synonym is one of an ImageNet class's names,
in any case, without "indoor" and "outdoor" (SUN397 tells them apart), and with "cat" behind it (Persian); and two
breeds whose ImageNet name is longer (German short-haired pointer, soft-coated wheaten terrier). Aircraft, cars,
textures and land use share no name; whether pictures of a Boeing 737 were taught as "airliner" is another question.
"""

from __future__ import annotations

from collections.abc import Mapping

BY_HAND = ("german_shorthaired", "wheaten_terrier")
_PETS = """american_pit_bull_terrier basset_hound beagle boxer chihuahua Egyptian_Mau english_cocker_spaniel
english_setter german_shorthaired great_pyrenees japanese_chin keeshond leonberger miniature_pinscher newfoundland
Persian pomeranian pug saint_bernard samoyed scottish_terrier Siamese staffordshire_bull_terrier wheaten_terrier
yorkshire_terrier"""
_SCENES = """barn beach boathouse bookstore candy_store carrousel castle church_indoor church_outdoor cliff closet coast
dam dock fountain greenhouse_indoor greenhouse_outdoor hot_tub_outdoor labyrinth_outdoor library_indoor library_outdoor
lighthouse manufactured_home market_indoor market_outdoor monastery_outdoor mosque_indoor mosque_outdoor mountain
movie_theater_indoor nursery palace patio planetarium_outdoor restaurant sandbar shoe_shop stage_indoor tent_outdoor
toyshop valley viaduct volcano water_tower"""

KNOWN: Mapping[str, tuple[str, ...]] = {  # by data set
    "oxford-flower-102": ("artichoke",),
    "oxford-iiit-pets": tuple(_PETS.split()),
    "food-101": ("guacamole", "hot_dog", "ice_cream", "pizza"),
    "sun397": tuple(_SCENES.split()),
}
