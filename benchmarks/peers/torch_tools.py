"""What the PyTorch peers share."""

import contextlib
import importlib.machinery
import importlib.util
import sys
import types

import torch


def device():
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(precision):
    """The scope of forward passes in a precision: "float32" or "bfloat16"."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device().type, torch.bfloat16)


def answer(task):
    """Returns what `take_turns` wants: the task, waited for, and a GPU's peak of memory."""
    if device().type == "cpu":
        return {"task": task}

    def waited():
        task()
        torch.cuda.synchronize()

    return {"task": waited, "device_peak": torch.cuda.max_memory_allocated}


class _Empty(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stand_in(*names):
    """Puts empty modules in the place of packages that are missing.

    A peer's module may import what none of the tasks here calls; any name of such a module is an
    empty class. Packages come before their modules.
    """
    packages = {name.partition(".")[0] for name in names}
    missing = {package for package in packages if importlib.util.find_spec(package) is None}
    for name in names:
        if name.partition(".")[0] in missing:
            module = sys.modules[name] = _Empty(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)  # PyTorch looks for some
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, module)


def set_trained(model, trained):
    """Switches the gradients of a model's weights on or off."""
    for parameter in model.parameters():
        parameter.requires_grad_(trained)


def cast_forward(model, precision):
    """Makes a model compute in a precision, and give float32."""
    if precision == "float32":
        return
    forward = model.forward

    def in_precision(*args, **kwargs):
        with autocast(precision):
            outputs = forward(*args, **kwargs)
        return outputs.float()

    model.forward = in_precision


def with_own_spectral_norm(model, is_normalized, kernel_of):
    """Puts PyTorch's spectral norm in the place of another one.

    Args:
        model: A module, whose children are replaced.
        is_normalized: Tells of a module whether it is one that normalises.
        kernel_of: Returns, for such a module, a plain layer with its weights.
    """
    for name, child in model.named_children():
        if is_normalized(child):
            layer = torch.nn.utils.parametrizations.spectral_norm(kernel_of(child))
            setattr(model, name, layer)
        else:
            with_own_spectral_norm(child, is_normalized, kernel_of)


def hinge_step(generate, discriminate, optimizers, models, images):
    """Returns a step with hinge loss that computes only the gradients that it needs.

    Args:
        generate: Returns a batch of fakes.
        discriminate: From images to logits.
        optimizers: Those of the generator and the discriminator.
        models: The generator and the discriminator.
        images: The batch of real images.
    """
    (generator_optimizer, discriminator_optimizer), (_, discriminator) = optimizers, models

    def step():
        set_trained(discriminator, True)
        with torch.no_grad():
            fakes = generate()
        real, fake = discriminate(torch.cat([images, fakes])).chunk(2)
        loss = torch.relu(1.0 - real).mean() + torch.relu(1.0 + fake).mean()
        discriminator_optimizer.zero_grad()
        loss.backward()
        discriminator_optimizer.step()
        set_trained(discriminator, False)
        generator_loss = -discriminate(generate()).mean()
        generator_optimizer.zero_grad()
        generator_loss.backward()
        generator_optimizer.step()
        return loss.item(), generator_loss.item()  # as a loop that logs reads them

    return step


def sample_task(generate):
    """Returns the task that draws a batch, as uint8 on the host."""

    def draw():
        with torch.no_grad():
            images = generate()
        return ((images + 1) * 127.5).clamp(0, 255).byte().cpu().numpy()

    return draw


def attention_task(module, settings):
    """Returns the task of an attention module on a map: forward, or with all gradients."""
    batch, height, width, channels = settings["shape"]
    x = torch.randn(batch, channels, height, width, device=device())
    if settings["variant"] != "as written":
        x = x.to(memory_format=torch.channels_last)
        module = module.to(memory_format=torch.channels_last)
    if settings["variant"] == "compiled":
        module.compile()

    def outputs_of(inputs):
        with autocast(settings["precision"]):
            outputs = module(inputs)
        return outputs[0] if isinstance(outputs, tuple) else outputs

    def forward():
        with torch.no_grad():
            outputs_of(x)

    def backward():
        inputs = x.detach().requires_grad_(True)
        outputs_of(inputs).float().sum().backward()
        module.zero_grad()

    return backward if settings["backward"] else forward
