"""What the PyTorch peers share in `parity.py`: their state, and hooks that do as ours does.

The hooks are laid around a peer's modules, whose code stays as it is.
"""

import contextlib

import lockstep
import numpy as np
import torch


def arrays(networks):
    """Returns the weights of networks by "network/name".

    Args:
        networks: Modules by `lockstep.NETWORKS`.
    """
    return {
        f"{network}/{name}": value.detach().numpy().copy()
        for network, model in networks.items()
        for name, value in model.state_dict().items()
    }


def begin(settings, networks, converge):
    """Gives networks the weights that all runs start from, and the precision of the settings.

    Args:
        settings: See `lockstep.start`; "precision".
        networks: Modules by `lockstep.NETWORKS`.
        converge: Called before they are laid down, to make spectral vectors converge.
    """

    def own():
        converge()
        return arrays(networks)

    found = lockstep.start(settings, own)
    for network, model in networks.items():
        prefix = f"{network}/"
        model.to(getattr(torch, settings["precision"]))
        model.load_state_dict(
            {
                name.removeprefix(prefix): torch.from_numpy(np.asarray(value))
                for name, value in found.items()
                if name.startswith(prefix)
            }
        )


def tensors(settings, array):
    """Returns images (..., height, width, 3), latents or labels as PyTorch's."""
    if array.ndim == 4:
        array = array.transpose(0, 3, 1, 2)
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.to(getattr(torch, settings["precision"])) if array.ndim > 1 else tensor.long()


def first_singular_vectors(kernel):
    """Returns those of a kernel as a matrix (first axis, all others), of unit length."""
    matrix = kernel.detach().double().reshape(len(kernel), -1)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left[:, 0], right[0]


def keep_vectors(discriminator, owners, names, calls):
    """Keeps the vectors of spectral norm from moving in the generator's update.

    Args:
        discriminator: The discriminator.
        owners: Its modules that have them.
        names: Their names there.
        calls: Calls of the discriminator a step, of which the last is in the generator's update.
    """
    state = {"calls": 0, "kept": None}

    def before(*_):
        state["calls"] += 1
        if state["calls"] % calls == 0:
            state["kept"] = [getattr(o, n).data.clone() for o in owners for n in names]

    def after(*_):
        if state["kept"] is not None:
            places = ((o, n) for o in owners for n in names)
            for (owner, name), value in zip(places, state["kept"], strict=True):
                getattr(owner, name).data = value
            state["kept"] = None

    discriminator.register_forward_pre_hook(before)
    discriminator.register_forward_hook(after)


def divide_variances_by_count(modules, name, momentum=0.1):
    """Makes moving variances those of the batch itself, n in the place of n - 1.

    Args:
        modules: Batch norms, whose first input is (batch, channels, height, width).
        name: Of the moving variance there.
        momentum: The share of the new one.
    """
    for module in modules:
        kept = []

        def before(module, _, kept=kept):
            kept.append(getattr(module, name).clone())

        def after(module, inputs, _, kept=kept):
            variance, old = getattr(module, name), (1 - momentum) * kept.pop()
            count = inputs[0].numel() // inputs[0].shape[1]
            variance.data = old + (variance - old) * (count - 1) / count

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)


@contextlib.contextmanager
def outputs_of(model):
    """Gives a list, to which the outputs of each call of a module are added."""
    found = []
    hook = model.register_forward_hook(lambda _, __, outputs: found.append(outputs))
    yield found
    hook.remove()
