"""The nine classes of ImageNet-9, and the 370 ImageNet classes that count as them; the other 630 are wrong answers.

Source: backgrounds_challenge, ``in_to_in9.json`` (protocols.md §3.10). The order is that of its folders 00 to 08.
"""

from __future__ import annotations

from vgbench_tasks.imagenet import categories_of

LISTED = {
    "dog": "151-170,173-268",
    "bird": "7-24,87-100,127-146",
    "vehicle": "407-408,428,436,444,468,511,547,555,561,565,569,573,586,603,609,612,627,656,661,665,670-671,675,690,705"
    ",717,734,751,757,791,802-803,817,820,829,847,864,866-867,870,880",
    "reptile": "33-68",
    "carnivore": "269-280,286-299,356-362,387-388",
    "insect": "300-326",
    "instrument": "401-402,420,432,486,494,513,541,546,558,566,577,579,593-594,641-642,683-684,687,699,776,822,875,881"
    ",889",
    "primate": "365-384",
    "fish": "0-6,389-397",
}
CATEGORIES = categories_of(LISTED)
