"""The real data sets: where each lies, what its files are called, its splits, and what tends to go wrong with it.

Names, split sizes and metrics are ELEVATER's (GenBench uses them too), t-ReX's splits are ``trainval`` and ``test``.
No revision and no sample id is pinned: nobody has observed them here, `vgbench data fetch` does. ``val20`` and
``train80`` cut ``train`` by the hash rule where upstream has no validation split (ours).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import DatasetSpec, Rate, Split, StepRef, hookimpl
from vgbench.types import Access
from vgbench_tasks.datasets import tenths

# Rates: 224 px photographs on one of two busy cores; labels of a webdataset.
READ_IMAGES = StepRef("vgbench.read_real", "2", "vgbench_tasks.datasets.read_real:images", rate=Rate(150, 200))
READ_LABELS = StepRef("vgbench.read_real_labels", "1", "vgbench_tasks.datasets.read_real:labels", rate=Rate(20_000, 40))

VAL20 = {"of": ["train"], "from": 0, "to": 0.2}  # the lowest 20 % of each class by SHA-256 of the sample id (design §2)
TRAIN80 = {"of": ["train"], "from": 0.2}
NOT_ON_HUB = "it is not on the Hub: an ELEVATER root has it"
JOINED = [{"of": ["train", "val"]}, "train"]  # t-ReX's trainval; some copies hold it as their train split


def _real(
    name: str,
    summary: str,
    splits: Mapping[str, int | None],
    place: str,
    *,
    classes: str = "",
    rules: Mapping[str, Any] | None = None,
    license: str = "unknown",  # noqa: A002  (the field's word)
    citation: str,
    access: Access = "open",
    mirrors: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    lacks: Mapping[str, str] | None = None,
    **reading: Any,
) -> DatasetSpec:
    """Return a real data set's spec; ``reading`` is what its reader is told besides the rules of its splits."""
    rules, sizes = dict(rules or {}), dict(splits)
    if "train" in splits and ("val" not in splits or name == "sun397"):
        sizes |= {"val20": None, "train80": None}
        rules |= {"val20": VAL20, "train80": TRAIN80}
    return DatasetSpec(
        name=name,
        summary=summary,
        classes=classes or name,
        splits={split: Split(n, None) for split, n in sizes.items()},
        place=place,
        sha256=None,
        read_images=READ_IMAGES,
        read_labels=READ_LABELS,
        license=license,
        citation=citation,
        access=access,
        mirrors=mirrors,
        multi_label=bool(reading.get("multi_label")),
        notes=notes,
        lacks=lacks or {},
        reading={"splits": rules, **reading},
    )


