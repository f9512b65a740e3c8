"""Linear centred kernel alignment (CKA): how alike two layers see the same images."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def unbiased_hsic(k: Tensor, other: Tensor) -> Tensor:
    """The unbiased estimate of the Hilbert-Schmidt independence criterion (Song et al., 2012, equation 5).

    Args:
        k, other: kernel matrices of the same n images, (..., n, n), n at least 4; leading dimensions
            broadcast. Their diagonals do not count.
    """
    n = k.shape[-1]
    k, other = (matrix - torch.diag_embed(matrix.diagonal(dim1=-2, dim2=-1)) for matrix in (k, other))
    trace = (k * other.mT).sum((-2, -1))
    sums = k.sum((-2, -1)) * other.sum((-2, -1)) / ((n - 1) * (n - 2))
    rows = (k.sum(-2) * other.sum(-1)).sum(-1) * 2 / (n - 2)
    return (trace + sums - rows) / (n * (n - 3))


def linear_cka(batches: Iterable[tuple[Sequence[Tensor], Sequence[Tensor]]]) -> Tensor:
    """Linear CKA of every layer of one network with every layer of another, by minibatches.

    Estimates of HSIC are unbiased in each batch and averaged over batches before they are divided, so that
    the result does not depend on the size of a batch (Nguyen et al., 2021, arXiv 2010.15327, equation 3).

    Args:
        batches: for each batch the features of the first network's layers and of the second's, each (n, ...).

    Returns:
        (layers of the first, layers of the second); 1 is equal up to rotation and scale.
    """
    cross = own = others = torch.zeros(())
    for first, second in batches:
        ours, theirs = kernels(first), kernels(second)
        cross = cross + unbiased_hsic(ours[:, None], theirs[None])
        own = own + unbiased_hsic(ours, ours)
        others = others + unbiased_hsic(theirs, theirs)
    return cross / (own[:, None] * others[None]).clamp(min=1e-30).sqrt()


def kernels(layers: Sequence[Tensor]) -> Tensor:
    """The products of all images' features with one another, (layers, n, n), float64, on the CPU."""
    flat = [layer.detach().cpu().flatten(1).double() for layer in layers]
    return torch.stack([one @ one.T for one in flat])
