"""Small networks of timm, with random weights, that have what is looked for."""

import timm
import torch

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2, "num_classes": 5}


def vit(name: str = "vit_tiny_patch16_224", **options):
    """A ViT of 4 x 4 patches of 8 px."""
    torch.manual_seed(0)
    return timm.create_model(name, **(SMALL | options)).eval()


def resnet():
    """A narrow ResNet-10 for 32 px."""
    torch.manual_seed(0)
    return timm.create_model("resnet10t", num_classes=5).eval()


def hybrid():
    """A ViT of 2 x 2 patches of 8 places of a stem's map, a quarter as wide as the image of 64 px."""
    return vit("vit_tiny_r_s16_p8_224", img_size=64, depth=2)


VITS = {
    "class token": lambda: vit(),
    "distilled": lambda: vit("deit_tiny_distilled_patch16_224"),
    "registers": lambda: vit("vit_medium_patch16_reg4_gap_256"),
    "no class token": lambda: vit(class_token=False, global_pool="avg"),
    "positions of patches alone": lambda: vit(no_embed_class=True),
    "larger": lambda: vit(img_size=64),
}
NO_TOKENS_IN_FRONT = ("vit_relpos_small_patch16_224", "vit_srelpos_small_patch16_224")
"""Of relative positions, of which timm gives no tokens in front where there are none."""

NOT_ONE_MATRIX_A_HEAD = {
    "vit_dwee_patch16_reg1_gap_256": "4 matrices are read for 2 heads",
    "vit_dpwee_patch16_reg1_gap_256": "4 matrices are read for 2 heads",
    "vit_small_patch16_18x2_224": "side by side",
}
"""What they attend by is no matrix softmax(Q K^T / sqrt d) a head and block, and what is said of it."""
