"""github.com/heykeetae/Self-Attention-GAN, its own modules from a clone: see `contest.py`.

"as written" is the step of its trainer.py with hinge loss. "tuned" is what can be had by hand:
no gradients through the fakes of the discriminator's step, a frozen discriminator in the
generator's, PyTorch's own spectral norm, channels-last; "compiled" adds torch.compile.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from peers import torch_tools
from take_turns import take_turns


def prepare(settings):
    """Returns the task that the settings name."""
    sys.path.insert(0, settings["clone"])
    torch.manual_seed(0)
    tasks = {"train_step": train_step, "sample": sample, "attention": attention}
    return torch_tools.answer(tasks[settings["task"]](settings))


def networks(settings):
    """Returns its generator and discriminator on the device, tuned if asked for."""
    import sagan_models

    plain = settings["family"] == "dcgan" and not settings["classes"] and not settings["attention"]
    if not (plain and settings["image_size"] == 64 and settings["width"] == 64):
        sys.exit("heykeetae has a DCGAN of 64x64 pictures, width 64, without classes alone")
    size, batch, width = settings["image_size"], settings["batch_size"], settings["width"]
    device = torch_tools.device()
    generator = sagan_models.Generator(batch, size, settings["latent_dim"], width).to(device)
    discriminator = sagan_models.Discriminator(batch, size, width).to(device)
    if settings["variant"] == "as written":
        return generator, discriminator
    models = [
        _with_own_spectral_norm(model).to(memory_format=torch.channels_last)
        for model in (generator, discriminator)
    ]
    if settings["variant"] == "compiled":
        models = [torch.compile(model) for model in models]
    return models


def _with_own_spectral_norm(model):
    from spectral import SpectralNorm

    def plain(module):
        conv = module.module
        weight = conv.weight_bar.detach().clone()
        for name in ("weight_u", "weight_v", "weight_bar"):
            del conv._parameters[name]
        conv.__dict__.pop("weight", None)
        conv.weight = torch.nn.Parameter(weight)
        return conv

    torch_tools.with_own_spectral_norm(model, lambda m: isinstance(m, SpectralNorm), plain)
    return model


def train_step(settings):
    """One update of each network."""
    generator, discriminator = networks(settings)
    device, batch = torch_tools.device(), settings["batch_size"]
    adam = {"betas": (0.0, 0.9)}
    g_optimizer = torch.optim.Adam(
        [p for p in generator.parameters() if p.requires_grad], 1e-4, **adam
    )
    d_optimizer = torch.optim.Adam(
        [p for p in discriminator.parameters() if p.requires_grad], 4e-4, **adam
    )
    size = settings["image_size"]
    images = torch.rand(batch, 3, size, size, device=device) * 2 - 1

    def forward(model, x):
        with torch_tools.autocast(settings["precision"]):
            return model(x)[0].float()

    def generate():
        return forward(generator, torch.randn(batch, settings["latent_dim"], device=device))

    if settings["variant"] != "as written":
        return torch_tools.hinge_step(
            generate,
            lambda x: torch.cat([forward(discriminator, part) for part in x.split(batch)]),
            (g_optimizer, d_optimizer),
            (generator, discriminator),
            images.to(memory_format=torch.channels_last),
        )

    def reset_grad():
        d_optimizer.zero_grad()
        g_optimizer.zero_grad()

    def step():
        real = forward(discriminator, images)
        fake = forward(discriminator, generate())
        loss = torch.relu(1.0 - real).mean() + torch.relu(1.0 + fake).mean()
        reset_grad()
        loss.backward()
        d_optimizer.step()
        loss = -forward(discriminator, generate()).mean()
        reset_grad()
        loss.backward()
        g_optimizer.step()

    return step


def sample(settings):
    """A batch of pictures, as uint8 on the host."""
    generator, _ = networks(settings)
    generator.eval()

    def generate():
        with torch_tools.autocast(settings["precision"]):
            latent = torch.randn(
                settings["batch_size"], settings["latent_dim"], device=torch_tools.device()
            )
            return generator(latent)[0].float()

    return torch_tools.sample_task(generate)


def attention(settings):
    """Its attention module on a map, forward, or with the gradients of all inputs and weights."""
    from sagan_models import Self_Attn

    if settings["form"] != "first":
        sys.exit("heykeetae's attention has no pooling: it has the first form alone")
    module = Self_Attn(settings["shape"][-1], "relu").to(torch_tools.device())
    return torch_tools.attention_task(module, settings)


if __name__ == "__main__":
    take_turns(prepare)
