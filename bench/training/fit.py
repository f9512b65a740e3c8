"""From a trial's inputs to its model."""

from bench.data.base import SPLITS
from bench.training.frozen import fit_frozen
from bench.training.inputs import Inputs
from bench.training.model import Model, Training
from bench.training.stored import read_trained, write_model
from bench.training.train_network import train_network


def fit(inputs: Inputs) -> tuple[Model, Training]:
    """Train the network of a trial or fit what reads its features, as the recipe says, and store it.

    A trial whose training has ended before is not trained again.

    Raises:
        Diverged, Stopped: see `bench.training.loop.Trainer.run`.
        TrialError: out of memory, or features that are not finite.
        DataError: an image is damaged.
    """
    # All of it now: a damaged image, of test too, is reported before anything is trained. Labels stay closed.
    for split in SPLITS:
        inputs.decode(split)
    stored = read_trained(inputs)
    if stored is not None:
        return stored
    model, training = fit_frozen(inputs) if inputs.trial.recipe.frozen else train_network(inputs)
    return model, write_model(inputs, model, training)