# Sizes: ELEVATER's vision_datasets.json; of ImageNet's and its variants' as their papers give them.
_GENBENCH = (
    _real(
        "imagenet-1k",
        "1,000 kinds of things; its validation images are the test",
        {"train": 1_281_167, "test": 50_000, **dict.fromkeys(tenths.RULES)},
        "hf://ILSVRC/imagenet-1k",
        rules={"test": "val", **tenths.RULES},
        license="ImageNet terms of access (non-commercial research)",
        citation="Russakovsky et al., IJCV 2015",
        access="licence click",
        mirrors=("ILSVRC2012 folders: train/WNID, val/WNID", "clip-benchmark/wds_imagenet1k"),
        notes=(
            "the split named test has labels -1: validation is the test",
            "classes stand in the order of their wnids; two names, missile and sunglasses, stand twice",
        ),
    ),
    _real(
        "sun397",
        "397 scenes, partition 01",
        {"train": 19_850, "val": 19_850, "test": 19_850, "trainval": 19_850},
        "hf://tanganke/sun397",
        rules={"trainval": "train"},
        citation="Xiao et al., CVPR 2010",
        mirrors=("ELEVATER sun397_20230219", "vision.princeton.edu SUN397 with Partitions/Training_01.txt"),
        elevater="sun397_20230219",
        notes=(
            "clip-benchmark/wds_sun397 holds all 108,754 images, not partition 01",
            "val is ELEVATER's only, and may overlap with test: val20 does not",
        ),
        lacks={"val": NOT_ON_HUB},
    ),
    _real(
        "caltech-101",
        "101 kinds of objects and a background class",
        {"train": 3_060, "test": 6_084},
        "",
        citation="Fei-Fei et al., CVPRW 2004",
        access="manual",
        mirrors=("ELEVATER caltech_101_20211007",),
        elevater="caltech_101_20211007",
        notes=(
            "clip-benchmark/wds_vtab-caltech101 holds VTAB's split, of some 2,750 and 6,090: not ELEVATER's",
            "102 classes with the background, which torchvision drops",
            "folders begin with capitals (BACKGROUND_Google, Faces), tfds and ELEVATER sort without case",
            "Faces (off-center face) stands before Faces_easy (centered face) in tfds, after it in ELEVATER's list",
        ),
    ),
    _real(
        "cifar-10",
        "10 kinds of things at 32 px",
        {"train": 50_000, "test": 10_000},
        "hf://uoft-cs/cifar10",
        citation="Krizhevsky, 2009",
        mirrors=("ELEVATER cifar_10_20211007",),
        image="img",
        elevater="cifar_10_20211007",
        notes=("the image column is called img",),
    ),
    _real(
        "cifar-100",
        "100 kinds of things at 32 px",
        {"train": 50_000, "test": 10_000},
        "hf://uoft-cs/cifar100",
        citation="Krizhevsky, 2009",
        mirrors=("ELEVATER cifar100_20200721",),
        image="img",
        label="fine_label",
        aliases={"cra": "crab"},
        elevater="cifar100_20200721",
        notes=(
            "fine_label is the class, coarse_label one of 20 superclasses",
            "the Hub's names are sorted and call the crab 'cra'; ELEVATER's list has an order of its own",
        ),
    ),
    _real(
        "voc-2007-classification",
        "20 kinds of things, several in an image",
        {"train": 2_501, "val": 2_510, "test": 4_952},
        "hf://clip-benchmark/wds_voc2007_multilabel",
        citation="Everingham et al., IJCV 2010",
        mirrors=("ELEVATER voc2007_20211007",),
        multi_label=True,
        elevater="voc2007_20211007",
        notes=(
            "labels are one zero or one for each class (npy), not a class",
            "clip-benchmark/wds_voc2007 is another set: 14,976 cropped objects",
            "val is not on the Hub: an ELEVATER root has it",
        ),
        lacks={"val": NOT_ON_HUB},
    ),
    _real(
        "food-101",
        "101 dishes",
        {"train": 75_750, "test": 25_250, "trainval": 75_750},
        "hf://ethz/food101",
        rules={"test": "val|test", "trainval": "train"},
        citation="Bossard et al., ECCV 2014",
        mirrors=("ELEVATER food_101_20211007",),
        elevater="food_101_20211007",
        notes=("the split named validation is the test", "the training images were left noisy on purpose"),
    ),
    _real(
        "oxford-iiit-pets",
        "37 breeds of cats and dogs",
        {"train": 3_680, "test": 3_669, "trainval": 3_680},
        "hf://timm/oxford-iiit-pet",
        rules={"trainval": "train"},
        license="CC BY-SA 4.0",
        citation="Parkhi et al., CVPR 2012",
        mirrors=("clip-benchmark/wds_vtab-pets", "ELEVATER oxford_iiit_pets_20211007"),
        id="image_id",
        elevater="oxford_iiit_pets_20211007",
        notes=("label_cat_dog is the species, label the breed", "file names of cats begin with a capital"),
    ),
    _real(
        "oxford-flower-102",
        "102 flowers",
        {"train": 1_020, "val": 1_020, "test": 6_149, "trainval": 2_040},
        "hf://dpdl-benchmark/oxford_flowers102",
        rules={"trainval": JOINED},
        citation="Nilsback & Zisserman, ICVGIP 2008",
        mirrors=("clip-benchmark/wds_vtab-flowers", "ELEVATER oxford_flower_102_20211007"),
        elevater="oxford_flower_102_20211007",
        notes=(
            "some copies swap train and test: the test is the large one",
            "the original's labels begin at 1, and its classes are not in the order of the alphabet",
        ),
    ),
    _real(
        "stanford-cars",
        "196 models of cars",
        {"train": 8_144, "test": 8_041, "trainval": 8_144},
        "hf://clip-benchmark/wds_cars",
        rules={"trainval": "train"},
        citation="Krause et al., 3dRR 2013",
        mirrors=("tanganke/stanford_cars", "ELEVATER stanford_cars_20211007"),
        numbers="devkit",
        elevater="stanford_cars_20211007",
        notes=(
            "tanganke/stanford_cars also has corrupted copies of the test, which are other splits",
            "the original's address is dead (pytorch/vision#7545)",
            "the devkit's order is not ELEVATER's, which is sorted",
        ),
    ),
    _real(
        "fgvc-aircraft-2013b-variants102",
        "100 variants of aircraft",
        {"train": 3_334, "val": 3_333, "test": 3_333, "trainval": 6_667},
        "hf://clip-benchmark/wds_fgvc_aircraft",
        rules={"trainval": [*JOINED, "trainval"]},
        citation="Maji et al., 2013",
        mirrors=("ELEVATER fgvc_aircraft_2013b_variants102_20211007",),
        elevater="fgvc_aircraft_2013b_variants102_20211007",
        notes=(
            "100 variants, not 70 families or 30 manufacturers, in spite of its name's 102",
            "HuggingFaceM4/FGVC-Aircraft is a script, which datasets 4 does not run",
        ),
    ),
    _real(
        "country211",
        "where in 211 countries a photograph was taken",
        {"train": 31_650, "val": 10_550, "test": 21_100},
        "hf://clip-benchmark/wds_country211",
        citation="Radford et al., ICML 2021",
        mirrors=("ELEVATER country211_20210924",),
        elevater="country211_20210924",
        notes=("the validation split is called valid", "folders are ISO 3166 codes, class names are countries"),
    ),
    _real(
        "dtd",
        "47 textures, partition 1",
        {"train": 1_880, "val": 1_880, "test": 1_880, "trainval": 3_760},
        "hf://tanganke/dtd",
        rules={"trainval": JOINED},
        citation="Cimpoi et al., CVPR 2014",
        mirrors=("clip-benchmark/wds_vtab-dtd", "ELEVATER dtd_20211007"),
        elevater="dtd_20211007",
        notes=("there are ten partitions: this is the first", "a train split of 3,760 is train and val together"),
        lacks=dict.fromkeys(
            ("train", "val"), "the Hub's train joins the two, 3,760 samples, which is trainval: ELEVATER has both"
        ),
    ),
    _real(
        "eurosat_clip",
        "10 kinds of land use from space; splits derived",
        {"train": 5_000, "val": 5_000, "test": 5_000, "trex-trainval": 18_900, "trex-test": 8_100},
        "hf://timm/eurosat-rgb",
        rules={
            "test": {"of": ["all"], "from": 0, "to": 500},
            "val": {"of": ["all"], "from": 500, "to": 1_000},
            "train": {"of": ["all"], "from": 1_000, "to": 1_500},
            "trex-test": {"of": ["all"], "from": 0, "to": 810},
            "trex-trainval": {"of": ["all"], "from": 810},
        },
        license="MIT",
        citation="Helber et al., JSTARS 2019",
        mirrors=("the folder 2750 of EuroSAT.zip", "ELEVATER eurosat_clip_20210930"),
        id="image_id",
        ids="stem",
        elevater="eurosat_clip_20210930",
        notes=(
            "no public copy has CLIP's 500/500/500 of each class: derived by the hash rule, not CLIP's own images",
            "t-ReX shuffles with the seed, so that its test changes: here 810 of each class by the hash rule",
            "an ELEVATER root has CLIP's split: other samples, which make another column",
        ),
    ),
    _real(
        "resisc45_clip",
        "45 kinds of places from above; splits derived",
        {"train": 3_150, "val": 3_150, "test": 25_200},
        "hf://timm/resisc45",
        rules={
            "train": {"of": ["all"], "from": 0, "to": 70},
            "val": {"of": ["all"], "from": 70, "to": 140},
            "test": {"of": ["all"], "from": 140},
        },
        citation="Cheng et al., Proc. IEEE 2017",
        mirrors=("tanganke/resisc45", "ELEVATER resisc45_clip_20210924"),
        id="image_id",
        ids="stem",
        elevater="resisc45_clip_20210924",
        notes=(
            "CLIP trains on 10 % and tests on 80 %; VTAB and its copies do it the other way round",
            "700 of each class, 70/70/560 by the hash rule: not CLIP's own images",
        ),
    ),
    _real(
        "gtsrb",
        "43 German traffic signs",
        {"train": 26_640, "val": 12_569, "test": 12_630},
        "hf://clip-benchmark/wds_gtsrb",
        citation="Stallkamp et al., IJCNN 2011",
        mirrors=("tanganke/gtsrb", "ELEVATER gtsrb_20210923"),
        elevater="gtsrb_20210923",
        notes=(
            "train and val are the 39,209 of the later release; torchvision has the 26,640 alone",
            "folders are numbers of five digits",
            "val is not on the Hub: an ELEVATER root has it",
        ),
        lacks={"val": NOT_ON_HUB},
    ),
    _real(
        "fer-2013",
        "7 expressions of faces at 48 px",
        {"train": 28_709, "val": 3_589, "test": 3_589},
        "hf://clip-benchmark/wds_fer2013",
        rules={"val": "publictest", "test": "privatetest"},
        citation="Goodfellow et al., ICONIP 2013",
        mirrors=("the folders of Kaggle's msambare/fer2013", "ELEVATER fer_2013_20211008"),
        file_prefixes={"PublicTest_": "publictest", "PrivateTest_": "privatetest"},
        elevater="fer_2013_20211008",
        notes=(
            "ELEVATER's classes are sorted, Kaggle's numbers are not: 4 is neutral or sad, 6 surprise or neutral",
            "the Hub's test joins the public and the private test, 7,178 images: it is not taken for ELEVATER's",
            "folders are called disgust, fear, surprise, names are disgusted, fearful, surprised",
        ),
        lacks=dict.fromkeys(("val", "test"), "the Hub's test joins the two, 7,178 samples: Kaggle's folders have both"),
    ),
    _real(
        "kitti-distance",
        "how far the nearest vehicle is, in 4 steps",
        {"train": 6_347, "val": 423, "test": 711},
        "hf://clip-benchmark/wds_vtab-kitti_closest_vehicle_distance",
        citation="Geiger et al., CVPR 2012; Zhai et al., VTAB 2019",
        mirrors=("ELEVATER kitti_distance_20210923",),
        numbers="list",
        elevater="kitti_distance_20210923",
        notes=(
            "0 is within 8 m, 1 within 20 m, 2 further, 3 no vehicle; GenBench's release swaps 2 and 3",
            "images are 1,242 × 375 px: squash them, a centre crop cuts vehicles off",
            "categories of ELEVATER's JSON count from 1",
        ),
    ),
    _real(
        "patch-camelyon",
        "tumour or none in 96 px of lymph node",
        {"train": 262_144, "val": 32_768, "test": 32_768},
        "hf://1aurent/PatchCamelyon",
        license="CC0 1.0",
        citation="Veeling et al., MICCAI 2018",
        mirrors=("clip-benchmark/wds_vtab-pcam", "ELEVATER patch_camelyon_20211007"),
        numbers="list",
        elevater="patch_camelyon_20211007",
        notes=("labels are true and false, without names", "the validation split is called valid"),
    ),
    _real(
        "rendered-sst2",
        "the sentiment of sentences drawn as images",
        {"train": 6_920, "val": 827, "test": 1_821},
        "hf://clip-benchmark/wds_renderedsst2",
        citation="Radford et al., ICML 2021",
        mirrors=("ELEVATER rendered_sst2_20210924",),
        elevater="rendered_sst2_20210924",
        notes=(
            "negative is 0, positive 1",
            "the validation split is called valid, and its size is 827, not SST-2's 872",
        ),
    ),
    _real(
        "hateful-memes",
        "whether a meme is hateful",
        {"train": 8_500, "test": 500},
        "hf://neuralcatcher/hateful_memes",
        rules={"test": "dev_seen"},
        license="Hateful Memes Challenge licence agreement",
        citation="Kiela et al., NeurIPS 2020",
        access="licence click",
        mirrors=("ELEVATER hateful_memes_20211014",),
        numbers="list",
        elevater="hateful_memes_20211014",
        notes=(
            "ELEVATER's test of 500 is dev_seen, not test_seen (1,000) (assumed from the size)",
            "0 is not hateful, 1 hateful; GenBench's release swaps them; roc_auc is of hateful",
            "categories of ELEVATER's JSON count from 1",
        ),
    ),
    _real(
        "mnist",
        "10 handwritten digits at 28 px",
        {"train": 60_000, "test": 10_000},
        "hf://ylecun/mnist",
        citation="LeCun et al., Proc. IEEE 1998",
        mirrors=("clip-benchmark/wds_mnist", "ELEVATER mnist_20211008"),
        elevater="mnist_20211008",
        notes=("ELEVATER keeps the test images in val.zip", "white on black, grey"),
    ),
)
_IMAGENET = (
    _real(
        "imagenet-100",
        "the 100 classes of ImageNet of CMC's list",
        {"train": None, "test": 5_000},
        "hf://clane9/imagenet-100",
        rules={"test": "val"},
        license="ImageNet terms of access (non-commercial research)",
        citation="Tian et al., ECCV 2020",
        notes=("other lists are called ImageNet-100 too: this is CMC's", "validation is the test"),
    ),
    _real(
        "imagenet-v2",
        "new test images for ImageNet's classes, matched frequency",
        {"test": 10_000},
        "hf://clip-benchmark/wds_imagenetv2",
        classes="imagenet-1k",
        rules={"test": "test|val|whole"},
        citation="Recht et al., ICML 2019",
        mirrors=("imagenetv2-matched-frequency-format-val.tar.gz",),
        folders="numbers",
        notes=("folders are numbers of classes: sorted as text (0, 1, 10, …) they would be permuted",),
    ),
    _real(
        "imagenet-r",
        "renditions of 200 of ImageNet's classes",
        {"test": 30_000},
        "hf://clip-benchmark/wds_imagenet-r",
        rules={"test": "test|whole"},
        citation="Hendrycks et al., ICCV 2021",
        mirrors=("imagenet-r.tar",),
        notes=("labels number the 200 classes, not ImageNet's 1,000",),
    ),
    _real(
        "imagenet-sketch",
        "sketches of ImageNet's classes",
        {"test": 50_889},
        "hf://clip-benchmark/wds_imagenet_sketch",
        classes="imagenet-1k",
        rules={"test": "test|whole"},
        citation="Wang et al., NeurIPS 2019",
        notes=("50,889 images, though 50 of each class were meant",),
    ),
    _real(
        "imagenet-a",
        "photographs of 200 of ImageNet's classes that a ResNet-50 gets wrong",
        {"test": 7_500},
        "hf://clip-benchmark/wds_imagenet-a",
        rules={"test": "test|whole"},
        citation="Hendrycks et al., CVPR 2021",
        mirrors=("imagenet-a.tar",),
        notes=("200 other classes than ImageNet-R's",),
    ),
    _real(
        "objectnet",
        "objects from unusual sides, the 113 kinds that ImageNet has",
        {"test": 18_574},
        "",
        rules={"test": "test|whole"},
        license="ObjectNet licence: never to train on",
        citation="Barbu et al., NeurIPS 2019",
        access="manual",
        mirrors=("objectnet.dev, objectnet-1.0.zip", "clip-benchmark/wds_objectnet (with the border)"),
        border_px=2,  # the border is one pixel; two are cut as wise-ft does
        ignores_other_classes=True,
        notes=(
            "images have a red border that gives the set away: it is cut off, in every layout",
            "313 folders, 113 of them ImageNet's; one class may be several of ImageNet's",
            "the zip needs the password of its README",
        ),
    ),
)
_CALTECH_256 = _real(
    "caltech-256",
    "256 kinds of objects; its splits are ours",
    {"train": None, "test": None, **dict.fromkeys(tenths.RULES)},
    "",
    rules={"test": {"of": ["all"], "from": 0, "to": 0.2}, "train": {"of": ["all"], "from": 0.2}, **tenths.RULES},
    license="CC BY 4.0",
    citation="Griffin, Holub & Perona, Caltech 256, CaltechDATA (doi 10.22002/D1.20087)",
    access="manual",
    mirrors=("data.caltech.edu, 256_ObjectCategories.tar",),
    ignores_other_classes=True,
    notes=("the folder 257.clutter is no category: its images are left out", "no split is public"),
)


@hookimpl
def vgbench_offer_datasets() -> Iterable[DatasetSpec]:
    yield from (*_GENBENCH, *_IMAGENET, _CALTECH_256)
